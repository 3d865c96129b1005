"""The installed program in an empty folder: which provider answers when no settings file names one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import Ended, installed

from kickai_providers_core.testing.chat_completions import ChatWire
from kickai_providers_core.testing.faults import FaultServer, Ok, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("kickai_mock")
pytest.importorskip("kickai_openai", reason="runs in nox -s together")

GUIDE = (Path(__file__).parents[2] / "docs" / "writing-a-provider.md").read_text(encoding="utf-8")
FALCON = re.search(r'^```python title="kickai_falcon\.py"\n(.*?)^```$', GUIDE, re.DOTALL | re.MULTILINE)
METADATA = "Metadata-Version: 2.1\nName: kickai-falcon\nVersion: 1.0\n"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Return an empty folder; the plugin of the guide is installed elsewhere."""
    site, folder = tmp_path / "site", tmp_path / "empty"
    info = site / "kickai_falcon-1.0.dist-info"
    info.mkdir(parents=True)
    folder.mkdir()
    assert FALCON is not None
    (site / "kickai_falcon.py").write_text(FALCON[1], encoding="utf-8")
    (info / "METADATA").write_text(METADATA, encoding="utf-8")
    (info / "entry_points.txt").write_text("[kickai.providers]\nfalcon = kickai_falcon:plugin\n", encoding="utf-8")
    return folder


@pytest.fixture
def falcon() -> Iterator[FaultServer]:
    """Run the service of the guide's plugin."""
    with FaultServer(ChatWire(), Ok("falcon answers")) as server:
        yield server


@pytest.fixture
def openai() -> Iterator[FaultServer]:
    """Run the service of kickai-openai."""
    with FaultServer(ChatWire(), Ok("openai answers")) as server:
        yield server


def run(folder: Path, *arguments: str, plugins: str = "falcon,openai,mock", **variables: str) -> Ended:
    """Run the installed program with some of the plugins."""
    site = str(folder.parent / "site")
    return installed(*arguments, folder=folder, PYTHONPATH=site, KICKAI_PLUGINS=plugins, **variables)


def test_the_only_provider_with_a_key_answers(empty: Path, falcon: FaultServer) -> None:
    """A plugin of somebody else needs no settings file, and doctor names it."""
    variables = {"FALCON_KEY": "canary", "KICKAI_PROVIDERS__FALCON__BASE_URL": falcon.url}
    ended = run(empty, "ask", "hi", **variables)
    assert (ended.code, ended.out) == (0, "falcon answers\n"), ended.err
    assert [request.headers["authorization"] for request in falcon.requests] == ["Bearer canary"]
    doctor = run(empty, "doctor", **variables)
    assert doctor.code == 0, doctor.out
    assert re.search("^ok +kickai ask calls falcon$", doctor.out, re.MULTILINE)


def test_several_providers_with_keys_are_called_by_name(empty: Path, falcon: FaultServer, openai: FaultServer) -> None:
    """The first is falcon; when it fails, openai answers."""
    variables = {
        "FALCON_KEY": "canary",
        "OPENAI_API_KEY": "canary",
        "KICKAI_PROVIDERS__FALCON__BASE_URL": falcon.url,
        "KICKAI_PROVIDERS__OPENAI__BASE_URL": openai.url,
        "KICKAI_PROVIDERS__FALCON__RETRIES": "0",
    }
    assert run(empty, "ask", "hi", **variables).out == "falcon answers\n"
    falcon.default = Status(503, "unavailable")
    ended = run(empty, "ask", "hi", **variables)
    assert (ended.code, ended.out) == (0, "openai answers\n"), ended.err
    doctor = run(empty, "doctor", **variables)
    assert re.search("^ok +kickai ask calls falcon, then openai$", doctor.out, re.MULTILINE), doctor.out


