"""Wrong settings: what each of them says, to the letter."""

from __future__ import annotations

import re
import time
import tomllib
from pathlib import Path

import pytest
from known_plugins import INFOS

from kickai_providers_core import ConfigError, KickaiSettings, ProviderSettings
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read
from kickai_providers_core.plugin_api.settings import LONGEST_S

WRONG = tomllib.loads(Path(__file__).with_name("invalid_settings.toml").read_text(encoding="utf-8"))


def complaint(toml, env, folder):
    """Return what is said of settings that stand in a folder's file, and in the environment."""
    (folder / "kickai.toml").write_text(toml, encoding="utf-8")
    (folder / "empty.key").write_text("\n", encoding="utf-8")
    (folder / "bytes.key").write_bytes(b"\xff\xfe canary")
    with pytest.raises(ConfigError) as caught:
        loaded(env, folder)
    return caught.value


def loaded(env, folder):
    """Return the settings of a folder's file, with the plugins that these allow."""
    document = read(None, env, folder=folder)
    allowed = INFOS if document.plugins is None else document.plugins
    return structure(document, {name: info for name, info in INFOS.items() if name in allowed})


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_says_what_is_wrong(name, tmp_path):
    """Each names the place, what was found, what was expected and, where something is near, the nearest."""
    case = WRONG[name]
    error = complaint(case.get("toml", ""), case.get("env", {}), tmp_path)
    assert str(error) == case["says"].strip()
    assert "canary" not in str(error)
    for problem in error.problems:
        assert problem.source
        assert not problem.message.startswith("must ") or ", got " in problem.message
        assert not problem.message.startswith("unknown ") or re.search(
            r"\((allowed|available|installed|known): .+\)$", problem.message
        )


def test_the_table_is_long_enough():
    """The ways to be wrong are many."""
    assert len(WRONG) >= 45


def test_all_problems_are_told_at_once(tmp_path):
    """A file with many faults is mended in one go: all are told, in the order of the file, the environment's after."""
    toml = """
        [breaker]
        max_errors = 0
        [kickai]
        primary = "gemni"
        deadline_s = "soon"
        [providers.mock]
        sed = 3
        latency_s = -1
        [roles.team_manager]
        temperature = 3
        group = "creativ"
        chain = ["gemni"]
        [providers.tgi]
        kind = "hf"
        timeout_s = 0
    """
    error = complaint(toml, {"KICKAI_PROVIDERS__GEMINI__SIZE": "huge"}, tmp_path)
    assert [problem.path for problem in error.problems] == [
        "breaker.max_errors",
        "kickai.primary",
        "kickai.deadline_s",
        "providers.mock.sed",
        "providers.mock.latency_s",
        "providers.tgi.timeout_s",
        "roles.team_manager.temperature",
        "roles.team_manager.group",
        "roles.team_manager.chain[0]",
        "providers.gemini.size",
    ]
    assert str(error).count("\n") == len(error.problems) - 1


MANY = 20_000
FLOODS = {
    "unknown keys": ("[kickai]\n" + "\n".join(f"primray{at} = 1" for at in range(MANY)), 101),
    "unknown sections": ("\n".join(f"[section{at}]" for at in range(MANY)), 101),
    "roles with an unknown key": ("\n".join(f"[roles.r{at}]\ntemprature = 1" for at in range(MANY)), MANY),
    "instances of nobody": ("\n".join(f"[providers.p{at}]\nkind = 'gemni'" for at in range(MANY)), MANY),
    "unknown fallbacks": ("[kickai]\nfallback = [" + ",".join(f"'gemin{at}'" for at in range(MANY)) + "]", MANY),
    "wrong values": ("[successors]\n" + "\n".join(f"m{at} = 1" for at in range(MANY)), MANY),
    "successors in a circle": ("[successors]\n" + "\n".join(f"m{at}='m{(at + 1) % MANY}'" for at in range(MANY)), MANY),
    "a deep key": ("a." * 400_000 + "a = 1", 1),
    "a deep table": ("[providers.mock" + ".a" * 900 + "]", 1),
    "deep arrays": ("a = " + "[" * 100_000, 1),
    "a long key": ("[kickai]\n" + "a" * 900_000 + " = 1", 1),
    "a long text": ("[kickai]\nprimary = '" + "a" * 900_000 + "'", 1),
    "a long number": ("[kickai]\ndeadline_s = " + "1" * 900_000, 1),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_mistakes_is_told_in_good_time(flood, tmp_path):
    """The time grows with the file and no faster: what took minutes or hours takes under a minute of processor time."""
    toml, problems = FLOODS[flood]
    began = time.process_time()
    error = complaint(toml, {}, tmp_path)
    assert time.process_time() - began < 60
    assert len(error.problems) == problems


def test_the_last_of_very_many_unknown_keys_counts_the_rest(tmp_path):
    """Nobody reads twenty thousand lines of the same."""
    error = complaint(FLOODS["unknown keys"][0], {}, tmp_path)
    assert error.problems[-1].message.startswith("unknown key, the first of 19900 more (allowed: primary, ")


@pytest.mark.parametrize("seconds", [9.3e9, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["timeout_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s"])
def test_a_timeout_in_code_is_bounded(name, seconds):
    """No lock, event loop or socket waits longer than 292 years; the largest allowed one is fine."""
    with pytest.raises(ValueError, match=name):
        ProviderSettings(**{name: seconds})
    with pytest.raises(ValueError, match="deadline_s"):
        KickaiSettings(deadline_s=seconds)
    assert getattr(ProviderSettings(**{name: LONGEST_S}), name) == LONGEST_S
