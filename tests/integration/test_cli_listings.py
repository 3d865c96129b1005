"""``kickai providers``, ``kickai roles`` and ``kickai doctor`` with the mock provider and a broken plugin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("kickai_mock", reason="the settings of these tests are of kickai-mock")

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import CommandLine

WATCHER = """
from kickai_providers_core import hookimpl

@hookimpl
def kickai_observe(event):
    pass
"""

FUSSY = """
import time
from kickai_providers_core import FinishReason, Problem, ProviderInfo, Reply, hookimpl

SERVED = {"small", None}

@hookimpl
def kickai_provider_info():
    return ProviderInfo(name="fussy", summary="asks a service")

@hookimpl
def kickai_validate_provider(settings, online):
    if online and settings.model == "slow":
        time.sleep(30)
    if online and settings.model not in SERVED:
        yield Problem(path="model", message=f"{settings.model} is not served")

@hookimpl
def kickai_create_provider(settings):
    return object()

@hookimpl
def kickai_invoke_provider(provider, request, timeout_s):
    return Reply(text="hm", finish_reason=FinishReason.STOP)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of distributions on the path of this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def distribute(site: Path, name: str, source: str) -> None:
    """Install a distribution with one plugin into a folder."""
    module = f"{name.replace('-', '_')}_{os.getpid()}"
    (site / f"{module}.py").write_text(source, encoding="utf-8")
    info = site / f"{module}-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[kickai.providers]\n{name} = {module}\n", encoding="utf-8")


def provider(kickai: CommandLine, name: str, **env: str) -> dict[str, object]:
    """Return one row of ``kickai providers``."""
    rows = kickai("providers", "--json", env=env).json["providers"]
    return next(row for row in rows if row["name"] == name)


def test_a_ready_provider_is_listed(kickai: CommandLine) -> None:
    """With distribution, capabilities, native modes and instances."""
    row = provider(kickai, "mock")
    assert row["state"] == "ready"
    assert row["distribution"] == "kickai-mock"
    assert row["native"] == ["invoke", "ainvoke", "stream", "astream"]
    assert row["capabilities"] == ["images", "json_schema", "seed", "tools"]
    assert row["instances"] == [{"name": "mock", "state": "ready", "missing": [], "why": "", "model": None}]
    line = f"mock {row['version']} · kickai-mock · ready · imported in "
    assert any(each.startswith(line) for each in kickai("providers").out.splitlines())


ASYNCHRONOUS = """
from kickai_providers_core import FinishReason, ProviderInfo, Reply, hookimpl

@hookimpl
def kickai_provider_info():
    return ProviderInfo(name="tide", summary="Answers asynchronously")

@hookimpl
def kickai_create_provider(settings):
    return "tide"

@hookimpl
async def kickai_ainvoke_provider(provider):
    return Reply(text="Everybody.", finish_reason=FinishReason.STOP)
"""


def test_derived_modes_are_listed(kickai: CommandLine, site: Path) -> None:
    """A provider with one asynchronous hook is ready, and answers the blocking command line."""
    distribute(site, "tide", ASYNCHRONOUS)
    row = provider(kickai, "tide")
    assert (row["state"], row["native"], row["derived"]) == ("ready", ["ainvoke"], ["invoke", "stream", "astream"])
    assert "  derived: invoke, stream, astream" in kickai("providers").out.splitlines()
    assert provider(kickai, "mock")["derived"] == []
    assert kickai("ask", "hi", "--chain", "tide").out == "Everybody.\n"


def test_the_instances_of_a_provider_are_listed_with_their_states(kickai: CommandLine) -> None:
    """The provider is ready if one of them is."""
    kickai.write('[providers.odd]\nkind = "mock"\nlatency_s = 3\nlatency_max_s = 1\n')
    row = provider(kickai, "mock")
    assert row["state"] == "ready"
    lines = kickai("providers").out.splitlines()
    assert "  instance mock · ready" in lines
    assert "  instance odd · not configured (latency_max_s must be at least latency_s (3 s), got 1 s)" in lines


def test_a_broken_plugin_is_listed_with_the_reason(kickai: CommandLine, site: Path) -> None:
    """The other plugins are listed as usual."""
    distribute(site, "test-bad", "raise RuntimeError('no database')")
    distribute(site, "test-watcher", WATCHER)
    assert provider(kickai, "mock")["state"] == "ready"
    ended = kickai("providers")
    assert ended.code == 0
    assert "test-bad 2.1 · test-bad · broken: its import raised RuntimeError: no database" in ended.out
    assert (
        "  extension: observes events, ranks targets, opens stores, or wraps or answers the calls of providers"
        in ended.out.splitlines()
    )