def test_a_preset_is_chosen_by_a_variable(empty: Path, openai: FaultServer) -> None:
    """The key of the preset's service is enough then."""
    variables = {
        "KICKAI_PROVIDERS__OPENAI__PRESET": "groq",
        "KICKAI_PROVIDERS__OPENAI__BASE_URL": openai.url,
        "KICKAI_PROVIDERS__OPENAI__MODEL": "llama-3.1-8b-instant",
        "GROQ_API_KEY": "canary",
    }
    ended = run(empty, "ask", "hi", **variables)
    assert (ended.code, ended.out) == (0, "openai answers\n"), ended.err
    assert [request.headers["authorization"] for request in openai.requests] == ["Bearer canary"]


def test_the_key_of_a_preset_alone_is_noticed(empty: Path) -> None:
    """The error and doctor say which variables choose the preset, and nothing once an instance has it."""
    hint = (
        "GROQ_API_KEY is set, but no instance has the preset groq; "
        "KICKAI_PROVIDERS__OPENAI__PRESET=groq and KICKAI_PROVIDERS__OPENAI__MODEL choose it"
    )
    ended = run(empty, "ask", "hi", GROQ_API_KEY="canary")
    assert ended.code == 1
    assert hint in ended.err.splitlines()
    assert re.search(f"^note +{re.escape(hint)}$", run(empty, "doctor", GROQ_API_KEY="canary").out, re.MULTILINE)
    (empty / "kickai.toml").write_text('[providers.fast]\nkind = "openai"\npreset = "groq"\n', encoding="utf-8")
    doctor = run(empty, "doctor", GROQ_API_KEY="canary").out
    assert "no instance has" not in doctor
    assert "providers.fast: configured" in doctor


def test_without_a_key_the_error_names_each_missing_variable(empty: Path) -> None:
    """The mock does not answer a real question; the error says how to call it."""
    ended = run(empty, "ask", "hi")
    assert (ended.code, ended.out) == (1, "")
    lines = ended.err.splitlines()
    assert "falcon: not configured (FALCON_KEY)" in lines
    assert "openai: not configured (OPENAI_API_KEY)" in lines
    assert "mock: not called by default; KICKAI_PRIMARY=mock calls it" in lines
    assert lines[-2] == "kickai: no target could answer"


def test_doctor_says_what_to_do_without_a_key(empty: Path) -> None:
    """It names each variable, and the providers that need none."""
    doctor = run(empty, "doctor")
    assert doctor.code == 1
    assert "no provider can answer" in doctor.out
    for remedy in ("FALCON_KEY", "OPENAI_API_KEY", "KICKAI_PRIMARY=mock"):
        assert remedy in doctor.out.splitlines()[1], doctor.out
    assert "kickai ask calls" not in doctor.out


def test_a_provider_without_a_key_is_called_when_it_is_named(empty: Path) -> None:
    """That is what doctor and the error say."""
    ended = run(empty, "ask", "hi", KICKAI_PRIMARY="mock")
    assert (ended.code, ended.out) == (0, "hi\n"), ended.err
    doctor = run(empty, "doctor", KICKAI_PRIMARY="mock")
    assert re.search("^ok +kickai ask calls mock$", doctor.out, re.MULTILINE)


def test_an_order_that_was_chosen_is_kept(empty: Path, falcon: FaultServer) -> None:
    """With a primary or a fallback, other providers with a key are not called, and doctor says so."""
    variables = {"FALCON_KEY": "canary", "KICKAI_PROVIDERS__FALCON__BASE_URL": falcon.url, "KICKAI_PRIMARY": "openai"}
    ended = run(empty, "ask", "hi", **variables)
    assert (ended.code, falcon.requests) == (1, [])
    assert "falcon: not called by default; KICKAI_PRIMARY=falcon calls it" in ended.err.splitlines()
    doctor = run(empty, "doctor", **variables)
    assert (
        "providers.falcon: configured, but no chain calls it; KICKAI_PRIMARY=falcon lets kickai ask call it"
        in doctor.out
    )
