"""The documentation is true: its links lead somewhere, its examples run and print what they say."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
from distributions import Environment

from kickai_providers_core import ConfigError, Resolver
from kickai_providers_core.values import errors

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("plugins/*/README.md")]
)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """Return a page's code blocks in one language."""
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings make."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link to a file of the project names one that exists, and a heading that it has."""
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_is_well_formed(page: Path) -> None:
    """Python compiles and TOML parses."""
    for number, source in enumerate(blocks(page, "python")):
        compile(
            textwrap.dedent(source), f"{page.name}, example {number}", "exec", flags=0x2000
        )  # top-level await is allowed
    if page.name != "configuration.md":  # which shows wrong ones too, and has tests of its own
        for source in blocks(page, "toml"):
            tomllib.loads(source)


def test_the_first_example_prints_what_it_says() -> None:
    """The README's first example runs offline, and its output is the one shown."""
    source, shown = blocks(ROOT / "README.md", "python")[0], blocks(ROOT / "README.md", "text")[0]
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert done.stdout == shown


def test_the_error_for_a_typo_is_the_one_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README quotes the exact words."""
    (tmp_path / "kickai.toml").write_text('[kickai]\nprimry = "huggingface"\ndeadline_s = "30"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        Resolver.from_settings(env={})
    assert str(raised.value).strip() == blocks(ROOT / "README.md", "text")[1].strip()


def test_the_provider_of_the_readme_works(tmp_path: Path) -> None:
    """The twenty lines are a provider: installed as a distribution, it answers."""
    source = next(text for text in blocks(ROOT / "README.md", "python") if "hookimpl" in text)
    assert len([line for line in source.splitlines() if line.strip()]) <= 20
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = Environment(tmp_path / "site")
    environment.install("kickai-oracle", source.replace("8099", port), entry_point="oracle")
    ask = """
        import http.server, json, threading
        class Oracle(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["content-length"])))["question"]
                body = json.dumps({"text": f"{question} Perhaps."}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *args): ...
        server = http.server.HTTPServer(("127.0.0.1", 8099), Oracle)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        from kickai_providers_core import Resolver
        with Resolver.from_settings({}, env={}) as resolver:
            print(json.dumps(resolver.chain("oracle").invoke("Rain?").text))
        server.shutdown()
        server.server_close()
    """
    assert environment.run(ask.replace("8099", port)) == "Rain? Perhaps."


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    """A reader finds the command that answers and the command that tests first, and the whole in two screens."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = blocks(ROOT / "README.md", "sh")
    assert len(commands) == 2
    assert "nox -s ask --" in commands[0]
    assert commands[1].strip().endswith("bin/nox")
    assert len(readme.splitlines()) <= 135


def test_the_errors_page_draws_the_whole_tree() -> None:
    """Every class of the error tree stands in the page."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert [name for name in errors.__all__ if name.endswith("Error") and name not in page] == []


def test_the_changelog_names_the_version() -> None:
    """The version of the distribution has its entry."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
