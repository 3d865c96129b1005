"""Wrong settings: what each of them says, to the letter."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from known_plugins import INFOS

from kickai_providers_core import ConfigError
from kickai_providers_core.loading import read, structure

WRONG = tomllib.loads(Path(__file__).with_name("wrong_settings.toml").read_text(encoding="utf-8"))


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
        assert "found " in problem.message
        assert "expected " in problem.message


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
