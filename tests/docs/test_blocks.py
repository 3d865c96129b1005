"""Every code block of the documentation runs in a test: in that of its page, or here."""

from __future__ import annotations
import __future__

import contextlib
import io
import json
import re
import subprocess
import textwrap
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from attrs import field, frozen
from command_line import PROGRAM, environment

from kickai_providers_core import Message, ProviderInfo, ProviderSettings, Resolver, Secret
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("plugins/*/README.md")])
BLOCK = re.compile(r"^([ ]*)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)

OWNERS = {
    "docs/authoring.md": "tests/unit/authoring/test_examples.py",
    "docs/calling.md": "tests/docs/test_calling.py",
    "docs/configuration.md": "tests/unit/config/test_configuration_page.py",
    "docs/gateway.md": "plugins/kickai-gateway/tests/test_docs.py",
    "docs/migrating.md": "tests/docs/test_migrating.py",
    "docs/operating.md": "tests/docs/test_operating.py",
    "docs/quick-start.md": "tests/docs/test_tutorials.py",
    "docs/testing-an-application.md": "tests/docs/test_tutorials.py",
    "docs/tutorials/crewai-app.md": "tests/docs/test_tutorials.py",
    "docs/tutorials/first-chain.md": "tests/docs/test_tutorials.py",
    "docs/tutorials/rollout.md": "tests/docs/test_tutorials.py",
    "docs/writing-a-provider.md": "tests/contract/test_guide.py",
    "plugins/kickai-crewai/README.md": "plugins/kickai-crewai/tests/test_readme.py",
    "plugins/kickai-gateway/README.md": "plugins/kickai-gateway/tests/test_docs.py",
    "plugins/kickai-gemini/README.md": "plugins/kickai-gemini/tests/test_readme.py",
    "plugins/kickai-hf/README.md": "plugins/kickai-hf/tests/test_readme.py",
    "plugins/kickai-langchain/README.md": "plugins/kickai-langchain/tests/test_readme.py",
    "plugins/kickai-local/README.md": "plugins/kickai-local/tests/test_chain.py",
    "plugins/kickai-mock/README.md": "plugins/kickai-mock/tests/test_readme.py",
    "plugins/kickai-ollama/README.md": "plugins/kickai-ollama/tests/test_readme.py",
    "plugins/kickai-openai/README.md": "plugins/kickai-openai/tests/test_readme.py",
    "plugins/kickai-otel/README.md": "plugins/kickai-otel/tests/test_readme.py",
    "plugins/kickai-redis/README.md": "plugins/kickai-redis/tests/test_settings.py",
}
"""The test of each page whose blocks belong together, or need a plugin that is not installed here."""

REASONS = {
    ("CONTRIBUTING.md", "console"): "it creates a virtual environment",
    ("CONTRIBUTING.md", "text"): "it is a list of folders, which test_docs.py compares with the tree",
    ("README.md", "sh"): "CI runs the second command, which runs the session of the first",
    ("README.md", "text"): "it is the output of another block; test_docs.py compares it",
    ("docs/command-line.md", "console"): "tests/integration/test_cli_docs.py runs the sessions and the completion",
    ("docs/command-line.md", "json"): "tests/integration/test_cli_docs.py compares it with the output",
    ("docs/command-line.md", "text"): "tests/integration/test_cli_docs.py compares it with the output",
    ("docs/errors.md", "text"): "it is the tree of the errors, which test_docs.py compares with the classes",
    ("docs/gateway-security.md", "console"): "the tests of kickai-gateway make keys; the other one installs a package",
    ("docs/releasing.md", "console"): "it publishes a release",
    ("docs/walk.md", "text"): "it is the form of an explanation, which tests/unit/values/test_trace.py has",
}
"""Why a page's blocks in a language are not run here."""


class Block(NamedTuple):
    """One code block.

    Attributes:
        page: The page, from the root of the project.
        line: Where it begins.
        language: What is written after the first fence.
        source: Its text.
    """

    page: str
    line: int
    language: str
    source: str


def find_blocks(page: Path) -> list[Block]:
    """Return all code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    return [
        Block(name, text.count("\n", 0, found.start()) + 1, found[2], textwrap.dedent(found[3]))
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in find_blocks(page)]
RUN_HERE = [block for block in BLOCKS if block.page not in OWNERS and (block.page, block.language) not in REASONS]


def test_the_pages_have_blocks() -> None:
    """Blocks of each language are found, and no fence is left open."""
    assert {"python", "toml", "console", "sh", "json", "jsonl", "text"} <= {block.language for block in BLOCKS}
    for page in PAGES:
        assert page.read_text(encoding="utf-8").count("```") == 2 * len(find_blocks(page)), page


def test_each_owner_reads_its_page() -> None:
    """The test exists and names the page or its folder; a page without blocks needs none."""
    pages = {block.page for block in BLOCKS}
    assert sorted(set(OWNERS) - pages) == []
    for page, owner in OWNERS.items():
        source = (ROOT / owner).read_text(encoding="utf-8")
        assert Path(page).name in source or f'"{Path(page).parent.name}"' in source, owner


def test_each_reason_is_needed() -> None:
    """A reason without a block is out of date."""
    assert sorted(REASONS.keys() - {(block.page, block.language) for block in BLOCKS}) == []


@pytest.mark.parametrize("block", RUN_HERE, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run with the mock, settings are valid, commands end with 0, and documents are JSON."""
    pytest.importorskip("kickai_mock", reason="the blocks use the mock provider")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KICKAI_PRIMARY", "mock")
    monkeypatch.setenv("KICKAI_PLUGINS", "mock")
    runners = {
        "python": run_program,
        "toml": load_settings,
        "console": run_commands,
        "sh": run_commands,
        "jsonl": read_batch,
    }
    runners[block.language](block.source)


def run_program(source: str) -> None:
    """Run a program, or a part of one that has a resolver, a chain, and a web application already."""
    flags = __future__.annotations.compiler_flag  # signatures name types that they do not import
    with contextlib.redirect_stdout(io.StringIO()), Resolver.from_settings() as resolver:
        routes: dict[str, object] = {}
        namespace: dict[str, object] = {
            "__name__": "example",
            "Resolver": Resolver,
            "resolver": resolver,
            "llm": resolver.for_role("squad_selector"),
            "app": SimpleNamespace(get=lambda path: lambda view: routes.setdefault(path, view)),
        }
        exec(compile(source, "page", "exec", flags=flags), namespace)  # noqa: S102  the project's own page
        for view in routes.values():
            assert view()  # type: ignore[operator]


@frozen(kw_only=True)
class _Service(ProviderSettings):
    """The settings of a service, with what the examples set."""

    api_key: Secret | None = None
    token: Secret | None = None
    base_url: str = ""
    options: dict[str, object] = field(factory=dict)


INFOS = {
    name: ProviderInfo(name=name, summary="A provider", settings_class=_Service)
    for name in ("huggingface", "gemini", "local", "mock")
}


def load_settings(source: str) -> None:
    """Structure settings, which must have no problem."""
    document = tomllib.loads(source)
    assert document
    Path("kickai.toml").write_text(source, encoding="utf-8")
    found = structure(read(None, {}), INFOS).warnings
    assert [problem for problem in found if not problem.source.startswith("catalogue ")] == []


PROVIDERS = "".join(f'[providers.{name}]\nkind = "mock"\n' for name in ("huggingface", "gemini"))
"""Settings that let the mock answer for the services that the pages name."""

PREPARED = """\
printf '[kickai]\\nprimary = "huggingface"\\n[store]\\nurl = "sqlite:///kickai.db"\\n' > kickai.toml
cat providers.toml >> kickai.toml
kickai ask hi
"""


def run_commands(source: str) -> None:
    """Run the lines of a session, in a folder with settings, a store with one request, and prompts."""
    Path("providers.toml").write_text(PROVIDERS)
    Path("prompts.jsonl").write_text('{"custom_id": "1", "body": {"messages": [{"role": "user", "content": "Hi"}]}}\n')
    lines = [line.removeprefix("$ ") for line in source.splitlines()]
    if lines[0].startswith("kickai init"):
        script = [lines[0], "cat providers.toml >> kickai.toml", *lines[1:]]
    else:
        script = [PREPARED, *lines]
    done = subprocess.run(
        ["bash", "-euc", "\n".join(script)],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(PATH=f"{PROGRAM.parent}:/usr/bin:/bin", KICKAI_PLUGINS="mock"),
        timeout=300,
    )
    assert done.returncode == 0, done.stdout


def read_batch(source: str) -> None:
    """Read lines of a batch: requests have messages, and results an answer or an error."""
    for line in source.splitlines():
        document = json.loads(line)
        assert document["custom_id"]
        if "body" in document:
            assert Message(**document["body"]["messages"][0])
        else:
            assert {"response", "error"} <= set(document)
