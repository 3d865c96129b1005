"""Plugins that are broken in every way that we could think of, really installed: each costs only itself."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from command_line import PROGRAM, environment
from distributions import GOOD

if TYPE_CHECKING:
    from pathlib import Path

HOOKS = (
    "from kickai_providers_core import *\nfrom kickai_providers_core import ProviderInfo, ProviderSettings, hookimpl\n"
)
CUSTOM = "class Panic(BaseException):\n    def __str__(self): raise RuntimeError('no text')\n    __repr__ = __str__\n"
RAISED = ("ValueError('v')", "SystemExit(3)", "GeneratorExit()", "Panic()", "__import__('asyncio').CancelledError()")


def install(site: Path, name: str, source: str, *, entries: str = "", metadata: str | None = None) -> None:
    """Write a distribution with one module into a folder of the path."""
    module = name.replace("-", "_")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" if metadata is None else metadata
    if text:
        (info / "METADATA").write_text(text, encoding="utf-8")
    (info / "entry_points.txt").write_text(entries or f"[kickai.providers]\n{name} = {module}\n", encoding="utf-8")


def kickai(site: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program with a folder on its path."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=site,
        env={**environment(PYTHONPATH=str(site)), **variables},
        timeout=60,
    )


def listed(site: Path) -> dict[str, dict[str, Any]]:
    """Return what ``kickai providers`` says of each distribution."""
    done = kickai(site, "providers", "--json")
    assert done.returncode == 0, done.stderr
    return {row["distribution"]: row for row in json.loads(done.stdout)["providers"]}


def works(site: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Assert that the other provider answers, and that nothing but the answer is on standard output."""
    done = kickai(site, "ask", "--json", "--chain", "mock:a", "hi", **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["provider"] == "mock"
    return done


GOOD_HEAD = GOOD.format(name="bad")
BROKEN = {
    "mandatory field": (
        HOOKS
        + GOOD_HEAD.replace('summary="answers"', 'summary="answers", settings_class=S')
        + "\nimport attrs\n@attrs.frozen(kw_only=True)\nclass S(ProviderSettings):\n    url: str\n",
        "the field 'url' of its settings class S has no default",
    ),
    "default that its validator refuses": (
        HOOKS
        + GOOD_HEAD.replace('summary="answers"', 'summary="answers", settings_class=S')
        + "\nimport attrs\n@attrs.frozen(kw_only=True)\nclass S(ProviderSettings):\n"
        "    n: int = attrs.field(default=0, validator=attrs.validators.gt(0))\n",
        "its settings class S refuses its own defaults: ValueError",
    ),
    "default factory that raises": (
        HOOKS
        + GOOD_HEAD.replace('summary="answers"', 'summary="answers", settings_class=S')
        + "\nimport attrs\n@attrs.frozen(kw_only=True)\nclass S(ProviderSettings):\n"
        "    n: int = attrs.field(factory=lambda: 1 / 0)\n",
        "its settings class S refuses its own defaults: ZeroDivisionError",
    ),
    "hints that lead nowhere": (
        HOOKS
        + GOOD_HEAD.replace('summary="answers"', 'summary="answers", settings_class=S')
        + "\nimport attrs\n@attrs.frozen(kw_only=True)\nclass S(ProviderSettings):\n    n: 'Nowhere' = 1\n",
        "the type hints of its settings class S cannot be resolved: NameError",
    ),
    "a newer plugin API with hooks of its own": (
        GOOD_HEAD.replace('summary="answers"', 'summary="answers", api_version=2')
        + "\n@hookimpl\ndef kickai_embed_provider(provider, vectors): ...\n",
        "upgrade kickai-providers-core",
    ),
    "an async create": (GOOD_HEAD.replace("def kickai_create", "async def kickai_create"), "is an async function"),
    **{
        f"import raises {raised}": (
            f"{CUSTOM}raise {raised}",
            f"its import raised {raised.split('(')[0].split('.')[-1]}",
        )
        for raised in RAISED
        if "import" not in raised
    },
    **{
        f"info raises {raised}": (
            CUSTOM + HOOKS + f"\n@hookimpl\ndef kickai_provider_info():\n    raise {raised}\n",
            "kickai_provider_info raised ",
        )
        for raised in RAISED
    },
}


@pytest.mark.parametrize(("source", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_one_named_problem(tmp_path: Path, source: str, fault: str) -> None:
    """Another provider answers, and ``kickai providers`` and ``doctor`` name the plugin with its fault."""
    install(tmp_path, "test-bad", source)
    works(tmp_path)
    row = listed(tmp_path)["test-bad"]
    assert row["state"] == "broken"
    assert fault in row["why"]
    told = kickai(tmp_path, "doctor")
    assert told.returncode in {0, 1}
    assert told.stdout.count("plugin test-bad") == 1


NO_METADATA = {
    "missing": "",
    "without a name": "Metadata-Version: 2.1\nVersion: 1.0\n",
    "without a version": "Metadata-Version: 2.1\nName: test-bad\n",
}


@pytest.mark.parametrize("metadata", NO_METADATA.values(), ids=NO_METADATA)
def test_damaged_metadata_is_one_named_problem(tmp_path: Path, metadata: str) -> None:
    """A distribution that nobody can name is not loaded."""
    install(tmp_path, "test-bad", GOOD_HEAD, metadata=metadata)
    works(tmp_path)
    assert "METADATA is missing or damaged" in listed(tmp_path)["test-bad"]["why"]


DAMAGED = {
    "ours, malformed": (b"[kickai.providers]\nno equals sign\n", True),
    "ours, Latin-1": (b"[kickai.providers]\na = m\n[x]\nna\xefve = m\n", True),
    "another's, malformed": (b"[console_scripts]\nno equals sign\n", False),
    "another's, Latin-1": (b"[stranger]\nna\xefve = m\n", False),
}


@pytest.mark.parametrize(("content", "ours"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_entry_points_are_a_problem_when_they_may_be_ours(
    tmp_path: Path, content: bytes, *, ours: bool
) -> None:
    """Those of an unrelated package are skipped."""
    install(tmp_path, "test-bad", "")
    (tmp_path / "test_bad-1.0.dist-info" / "entry_points.txt").write_bytes(content)
    works(tmp_path)
    assert ("test-bad" in listed(tmp_path)) is ours


def test_a_broken_link_in_the_place_of_entry_points_is_a_problem(tmp_path: Path) -> None:
    """Nobody can know what it would have said."""
    install(tmp_path, "test-bad", "")
    file = tmp_path / "test_bad-1.0.dist-info" / "entry_points.txt"
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    works(tmp_path)
    assert "cannot be read" in listed(tmp_path)["test-bad"]["why"]


def test_one_object_under_two_names_is_one_problem(tmp_path: Path) -> None:
    """The first entry point works, and so does a wrapper whose module is named like a provider."""
    install(tmp_path, "mock", CUSTOM + HOOKS + "\n@hookimpl\ndef kickai_observe(event): ...\n")
    entries = "[kickai.providers]\none = test_bad\ntwo = test_bad\n"
    install(tmp_path, "test-bad", GOOD_HEAD, entries=entries)
    works(tmp_path)
    done = kickai(tmp_path, "providers", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["providers"] if row["distribution"] == "test-bad"}
    assert sorted(row["state"] for row in rows.values()) == ["broken", "ready"]
    assert "same object as the plugin one" in rows["two"]["why"]


@pytest.mark.parametrize("claim", ['name="fake"', 'name="bad", aliases=("fake",)', 'name="bad", aliases=("mock",)'])
def test_nobody_can_take_the_names_of_the_mock_provider(tmp_path: Path, claim: str) -> None:
    """Whatever name or alias of it another plugin claims as its name or alias, it answers."""
    install(tmp_path, "test-bad", GOOD_HEAD.replace("name='bad'", claim))
    works(tmp_path)


NOISE = {
    "print": "print('NOISE')",
    "standard error": "import sys; sys.stderr.write('NOISE')",
    "a replaced stream": "import io, sys; sys.stdout = io.StringIO(); print('NOISE')",
    "the buffer": "import sys; sys.stdout.buffer.write(b'NOISE')",
}


@pytest.mark.parametrize("source", NOISE.values(), ids=NOISE)
def test_what_an_import_writes_is_kept_back(tmp_path: Path, source: str) -> None:
    """The answer stays clean, and the plugin is named; so is the time of its import."""
    install(tmp_path, "test-bad", GOOD_HEAD + "\n" + source + "\nimport time; time.sleep(0.6)\n")
    done = works(tmp_path)
    assert "NOISE" not in done.stdout + done.stderr
    row = listed(tmp_path)["test-bad"]
    assert row["state"] == "ready"
    assert row["import_s"] >= 0.6
    assert any("its import wrote to sys.std" in told or "replaced sys.stdout" in told for told in row["warnings"])
    doctor = kickai(tmp_path, "doctor").stdout
    assert "test-bad): its import took" in doctor


WARNED = {
    "a field that does not exist": ('summary="answers", environment={"BAD_KEY": "no_field"}', "", "'no_field'"),
    "an unknown capability": ('summary="answers", capabilities=frozenset({"telepathy"})', "", "telepathy"),
    "an async observer": ('summary="answers"', "@hookimpl\nasync def kickai_observe(event): ...", "async function"),
    "settings that are not frozen": (
        'summary="answers", settings_class=S',
        "from kickai_providers_core import ProviderSettings\nclass S(ProviderSettings):\n    __setattr__ = object.__setattr__\n",  # noqa: E501
        "not frozen",
    ),
}


@pytest.mark.parametrize(("info", "more", "warning"), WARNED.values(), ids=WARNED)
def test_what_does_not_keep_a_plugin_from_work_is_one_warning(
    tmp_path: Path, info: str, more: str, warning: str
) -> None:
    """The plugin answers, and the warning names it."""
    install(tmp_path, "test-bad", GOOD_HEAD.replace('summary="answers"', info) + "\n" + more)
    assert kickai(tmp_path, "ask", "--chain", "bad", "hi").stdout == "from bad\n"
    row = listed(tmp_path)["test-bad"]
    assert row["state"] == "ready"
    assert len([told for told in row["warnings"] if warning in told]) == 1


def test_an_allow_list_entry_that_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    """The rest of the list counts."""
    tmp_path.mkdir(exist_ok=True)
    works(tmp_path, KICKAI_PLUGINS="mock,mok")
    assert "'mok'" in kickai(tmp_path, "doctor", KICKAI_PLUGINS="mock,mok").stdout


WRAPPER = HOOKS + CUSTOM + "\n@hookimpl(wrapper=True)\ndef kickai_invoke_provider():\n"
WRAPPED = {
    "raises before": "    raise KeyError('x')\n    yield\n",
    "raises after": "    yield\n    raise Panic()\n",
    "yields twice": "    reply = yield\n    yield\n    return reply\n",
    "returns None": "    yield\n",
    "does not yield": "    if 0: yield\n",
}


@pytest.mark.parametrize("body", WRAPPED.values(), ids=WRAPPED)
def test_a_wrapper_that_fails_is_named(tmp_path: Path, body: str) -> None:
    """The error names the wrapper, and no breaker counts it."""
    install(tmp_path, "test-wrapper", WRAPPER + body)
    done = kickai(tmp_path, "ask", "--chain", "mock:a", "hi")
    assert done.returncode == 1
    assert "the wrapper test-wrapper (from test-wrapper) of kickai_invoke_provider" in done.stderr
    assert "UnusableProviderError" in done.stderr


def test_an_observer_that_raises_is_reported_once(tmp_path: Path) -> None:
    """Its name and the exception's class are on standard error, without any option; the other observers go on."""
    install(tmp_path, "test-watch", HOOKS + CUSTOM + "\n@hookimpl\ndef kickai_observe(event):\n    raise Panic()\n")
    install(
        tmp_path,
        "test-late",
        HOOKS
        + "\n@hookimpl(specname='kickai_observe', trylast=True)\ndef watch():\n    open('seen', 'a').write('x')\n",
    )
    done = works(tmp_path)
    assert done.stderr.count("the observer test-watch (from test-watch) raised Panic") == 1
    assert (tmp_path / "seen").read_text() == "xxxx"