def test_calling_a_broken_plugin_shows_why_it_is_broken(kickai: CommandLine, site: Path) -> None:
    """There is no advice to install it."""
    distribute(site, "test-bad", "raise RuntimeError('no database')")
    kickai.write('[kickai]\nprimary = "test-bad"\nfallback = ["mock"]\n')
    ended = kickai("ask", "hi")
    assert ended.code == 2
    assert ended.err.startswith(
        "kickai: provider 'test-bad' is not available: plugin test-bad (from test-bad): its import raised"
    )
    assert kickai("providers").code == 0


def test_a_plugin_that_is_not_allowed_is_listed(kickai: CommandLine, site: Path) -> None:
    """Its code never runs."""
    distribute(site, "test-forbidden", "raise RuntimeError('ran')")
    assert provider(kickai, "test-forbidden", KICKAI_PLUGINS="mock")["state"] == "not allowed"
    assert (
        "test-forbidden 2.1 · test-forbidden · not allowed" in kickai("providers", env={"KICKAI_PLUGINS": "mock"}).out
    )


def test_an_empty_allow_list_allows_no_plugin(kickai: CommandLine) -> None:
    """All plugins are listed as not allowed."""
    ended = kickai("providers", env={"KICKAI_PLUGINS": "none"})
    assert (ended.code, "not allowed" in ended.out) == (0, True)


def test_every_role_is_listed_with_targets_values_and_sources(kickai: CommandLine) -> None:
    """The ten roles of the catalogue and the default role, with retired models and their successors."""
    listed = kickai("roles", "--json").json
    roles = {role["name"]: role for role in listed["roles"]}
    assert len(roles) == 11
    assert listed["sources"]["primary"] == "default"
    squad = roles["squad_selector"]
    assert (squad["temperature"], squad["max_tokens"], squad["group"]) == (0.7, 600, "creative")
    assert squad["sources"] == dict.fromkeys(("group", "temperature", "max_tokens"), "catalogue kickai")
    first, *_, gemini, local = squad["targets"]
    assert (first["provider"], first["model"], first["source"]) == (
        "huggingface",
        "google/gemma-2-2b-it",
        "catalogue kickai",
    )
    assert gemini["planned"] == "gemini-1.5-flash"
    assert gemini["model"] != gemini["planned"]
    assert local == {
        "provider": "local",
        "model": None,
        "planned": None,
        "source": "the provider's own model",
    }


def test_a_role_shows_the_source_of_changed_values(kickai: CommandLine) -> None:
    """A field, a group with its temperature, a chain, and the models of one provider."""
    kickai.write(
        "[roles.team_manager]\ntemperature = 0.4\n"
        '[roles.help_assistant]\ngroup = "creative"\n'
        '[roles.mine]\nmax_tokens = 9\nchain = ["mock:a", "mock:gemini-1.5-flash"]\n'
        '[roles.learning_agent.models]\ngemini = ["gemini-9"]\n'
    )
    roles = {role["name"]: role for role in kickai("roles", "--json").json["roles"]}
    assert roles["team_manager"]["sources"] == {
        "group": "catalogue kickai",
        "temperature": "kickai.toml",
        "max_tokens": "catalogue kickai",
    }
    assert roles["help_assistant"]["temperature"] == 0.7
    assert roles["help_assistant"]["sources"]["temperature"] == "group creative, kickai.toml"
    mine = roles["mine"]
    assert mine["sources"] == {"group": "default", "temperature": "default", "max_tokens": "kickai.toml"}
    assert {target["source"] for target in mine["targets"]} == {"kickai.toml"}
    assert [target["planned"] for target in mine["targets"]] == [None, "gemini-1.5-flash"]
    sources = {target["provider"]: target["source"] for target in roles["learning_agent"]["targets"]}
    assert sources == {
        "huggingface": "catalogue kickai",
        "gemini": "kickai.toml",
        "local": "the provider's own model",
    }


