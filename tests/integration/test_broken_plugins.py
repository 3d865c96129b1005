"""Plugins that are broken in every way that we could think of, really installed: each costs only itself.

All of them are installed at once, and each command runs once: what one of them breaks, the commands show.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from command_line import PROGRAM, environment
from distributions import GOOD

from kickai_providers_core import Resolver
from kickai_providers_core.cli.command_group import run

if TYPE_CHECKING:
    from collections.abc import Mapping

HOOKS = (
    "from kickai_providers_core import *\nfrom kickai_providers_core import ProviderInfo, ProviderSettings, hookimpl\n"
)
CUSTOM = "class Panic(BaseException):\n    def __str__(self): raise RuntimeError('no text')\n    __repr__ = __str__\n"
RAISED = ("ValueError('v')", "SystemExit(3)", "GeneratorExit()", "Panic()", "__import__('asyncio').CancelledError()")


def install(
    site: Path, name: str, source: str, *, entries: str = "", metadata: str | None = None, module: str = ""
) -> Path:
    """Write a distribution with one module into a folder of the path; return the folder of its metadata."""
    module = module or name.replace("-", "_")
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" if metadata is None else metadata
    if text:
        (info / "METADATA").write_text(text, encoding="utf-8")
    (info / "entry_points.txt").write_text(entries or f"[kickai.providers]\n{name} = {module}\n", encoding="utf-8")
    return info


def kickai(site: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program with a folder on its path."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=site,
        env={**environment(PYTHONPATH=str(site)), **variables},
        timeout=300,
    )


GOOD_HEAD = GOOD.format(name="NAME")
"""A provider that works; each distribution puts its own name in the place of NAME."""

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
        "its settings class S rejects its own defaults: ValueError",
    ),
    "default factory that raises": (
        HOOKS
        + GOOD_HEAD.replace('summary="answers"', 'summary="answers", settings_class=S')
        + "\nimport attrs\n@attrs.frozen(kw_only=True)\nclass S(ProviderSettings):\n"
        "    n: int = attrs.field(factory=lambda: 1 / 0)\n",
        "its settings class S rejects its own defaults: ZeroDivisionError",
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


NO_METADATA = {
    "missing": "",
    "without a name": "Metadata-Version: 2.1\nVersion: 1.0\n",
    "without a version": "Metadata-Version: 2.1\nName: NAME\n",
}
DAMAGED = {
    "ours, malformed": (b"[kickai.providers]\nno equals sign\n", True),
    "ours, Latin-1": (b"[kickai.providers]\na = m\n[x]\nna\xefve = m\n", True),
    "another's, malformed": (b"[console_scripts]\nno equals sign\n", False),
    "another's, Latin-1": (b"[stranger]\nna\xefve = m\n", False),
}
CLAIMS = {
    "its alias as a name": 'name="fake"',
    "its alias as an alias": 'name="NAME", aliases=("fake",)',
    "its name as an alias": 'name="NAME", aliases=("mock",)',
}
NOISE = {
    "print": "print('NOISE')",
    "standard error": "import sys; sys.stderr.write('NOISE')",
    "a replaced stream": "import io, sys; sys.stdout = io.StringIO(); print('NOISE')",
    "the buffer": "import sys; sys.stdout.buffer.write(b'NOISE')",
}
LOW_NOISE = {
    "a descriptor": "import os; os.write(1, b'NOISE')",
    "a subprocess": "import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', 'print(\"NOISE\")'])",
    "the first stream": "import sys; sys.__stdout__.write('NOISE'); sys.__stdout__.flush()",
    "the C library": "import ctypes; ctypes.CDLL(None).puts(b'NOISE')",
}
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


@frozen
class Crowd:
    """All broken plugins in one folder, and what each command says of them.

    Attributes:
        site: The folder.
        names: The distribution of each case, by its name in the tables above.
        ask: How ``kickai ask --json`` ended.
        rows: What ``kickai providers --json`` says, by distribution.
        doctor: How ``kickai doctor`` ended.
    """

    site: Path
    names: Mapping[str, str]
    ask: subprocess.CompletedProcess[str]
    rows: Mapping[str, list[dict[str, Any]]]
    doctor: subprocess.CompletedProcess[str]

    def row(self, case: str) -> dict[str, Any]:
        """Return what ``kickai providers`` says of the only plugin of a case."""
        (row,) = self.rows[self.names[case]]
        return row


def _sources() -> dict[str, str]:
    return {
        **{case: source for case, (source, _) in BROKEN.items()},
        **{case: GOOD_HEAD.replace("name='NAME'", claim) for case, claim in CLAIMS.items()},
        **{case: f"{GOOD_HEAD}\n{source}\n" for case, source in {**NOISE, **LOW_NOISE}.items()},
        **{
            case: f"{GOOD_HEAD}".replace('summary="answers"', info) + "\n" + more
            for case, (info, more, _) in WARNED.items()
        },
        "slow": GOOD_HEAD + "\nimport time; time.sleep(0.6)\n",
    }


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    """Return all broken plugins, having run each command once."""
    site = tmp_path_factory.mktemp("crowd")
    names: dict[str, str] = {}
    for number, (case, source) in enumerate(_sources().items()):
        names[case] = name = f"test-bad{number}"
        install(site, name, source.replace("NAME", name))
    for case, metadata in NO_METADATA.items():
        names[case] = name = f"test-unnamed-{len(names)}"
        install(site, name, GOOD.format(name=name), metadata=metadata.replace("NAME", name))
    for case, (content, _) in DAMAGED.items():
        names[case] = name = f"test-damaged-{len(names)}"
        (install(site, name, "") / "entry_points.txt").write_bytes(content)
    names["a broken candidate"] = "test-candidate"
    candidate = install(site, "test-candidate", "") / "entry_points.txt"
    candidate.unlink()
    candidate.symlink_to(site / "nowhere")
    install(site, "mock", CUSTOM + HOOKS + "\n@hookimpl\ndef kickai_observe(event): ...\n")
    twice = "[kickai.providers]\none = test_twice\ntwo = test_twice\n"
    install(site, "test-twice", GOOD.format(name="twice"), entries=twice)
    install(site, "test-good", GOOD.format(name="good"))
    ask = kickai(site, "ask", "--json", "--chain", "mock:a", "hi")
    listed = kickai(site, "providers", "--json")
    assert listed.returncode == 0, listed.stderr
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(listed.stdout)["providers"]:
        rows.setdefault(row["distribution"], []).append(row)
    return Crowd(site, names, ask, rows, kickai(site, "doctor"))


def test_another_provider_answers_and_nothing_else_is_written(crowd: Crowd) -> None:
    """Standard output is the answer alone, whatever the imports of the others wrote, at whichever level."""
    assert crowd.ask.returncode == 0, crowd.ask.stderr
    assert json.loads(crowd.ask.stdout)["provider"] == "mock"
    assert crowd.doctor.returncode in {0, 1}, crowd.doctor.stderr
    assert "NOISE" not in crowd.ask.stdout + crowd.doctor.stdout
    assert (crowd.rows["test-good"][0]["state"], crowd.rows["test-good"][0]["warnings"]) == ("ready", [])


@pytest.mark.parametrize(("case", "fault"), [(case, fault) for case, (_, fault) in BROKEN.items()], ids=BROKEN)
def test_a_broken_plugin_is_one_named_problem(crowd: Crowd, case: str, fault: str) -> None:
    """``kickai providers`` and ``doctor`` name the plugin with its fault."""
    row = crowd.row(case)
    assert row["state"] == "broken"
    assert fault in row["why"]
    assert crowd.doctor.stdout.count(f"plugin {crowd.names[case]} ") == 1


@pytest.mark.parametrize("case", NO_METADATA)
def test_damaged_metadata_is_one_named_problem(crowd: Crowd, case: str) -> None:
    """A distribution that nobody can name is not loaded."""
    assert "METADATA is missing or damaged" in crowd.row(case)["why"]


@pytest.mark.parametrize(("case", "ours"), [(case, ours) for case, (_, ours) in DAMAGED.items()], ids=DAMAGED)
def test_damaged_entry_points_are_a_problem_when_they_may_be_ours(crowd: Crowd, case: str, *, ours: bool) -> None:
    """Those of an unrelated package are skipped."""
    assert (crowd.names[case] in crowd.rows) is ours


def test_a_broken_link_in_the_place_of_entry_points_is_a_problem(crowd: Crowd) -> None:
    """Nobody can know what it would have said."""
    assert "cannot be read" in crowd.row("a broken candidate")["why"]


def test_one_object_under_two_names_is_one_problem(crowd: Crowd) -> None:
    """The first entry point works, and so does an observer whose module is named like a provider."""
    rows = {row["name"]: row for row in crowd.rows["test-twice"]}
    assert sorted(row["state"] for row in rows.values()) == ["broken", "ready"]
    assert "same object as the plugin one" in rows["two"]["why"]
    assert crowd.rows["mock"][0]["state"] == "ready"


def test_nobody_can_take_the_names_of_the_mock_provider(crowd: Crowd) -> None:
    """Whatever name or alias of it another plugin claims as its name or alias, it is ready."""
    assert crowd.rows["kickai-mock"][0]["state"] == "ready"


@pytest.mark.parametrize("case", [*NOISE, *LOW_NOISE])
def test_what_an_import_writes_is_a_warning_that_names_the_plugin(crowd: Crowd, case: str) -> None:
    """The plugin is ready all the same; what it wrote is not shown on either stream when it can be kept back."""
    row = crowd.row(case)
    assert row["state"] == "ready"
    if case in NOISE:
        assert any(
            "its import wrote to sys.std" in message or "replaced sys.stdout" in message for message in row["warnings"]
        )


def test_a_slow_import_is_named_with_its_time(crowd: Crowd) -> None:
    """``kickai providers`` shows the time, and ``kickai doctor`` warns."""
    assert crowd.row("slow")["import_s"] >= 0.6
    assert f"from {crowd.names['slow']}): its import took" in crowd.doctor.stdout


@pytest.mark.parametrize(("case", "warning"), [(case, message) for case, (_, _, message) in WARNED.items()], ids=WARNED)
def test_what_does_not_keep_a_plugin_from_work_is_one_warning(crowd: Crowd, case: str, warning: str) -> None:
    """The plugin is ready, and the warning names it."""
    row = crowd.row(case)
    assert row["state"] == "ready"
    assert len([message for message in row["warnings"] if warning in message]) == 1


def test_an_allow_list_entry_that_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    """The other entries of the list apply."""
    done = kickai(tmp_path, "doctor", KICKAI_PLUGINS="mock,mok", KICKAI_PRIMARY="mock", KICKAI_FALLBACK="none")
    assert done.returncode == 0, done.stdout
    assert "'mok'" in done.stdout


def test_a_wrapper_that_fails_is_named(tmp_path: Path) -> None:
    """The command line names the wrapper, and the provider is not blamed."""
    wrapper = "\n@hookimpl(wrapper=True)\ndef kickai_invoke_provider():\n    yield\n    raise KeyError('x')\n"
    install(tmp_path, "test-wrapper", HOOKS + wrapper)
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
    done = kickai(tmp_path, "ask", "--json", "--chain", "mock:a", "hi")
    assert json.loads(done.stdout)["provider"] == "mock"
    assert done.stderr.count("the observer test-watch (from test-watch) raised Panic") == 1
    assert (tmp_path / "seen").read_text() == "xxxx"


def test_quiet_hides_the_warning_about_an_observer_unless_the_command_fails(tmp_path: Path) -> None:
    """An answer comes alone; a failure comes with what may have led to it."""
    install(tmp_path, "test-watch", HOOKS + CUSTOM + "\n@hookimpl\ndef kickai_observe(event):\n    raise Panic()\n")
    assert kickai(tmp_path, "ask", "-q", "--chain", "mock:a", "hi").stderr == ""
    failed = kickai(tmp_path, "ask", "-q", "--chain", "mock:timeout", "hi")
    assert failed.returncode == 1
    assert failed.stderr.count("the observer test-watch (from test-watch) raised Panic") == 1


HANGS = {
    "its import": ("import time\ntime.sleep(20)\n" + GOOD_HEAD, "its import did not finish within 2 s"),
    "its description": (
        GOOD_HEAD.replace("    return ProviderInfo", "    import time; time.sleep(20)\n    return ProviderInfo"),
        "kickai_provider_info did not return within 2 s",
    ),
}


@pytest.mark.parametrize(("source", "fault"), HANGS.values(), ids=HANGS)
def test_a_plugin_that_hangs_is_one_named_problem(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    fault: str,
) -> None:
    """Each command and each resolver waits for it for as long as it may take, and the others work."""
    name = f"test-hangs-{len(fault)}"
    install(tmp_path, name, source.replace("NAME", name))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run(("providers", "--json"), load_timeout_s=2.0) == 0
    rows = {row["distribution"]: row for row in json.loads(capsys.readouterr().out)["providers"]}
    assert fault in rows[name]["why"]
    with Resolver.from_settings({}, load_timeout_s=2.0) as resolver:
        assert resolver.chain("mock:a").invoke("hi").provider == "mock"
        assert any(plugin.distribution == name and plugin.error is not None for plugin in resolver.discovery.plugins)
