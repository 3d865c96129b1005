"""Invalid settings: the exact text of each message."""

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


def find_error(toml, env, folder):
    """Return the error of the settings in a folder's file and in the environment."""
    (folder / "kickai.toml").write_text(toml, encoding="utf-8")
    (folder / "empty.key").write_text("\n", encoding="utf-8")
    (folder / "bytes.key").write_bytes(b"\xff\xfe canary")
    with pytest.raises(ConfigError) as caught:
        load(env, folder)
    return caught.value


def load(env, folder):
    """Return the settings of a folder's file, with the plugins that it allows."""
    document = read(None, env, folder=folder)
    allowed = INFOS if document.plugins is None else document.plugins
    return structure(document, {name: info for name, info in INFOS.items() if name in allowed})


@pytest.mark.parametrize("name", WRONG)
def test_an_invalid_setting_has_this_message(name, tmp_path):
    """It names the place, what is allowed, what was given, and the nearest name."""
    case = WRONG[name]
    error = find_error(case.get("toml", ""), case.get("env", {}), tmp_path)
    assert str(error) == case["message"].strip()
    assert "canary" not in str(error)
    for problem in error.problems:
        assert problem.source
        assert not problem.message.startswith("must ") or ", got " in problem.message
        assert not problem.message.startswith("unknown ") or re.search(
            r"\((allowed|available|installed|known): .+\)$", problem.message
        )


def test_the_table_covers_many_mistakes():
    """It does not shrink."""
    assert len(WRONG) >= 45


def test_all_errors_are_reported_at_once(tmp_path):
    """In the order of the file, then of the environment."""
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
    error = find_error(toml, {"KICKAI_PROVIDERS__GEMINI__SIZE": "huge"}, tmp_path)
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
    "instances of an unknown plugin": ("\n".join(f"[providers.p{at}]\nkind = 'gemni'" for at in range(MANY)), MANY),
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


SLOW = ("roles with an unknown key", "instances of an unknown plugin", "wrong values", "successors in a circle")
"""Floods that take long, and are like another."""


@pytest.mark.parametrize(
    "flood", [pytest.param(flood, marks=pytest.mark.slow if flood in SLOW else []) for flood in FLOODS]
)
def test_many_mistakes_are_reported_in_reasonable_time(flood, tmp_path):
    """The time grows linearly with the file; quadratic algorithms took minutes or hours."""
    toml, problems = FLOODS[flood]
    began = time.process_time()
    error = find_error(toml, {}, tmp_path)
    assert time.process_time() - began < 60
    assert len(error.problems) == problems


def test_many_unknown_keys_are_summarized(tmp_path):
    """The last message has their number."""
    error = find_error(FLOODS["unknown keys"][0], {}, tmp_path)
    assert error.problems[-1].message.startswith("unknown key, the first of 19900 more (allowed: primary, ")


@pytest.mark.parametrize("seconds", [9.3e9, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["timeout_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s"])
def test_a_timeout_in_code_has_an_upper_bound(name, seconds):
    """No lock, event loop or socket accepts more than 292 years; the largest allowed value works."""
    with pytest.raises(ValueError, match=name):
        ProviderSettings(**{name: seconds})
    with pytest.raises(ValueError, match="deadline_s"):
        KickaiSettings(deadline_s=seconds)
    assert getattr(ProviderSettings(**{name: LONGEST_S}), name) == LONGEST_S
