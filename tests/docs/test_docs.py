"""The documentation is correct: its links work, its examples run, and their output is the one shown."""

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
from kickai_providers_core.values.attempts import SkipReason

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("plugins/*/README.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def find_blocks(page: Path, language: str) -> list[str]:
    """Return a page's code blocks in one language."""
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def find_anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_works(page: Path) -> None:
    """A link to a file of the project names an existing file, and an existing heading in it."""
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in find_anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_is_well_formed(page: Path) -> None:
    """Python examples compile, and TOML examples parse."""
    for number, source in enumerate(find_blocks(page, "python")):
        compile(
            textwrap.dedent(source), f"{page.name}, example {number}", "exec", flags=0x2000
        )  # top-level await is allowed
    if page.name != "configuration.md":  # it shows invalid examples too, and has its own tests
        for source in find_blocks(page, "toml"):
            tomllib.loads(source)


def test_the_first_example_prints_the_output_shown() -> None:
    """The first example of the README runs offline and prints the output shown."""
    source, shown = find_blocks(ROOT / "README.md", "python")[0], find_blocks(ROOT / "README.md", "text")[0]
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert done.stdout == shown


def test_the_readme_quotes_the_error_for_a_typo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README quotes the exact message."""
    (tmp_path / "kickai.toml").write_text('[kickai]\nprimry = "huggingface"\ndeadline_s = "30"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        Resolver.from_settings(env={})
    assert str(raised.value).strip() == find_blocks(ROOT / "README.md", "text")[1].strip()


def test_the_readmes_provider_answers(tmp_path: Path) -> None:
    """The provider of the README has at most 20 lines of code, and answers when it is installed as a distribution."""
    source = next(text for text in find_blocks(ROOT / "README.md", "python") if "hooks_for" in text)
    assert len([line for line in source.splitlines() if line.strip()]) <= 20
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = Environment(tmp_path / "site")
    environment.install(
        "kickai-oracle", source.replace("8099", port), entry_point="oracle", target="kickai_oracle:plugin"
    )
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


def test_the_readme_is_short_and_has_the_two_commands() -> None:
    """The two shell commands of the README ask a model and run all checks. ``.ci/run`` reads the second one."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = find_blocks(ROOT / "README.md", "sh")
    assert len(commands) == 2
    assert "nox -s ask --" in commands[0]
    assert commands[1].strip().endswith("bin/nox")
    assert len(readme.splitlines()) <= 155


def test_the_errors_page_has_the_whole_tree() -> None:
    """The page names every class of the error tree."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert [name for name in errors.__all__ if name.endswith("Error") and name not in page] == []


def test_the_page_on_routing_has_each_reason_of_a_skip() -> None:
    """The table of the page has a row for each reason for which a target is skipped."""
    page = (ROOT / "docs" / "walk.md").read_text(encoding="utf-8")
    assert [reason.value for reason in SkipReason if f"| `{reason.value}` |" not in page] == []


def test_the_changelog_has_the_version() -> None:
    """The changelog has an entry for the current version of the core."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


CHANGE = re.compile(r"^\| ([A-Z].+) \| `(\S+\.\w+)` \|$", re.MULTILINE)


def test_the_contributing_page_says_where_to_change_what() -> None:
    """It lists ten changes, each with an existing file whose path has none of the words of the change."""
    changes = CHANGE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(changes) == 10
    for change, path in changes:
        assert (ROOT / "src" / "kickai_providers_core" / path).is_file(), path
        assert [word for word in re.findall(r"[a-z]{4,}", change.lower()) if word in path] == [], change


PROMISE = re.compile(r"pip install[^\n`]*?(?<![\w./'\"])kickai-[a-z-]+(?![\w-]*\[)")
"""An installation by the bare name of one of this project's packages. Extras add to an installed package."""

TEXTS = sorted([*PAGES, *ROOT.glob("examples/**/*.md"), *ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])


def test_nothing_promises_a_package_that_is_not_released() -> None:
    """No page and no message installs a package of this project from an index before its release."""
    assert PROMISE.search("$ pip install -U kickai-hf") is not None
    assert PROMISE.search("pip install . ./plugins/kickai-hf 'kickai-providers-core[cli]'") is None
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in TEXTS
        for match in PROMISE.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_pre_commit_runs_the_same_ruff_as_nox() -> None:
    """The version of ruff in the pre-commit settings is the one in pyproject.toml."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    version = next(name for name in groups["lint"] if name.startswith("ruff==")).removeprefix("ruff==")
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert f"ruff-pre-commit\n    rev: v{version}\n" in hooks
