"""``kickai rollout``: changes of the stored rollout, and what it shows of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.observability.rollout_controller import PLAN
from kickai_providers_core.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from command_line import CommandLine

SETTINGS = """
[kickai]
primary = "mock"
fallback = ["other"]

[providers.other]
kind = "mock"

[store]
url = "sqlite:///kickai.db"
"""


@pytest.fixture(name="store_file", autouse=True)
def _store_file(kickai: CommandLine) -> None:
    """Write settings with a store."""
    kickai.folder.joinpath("kickai.toml").write_text(SETTINGS)


def test_without_a_store_the_line_to_add_is_shown(kickai: CommandLine) -> None:
    """A rollout that only one process knows would be useless."""
    for settings in ("", '[store]\nurl = "memory:"\n'):
        kickai.folder.joinpath("kickai.toml").write_text(settings)
        done = kickai("rollout", "status")
        assert done.code == 2
        assert '[store]\n  url = "sqlite:///kickai.db"' in done.err


def test_without_a_command_the_help_is_shown(kickai: CommandLine) -> None:
    """On standard error, with the exit code of wrong usage."""
    done = kickai("rollout")
    assert (done.code, done.out) == (2, "")
    assert "kickai rollout ramp huggingface" in done.err


def test_a_rollout_from_start_to_end(kickai: CommandLine) -> None:
    """Set, ramp, pause, resume, back: each says what it did, and the history has them all."""
    steps = [
        (("set", "mock", "25%", "--why", "a first test"), "mock at 25% of all roles"),
        (
            ("ramp", "mock", "1%,50%,100%", "--hold", "30m"),
            "ramp of mock for all roles: 1%, 50%, 100%, each held for 30m",
        ),
        (("pause",), "ramp of all roles paused"),
        (("resume",), "ramp of all roles resumed at 25%"),
        (("back", "--role", "team_manager"), "mock back to 0% of the role team_manager"),
        (("back",), "mock back to 0% of all roles"),
        (("remove", "--role", "team_manager"), "rollout of mock for the role team_manager removed, at 0%"),
        (("remove", "--why", "finished"), "rollout of mock for all roles removed, at 0%"),
    ]
    for arguments, expected in steps:
        done = kickai("rollout", *arguments)
        assert (done.code, done.out.strip(), done.err) == (0, expected, "")
    history = kickai("rollout", "history", "--json").json["history"]
    assert [entry["what"] for entry in reversed(history)] == [expected for _, expected in steps]
    assert history[-1]["why"] == "a first test"
    assert all(re.fullmatch(r".+@.+", entry["who"]) for entry in history)
    lines = kickai("rollout", "history", "--limit", "2").out.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("rollout of mock for all roles removed, at 0% (finished)")
    assert kickai("rollout", "remove").err.strip().endswith("No rollout exists for all roles.")
    assert kickai("rollout", "status", "--json").json == {"version": len(steps), "rollouts": []}


def test_the_status_shows_share_state_evidence_and_guard(kickai: CommandLine) -> None:
    """For a reader and as JSON."""
    assert "No rollout. Start one with: kickai rollout set" in kickai("rollout", "status").out
    kickai("rollout", "set", "mock", "25%", "--exclude", "--shadow", "10%")
    shown = kickai("rollout", "status").out
    assert "all roles: mock 25%, fixed share" in shown
    assert "excluded from the other requests" in shown
    assert "shadowing 10% of the other requests" in shown
    assert "guard: no first attempt of the candidate has been counted" in shown
    status = kickai("rollout", "status", "--json").json
    (rollout,) = status["rollouts"]
    assert status["version"] == 1
    assert (rollout["scope"], rollout["candidate"], rollout["share"], rollout["shadow"]) == ("*", "mock", 0.25, 0.1)
    assert rollout["guard"]["action"] == "hold"
    assert rollout["evidence"] == {arm: {"requests": 0, "failures": 0} for arm in ("candidate", "control")}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("other", "another", "they have no provider other"),
        (
            'primary = "mock"\nfallback = ["other"]',
            'primary = "other"\nfallback = []',
            "no chain has another provider than other",
        ),
        ("[kickai]", '[kickai]\npreferred = "mock"', "kickai.preferred (kickai.toml) puts mock first"),
    ],
)
def test_why_a_rollout_is_not_followed(kickai: CommandLine, before: str, after: str, reason: str) -> None:
    """Processes with these settings do without it, so the share alone would be misleading."""
    kickai("rollout", "set", "other", "25%")
    assert "not followed" not in kickai("rollout", "status").out + kickai("doctor").out
    kickai.folder.joinpath("kickai.toml").write_text(SETTINGS.replace(before, after))
    for command in (("rollout", "status"), ("rollout", "why"), ("doctor",)):
        assert f"no effect with these settings: {reason}" in kickai(*command).out


def test_why_explains_the_share(kickai: CommandLine) -> None:
    """The latest change and what the guard waits for; a role without its own rollout has that of all."""
    assert "each role calls its own chain" in kickai("rollout", "why").out
    kickai("rollout", "set", "mock", "25%", "--why", "cheaper")
    shown = kickai("rollout", "why", "--role", "team_manager").out
    assert "all roles: mock 25%" in shown
    assert re.search(r"latest change: mock at 25% of all roles, by .+ on .+ UTC, because cheaper", shown)
    explained = kickai("rollout", "why", "--json").json
    assert explained["latest"][0]["why"] == "cheaper"


def test_why_names_the_latest_change_of_each_rollout(kickai: CommandLine) -> None:
    """A later change of a role does not explain the share of the others."""
    kickai("rollout", "set", "mock", "25%", "--why", "cheaper")
    kickai("rollout", "set", "mock", "5%", "--role", "team_manager", "--why", "slower")
    latest = kickai("rollout", "why", "--json").json["latest"]
    assert [entry["why"] for entry in latest] == ["cheaper", "slower"]
    assert "slower" not in kickai("rollout", "why", "--role", "squad_selector").out


@pytest.mark.parametrize("name", ["status", "set", "ramp", "pause", "resume", "back", "history", "why"])
def test_the_help_of_each_command_has_an_example(kickai: CommandLine, name: str) -> None:
    """Which names the command."""
    shown = kickai("rollout", name, "--help").out
    assert f"  Examples:\n    kickai rollout {name}" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "mck", "5%"), "Unknown provider 'mck'. Did you mean 'mock'?"),
        (("set", "mock", "101%"), "a share must be a percentage from 0% to 100%, such as 25% or 0.1%, got '101%'"),
        (("set", "mock", "5%", "--role", "team_manger"), "Unknown role 'team_manger'. Did you mean 'team_manager'?"),
        (("set", "mock", "5%", "--shadow", "x"), "a share must be a percentage"),
        (("ramp", "mock", "5%,1%"), "shares must be above 0% and in rising order, got 5%, 1%"),
        (("ramp", "mock", "5%", "--hold", "soon"), "such as 90s, 30m, 1h or 2d, got 'soon'"),
        (("pause",), "No rollout exists for all roles."),
        (("resume",), "No rollout exists for all roles."),
        (("back",), "No rollout exists for all roles."),
        (("back", "--role", "nobody"), "Unknown role 'nobody'."),
    ],
)
def test_a_change_that_does_not_fit_is_refused(kickai: CommandLine, arguments: tuple[str, ...], message: str) -> None:
    """With the exit code of wrong usage, and nothing is written."""
    done = kickai("rollout", *arguments)
    assert done.code == 2
    assert message in " ".join(done.err.split())
    assert kickai("rollout", "history").out == "No change so far.\n"


def test_a_change_of_another_version_is_refused(kickai: CommandLine) -> None:
    """Two operators cannot overwrite each other: the second one learns who came first."""
    kickai("rollout", "set", "mock", "5%")
    kickai("rollout", "set", "mock", "10%")
    done = kickai("rollout", "set", "mock", "90%", "--expect", "1")
    assert done.code == 1
    assert "(mock at 10% of all roles) and now has version 2; nothing was written" in done.err
    assert kickai("rollout", "status", "--json").json["rollouts"][0]["share"] == 0.1


def test_the_settings_are_the_first_plan(kickai: CommandLine) -> None:
    """A change builds on the configured rollout while the store has none."""
    kickai.folder.joinpath("kickai.toml").write_text(
        SETTINGS + '[rollout]\ncandidate = "mock"\nshare = "5%"\nexclude = true\n'
    )
    assert "mock 5%, fixed share" in kickai("rollout", "status").out
    kickai("rollout", "set", "mock", "10%")
    store = SqliteStore(kickai.folder / "kickai.db")
    plan = store.documents.read(PLAN).value
    store.close()
    assert plan["rollouts"]["*"]["exclude"] is True


def test_a_damaged_plan_is_one_clear_error(kickai: CommandLine) -> None:
    """A later version may have written it."""
    store = SqliteStore(kickai.folder / "kickai.db")
    store.documents.write(PLAN, {"format": 99}, expected_version=0)
    store.close()
    done = kickai("rollout", "status")
    assert done.code == 1
    assert "the format of the rollout must be 1, got 99" in done.err
    assert "Traceback" not in done.err


def test_going_back_without_a_role_is_the_latest_change_of_every_rollout(kickai: CommandLine) -> None:
    """``why`` and the history name it for the rollout of a single role, too."""
    kickai("rollout", "set", "mock", "5%", "--role", "team_manager")
    kickai("rollout", "set", "mock", "5%")
    assert kickai("rollout", "back", "--why", "all of it").code == 0
    shown = kickai("rollout", "why", "--role", "team_manager").out
    assert "team_manager: mock 0%, off" in shown
    assert "because all of it" in shown


def test_a_reason_stays_on_its_line(kickai: CommandLine) -> None:
    """Control characters and line ends in it cannot look like another change."""
    kickai("rollout", "set", "mock", "5%", "--why", "good\x1b[31m\n2026-01-01 00:00:00 UTC  ann: mock at 90%")
    (line,) = kickai("rollout", "history").out.splitlines()
    assert line.endswith(": mock at 5% of all roles (good [31m 2026-01-01 00:00:00 UTC  ann: mock at 90%)")


def test_a_role_that_the_settings_no_longer_have_can_be_rolled_back(kickai: CommandLine) -> None:
    """Its rollout is still in the store, and another application may follow it."""
    coach = '[roles.coach]\nchain = ["mock", "other"]\n'
    kickai.write(SETTINGS + coach)
    assert kickai("rollout", "set", "mock", "5%", "--role", "coach").code == 0
    kickai.write(SETTINGS)
    assert "coach: mock 5%" in kickai("rollout", "why", "--role", "coach").out
    assert kickai("rollout", "back", "--role", "coach").code == 0
    assert kickai("rollout", "remove", "--role", "coach").code == 0
    assert "Unknown role 'coach'." in kickai("rollout", "back", "--role", "coach").err


def test_the_history_has_the_evidence_of_each_change(kickai: CommandLine) -> None:
    """What both arms had done in the step that a change ended; nothing for the first change."""
    kickai.write(SETTINGS + '[roles.team_manager]\nchain = ["mock", "other"]\n')
    kickai("rollout", "set", "other", "100%")
    for _ in range(3):
        assert kickai("ask", "--role", "team_manager", "hi").code == 0
    kickai("rollout", "back", "--why", "enough")
    latest, first = kickai("rollout", "history").out.splitlines()
    assert first.endswith(": other at 100% of all roles")
    assert latest.endswith(": other back to 0% of all roles (enough); until then candidate 0 of 3 failed")
    evidence = kickai("rollout", "history", "--json").json["history"][0]["evidence"]
    none = {"requests": 0, "failures": 0}
    assert evidence == {"scope": "*", "candidate": {"requests": 3, "failures": 0}, "control": none}


def test_damaged_evidence_keeps_nobody_from_going_back(kickai: CommandLine) -> None:
    """The change is made; only its evidence is missing in the history."""
    kickai("rollout", "set", "mock", "25%")
    store = SqliteStore(kickai.folder / "kickai.db", timeout_s=60)
    rollout = store.documents.read(PLAN).value["rollouts"]["*"]
    value = {"step": rollout["step"], "began_s": rollout["step_began_s"], "evidence": "damaged"}
    assert store.documents.write("evidence/*", value, expected_version=0)
    assert kickai("rollout", "status").code == 1
    assert kickai("rollout", "back").out == "mock back to 0% of all roles\n"
    assert store.documents.read_history(PLAN, 1)[0].evidence == {"scope": "*"}
    store.close()
