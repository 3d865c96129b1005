"""Invalid settings on the command line: the message, and exit code 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("kickai_mock", reason="many of these settings are of kickai-mock")

if TYPE_CHECKING:
    from command_line import CommandLine

MOCK = "[providers.mock]\n"

FILES = {
    "invalid TOML": ("[kickai\n", ["kickai.toml: invalid TOML: "]),
    "a duplicate key": ("[kickai]\ndeadline_s = 1\ndeadline_s = 2\n", ["kickai.toml: invalid TOML: ", "(at line 3,"]),
    "a duplicate table": (MOCK * 2, ["kickai.toml: invalid TOML: ", "(at line 2,"]),
    "an unknown table": ("[kicki]\n", ["kicki: unknown key", "Did you mean 'kickai'?"]),
    "a value for a table": ("kickai = 3\n", ["kickai: must be a table, got a number"]),
    "a number for the providers": ("providers = 3\n", ["providers: must be a table, got a number"]),
    "an unknown key": ("[kickai]\nfrobnicate = 1\n", ["kickai.frobnicate: unknown key (allowed: primary"]),
    "a misspelled key": ("[kickai]\ndeadlines = 1\n", ["kickai.deadlines: unknown key", "'deadline_s'?"]),
    "a string for a number": (
        '[kickai]\ndeadline_s = "30"\n',
        ["kickai.deadline_s: must be a number greater than 0, got '30'"],
    ),
    "a number out of range": (
        "[kickai]\ndeadline_s = 0\n",
        ["kickai.deadline_s: must be a number greater than 0, got 0"],
    ),
    "a number that is NaN": (
        "[kickai]\ndeadline_s = nan\n",
        ["kickai.deadline_s: must be a finite number greater than 0, got nan"],
    ),
    "an infinite number": (
        "[kickai]\ndeadline_s = inf\n",
        ["kickai.deadline_s: must be a finite number greater than 0, got inf"],
    ),
    "a boolean for a number": (
        "[kickai]\ndeadline_s = true\n",
        ["kickai.deadline_s: must be a number greater than 0, got true"],
    ),
    "a number for a string": ("[kickai]\nprimary = 1\n", ["kickai.primary: must be a string, got 1"]),
    "an unknown primary": (
        '[kickai]\nprimary = "mok"\n',
        ["kickai.primary: unknown provider 'mok'", "Did you mean 'mock'?"],
    ),
    "an unknown fallback": (
        '[kickai]\nfallback = ["mock", "nobody"]\n',
        ["kickai.fallback[1]: unknown provider 'nobody'"],
    ),
    "a string for an array": ('[kickai]\nfallback = "mock"\n', ["kickai.fallback: must be an array, got 'mock'"]),
    "a number in an array of strings": ("[kickai]\nfallback = [1]\n", ["kickai.fallback[0]: must be a string, got 1"]),
    "an unknown catalogue": ('[kickai]\ncatalogue = "kickei"\n', ["kickai.catalogue", "Did you mean 'kickai'?"]),
    "an allow-list of numbers": ("[kickai]\nplugins = [1]\n", ["kickai.plugins[0]: must be a string, got 1"]),
    "an unknown provider": ("[providers.nobody]\n", ["providers.nobody: needs a kind, since no plugin has this name"]),
    "a misspelled provider": ("[providers.mok]\n", ["providers.mok: needs a kind", "Did you mean 'mock'?"]),
    "an unknown kind": (
        '[providers.x]\nkind = "mok"\n',
        ["providers.x.kind: unknown plugin 'mok'", "Did you mean 'mock'?"],
    ),
    "a kind that is not a name": ("[providers.x]\nkind = 1\n", ["providers.x.kind: must be a string, got 1"]),
    "a duplicate instance": ("[providers.mock]\n[providers.fake]\n", ["providers.fake", "mock"]),
    "a misspelled field": (MOCK + "repply = 'a'\n", ["providers.mock.repply: unknown key", "'reply'?"]),
    "a number for a text field": (MOCK + "reply = 1\n", ["providers.mock.reply: must be a string, got 1"]),
    "a string for an integer": (
        MOCK + "retries = 'two'\n",
        ["providers.mock.retries: must be an integer of at least 0, got 'two'"],
    ),
    "a fraction for an integer": (
        MOCK + "retries = 1.5\n",
        ["providers.mock.retries: must be an integer of at least 0, got 1.5"],
    ),
    "a negative number": (
        MOCK + "retries = -1\n",
        ["providers.mock.retries: must be an integer of at least 0, got -1"],
    ),
    "a string for a boolean": (
        MOCK + "repeat = 'false'\n",
        ["providers.mock.repeat: must be true or false, got 'false'"],
    ),
    "a number for a boolean": (MOCK + "repeat = 1\n", ["providers.mock.repeat: must be true or false, got 1"]),
    "an invalid entry of a script": (
        MOCK + "script = ['timout']\n",
        ["providers.mock.script", "'timout'", "'timeout'"],
    ),
    "a share above 1": (MOCK + "rates = { timeout = 2.0 }\n", ["providers.mock.rates", "2.0"]),
    "an error in a nested table": (
        MOCK + "models.a.latency_s = -1\n",
        ["providers.mock.models.a.latency_s: must be a number of at least 0, got -1"],
    ),
    "a temperature out of range": (
        "[roles.x]\ntemperature = 3\n",
        ["roles.x.temperature: must be a number between 0 and 2, got 3"],
    ),
    "a token limit of zero": (
        "[roles.x]\nmax_tokens = 0\n",
        ["roles.x.max_tokens: must be an integer of at least 1, got 0"],
    ),
    "a role without a target": ("[roles.x]\nchain = []\n", ["roles.x.chain", "at least one target"]),
    "a role without a model": ("[roles.x]\nmodels = { mock = [] }\n", ["roles.x.models", "at least one model"]),
    "a malformed target": (
        '[roles.x]\nchain = ["mock:"]\n',
        ["roles.x.chain[0]: must be 'instance' or 'instance:model', got 'mock:'"],
    ),
    "a target at an unknown provider": (
        '[roles.x]\nchain = ["mok:a"]\n',
        ["roles.x.chain[0]: unknown provider 'mok'", "'mock'?"],
    ),
    "an unknown group": ('[roles.x]\ngroup = "creativ"\n', ["roles.x.group", "Did you mean 'creative'?"]),
    "a preference for an unknown provider": (
        '[roles.x]\nprefers = "mok"\n',
        ["roles.x.prefers: unknown provider 'mok'"],
    ),
    "a misspelled field of a role": ("[roles.x]\ntemprature = 1\n", ["roles.x.temprature", "'temperature'?"]),
    "the name of the built-in catalogue": ("[catalogues.kickai]\n", ["catalogues.kickai: 'kickai' is the name of"]),
    "a model as its own successor": ('[successors]\na = "a"\n', ["successors.a", "leads back"]),
    "a misspelled key of the policy": ("[policy]\nbackof_s = 1\n", ["policy.backof_s: unknown key"]),
    "a breaker that never opens": (
        "[breaker]\nmax_errors = 0\n",
        ["breaker.max_errors: must be an integer of at least 1, got 0"],
    ),
}

VARIABLES = {
    "a string for a number": (
        {"KICKAI_DEADLINE_S": "soon"},
        ["environment KICKAI_DEADLINE_S: kickai.deadline_s: must be a number greater than 0, got 'soon'"],
    ),
    "an unknown preferred provider": (
        {"AI_PROVIDER": "geminy"},
        ["environment AI_PROVIDER: kickai.preferred: unknown provider 'geminy'"],
    ),
    "an unknown primary": ({"KICKAI_PRIMARY": "mok"}, ["environment KICKAI_PRIMARY", "Did you mean 'mock'?"]),
    "an unknown instance": ({"KICKAI_PROVIDERS__MOK__SEED": "1"}, ["KICKAI_PROVIDERS__MOK__SEED", "MOCK"]),
    "an incomplete name": (
        {"KICKAI_PROVIDERS__MOCK": "1"},
        ["KICKAI_PROVIDERS__MOCK", "KICKAI_PROVIDERS__INSTANCE__FIELD"],
    ),
    "an unknown field": ({"KICKAI_PROVIDERS__MOCK__REPPLY": "1"}, ["providers.mock.repply", "Did you mean 'reply'?"]),
    "a field out of range": (
        {"KICKAI_PROVIDERS__MOCK__RETRIES": "-1"},
        ["providers.mock.retries: must be an integer of at least 0, got '-1'"],
    ),
    "an invalid boolean": (
        {"KICKAI_PROVIDERS__MOCK__REPEAT": "perhaps"},
        ["providers.mock.repeat: must be true or false, got 'perhaps'"],
    ),
    "a missing file": ({"KICKAI_CONFIG": "none.toml"}, ["none.toml: file not found", "KICKAI_CONFIG names this file"]),
}


@pytest.mark.parametrize("case", FILES)
def test_an_invalid_file_is_reported_with_path_and_reason(kickai: CommandLine, case: str) -> None:
    """In one line, with exit code 2 and without a traceback."""
    text, parts = FILES[case]
    kickai.write(text)
    ended = kickai("roles")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("kickai: kickai.toml: ")
    assert all(part in ended.err for part in parts), ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("case", VARIABLES)
def test_an_invalid_variable_is_reported_with_its_name(kickai: CommandLine, case: str) -> None:
    """It is the source of the value."""
    env, parts = VARIABLES[case]
    ended = kickai("ask", "hi", env=env)
    assert (ended.code, ended.out) == (2, "")
    assert all(part in ended.err for part in parts), ended.err


@pytest.mark.parametrize("command", [("ask", "hi"), ("providers",), ("roles",), ("doctor",)])
def test_every_command_reports_all_errors_at_once(kickai: CommandLine, command: tuple[str, ...]) -> None:
    """With --json they are in one object."""
    kickai.write("[kickai]\ndeadline_s = 0\n[providers.mock]\nreply = 1\nseed = 'x'\n")
    ended = kickai(*command)
    assert ended.code == 2
    for path in ("kickai.deadline_s", "providers.mock.reply", "providers.mock.seed"):
        assert path in ended.out + ended.err
    as_json = kickai(*command, "--json")
    assert as_json.code == 2
    listed = as_json.json.get("findings") or as_json.json["error"]["problems"]
    assert [each["path"] for each in listed] == ["kickai.deadline_s", "providers.mock.reply", "providers.mock.seed"]


def test_a_named_file_that_is_missing_is_an_error(kickai: CommandLine) -> None:
    """So is a folder in its place."""
    missing = kickai("roles", "--config", "none.toml")
    assert (missing.code, missing.err) == (2, "kickai: none.toml: file not found\n")
    folder = kickai("roles", "--config", ".")
    assert folder.code == 2
    assert "must be a regular file of at most 1024 KiB, got a directory" in folder.err


def test_an_invalid_variable_of_one_provider_does_not_affect_the_others(kickai: CommandLine) -> None:
    """Every command works; the provider is not configured, and the variable is named."""
    kickai.write('[kickai]\nprimary = "other"\nfallback = []\n[providers.other]\nkind = "mock"\n')
    env = {"KICKAI_MOCK_DRILL": "a=timout"}
    assert kickai("roles", env=env).code == 0
    listed = kickai("providers", env=env)
    assert listed.code == 0
    assert "mock" in listed.out
    assert "not configured (a valid KICKAI_MOCK_DRILL)" in listed.out
    ended = kickai("doctor", env=env)
    assert "warning  environment KICKAI_MOCK_DRILL: providers.mock.drill: invalid value " in ended.out
    failed = kickai("ask", "--chain", "mock:b", "hi", env=env)
    assert failed.code == 1
    assert "mock: not configured (a valid KICKAI_MOCK_DRILL)" in failed.err