def test_one_role_can_be_listed(kickai: CommandLine) -> None:
    """An unknown role gets the default role, with a warning."""
    ended = kickai("roles", "squad_selector")
    heading, _, role, *targets = ended.out.splitlines()
    assert heading == "catalogue kickai · primary huggingface (default) · fallback gemini, local (default)"
    assert role == "squad_selector · creative · temperature 0.7 (catalogue kickai) · 600 tokens (catalogue kickai)"
    assert targets[0].split() == ["1.", "huggingface:google/gemma-2-2b-it", "catalogue", "kickai"]
    assert any(line.endswith("catalogue kickai, replaces gemini-1.5-flash (retired)") for line in targets)
    unknown = kickai("roles", "squad_selectr", env={"AI_PROVIDER": "mock"})
    assert unknown.code == 0
    assert unknown.out.startswith("catalogue kickai · primary huggingface (default) · fallback gemini, local")
    assert "preferred mock (environment AI_PROVIDER)" in unknown.out
    assert (
        unknown.err
        == "warning: unknown role 'squad_selectr', so the default role is used; did you mean squad_selector?\n"
    )


def test_the_default_role_shows_the_source_of_changed_values(kickai: CommandLine) -> None:
    """The rest comes from the catalogue."""
    kickai.write("[roles.default]\ntemperature = 0.9\n")
    role = kickai("roles", "nobody").out.splitlines()[2]
    assert role == "default · temperature 0.9 (kickai.toml) · 500 tokens (catalogue kickai)"


def test_valid_settings_have_no_errors(kickai: CommandLine) -> None:
    """The exit code is 0, and the last line has the numbers."""
    kickai.write('[kickai]\nprimary = "mock"\nfallback = []\n')
    ended = kickai("doctor")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == "settings: kickai.toml"
    assert "ok       providers.mock: configured" in ended.out.splitlines()
    assert ended.out.splitlines()[-1].startswith("0 errors, 0 warnings")


def test_a_problem_of_a_configured_instance_is_an_error(kickai: CommandLine, site: Path) -> None:
    """So is a broken plugin; the exit code is 1."""
    distribute(site, "test-bad", "raise RuntimeError('no database')")
    kickai.write('[kickai]\nprimary = "mock"\nfallback = []\n[providers.mock]\nlatency_s = 3\nlatency_max_s = 1\n')
    ended = kickai("doctor", "--json")
    assert ended.code == 1
    assert ended.json["ok"] is False
    errors = [each for each in ended.json["findings"] if each["severity"] == "error"]
    assert [each["path"] for each in errors] == ["", "providers.mock.latency_max_s", ""]
    assert "its import raised RuntimeError: no database" in errors[0]["message"]
    assert errors[2]["message"] == "no provider can answer"


def test_invalid_settings_are_listed_with_broken_plugins(kickai: CommandLine, site: Path) -> None:
    """All at once, with exit code 2."""
    distribute(site, "test-bad", "raise RuntimeError('no database')")
    kickai.write("[kickai]\ndeadline_s = -1\n[providers.mock]\nrepply = 'a'\n")
    ended = kickai("doctor")
    assert ended.code == 2
    errors = [line for line in ended.out.splitlines() if line.startswith("error")]
    assert len(errors) == 3
    assert "kickai.deadline_s" in errors[0]
    assert "providers.mock.repply" in errors[1]
    assert "Did you mean 'reply'?" in errors[1]
    assert "plugin test-bad" in errors[2]


def test_online_checks_each_model_that_a_role_calls(kickai: CommandLine, site: Path) -> None:
    """A model that is not served is reported with its roles; offline it is not."""
    distribute(site, "test-fussy", FUSSY)
    kickai.write(
        '[kickai]\nprimary = "fussy"\nfallback = ["mock"]\n'
        '[roles.a]\nmodels = { fussy = ["small", "gone"] }\n[roles.b]\nchain = ["fussy:away", "mock"]\n'
    )
    assert kickai("doctor").code == 0
    ended = kickai("doctor", "--online")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert "error    fussy:away: away is not served (used by b)" in lines
    assert "warning  fussy:gone: gone is not served (used by a)" in lines
    assert not any("small" in line for line in lines if "prices" not in line)


def test_an_online_check_has_a_time_limit(kickai: CommandLine, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not respond is reported, and the others are checked."""
    monkeypatch.setattr("kickai_providers_core.cli.check_runner.CHECK_S", 0.3)
    distribute(site, "test-fussy", FUSSY)
    kickai.write('[kickai]\nprimary = "fussy"\nfallback = ["mock"]\n[providers.fussy]\nmodel = "slow"\n')
    ended = kickai("doctor", "--online")
    assert ended.code == 1
    assert "error    providers.fussy: the service did not respond to the check within 0.3 s" in ended.out
    assert "ok       providers.mock: reachable" in ended.out
