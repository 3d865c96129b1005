"""Laws of reading settings: any input gives settings or a list of problems."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from pathlib import Path

import attrs
from effort import count_examples
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from known_plugins import INFOS, GeminiSettings, HuggingSettings, MockSettings

from kickai_providers_core import ConfigError, KickaiSettings, Policy, Rule, Settings, Target
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read

QUICK = settings(deadline=None, max_examples=count_examples(100), suppress_health_check=[HealthCheck.too_slow])

CANARY = "sk-canary-7"

MESSAGE = (
    r"must (be|have) .+, got |unknown .+ \((allowed|available|installed|known): .+\)$|missing \(must be .+\)$"
    r"|invalid (value|combination|TOML)|incomplete name \(must be .+\)$|needs a kind|duplicate of |circular: "
    r"|cannot read |the keyring |the file |the settings class .+ cannot be read|'kickai' is the name"
)
"""The start of each message about a setting, with what was expected."""

KEYS = sorted(
    {
        *("kickai", "providers", "roles", "catalogues", "successors", "policy", "breaker"),
        *("huggingface", "hf", "gemini", "mock", "local", "my-tgi", "env", "keyring", "file", "team_manager", "scout"),
        *("groups", "default", "models", "group", "temperature", "max_tokens", "prefers", "chain", "reason", "roles"),
        *(
            field.name
            for cls in (KickaiSettings, HuggingSettings, GeminiSettings, MockSettings, Policy, Rule)
            for field in attrs.fields(cls)
        ),
    }
)
WORDS = [*KEYS, "huggingface:q", "gemini:", ":m", "never", "backoff", "creative", "kickai", "auto", "large", "", "a/b"]

scalars = (
    st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 2, 10**400, -(10**400)])
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=40)
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
)
keys = st.sampled_from(KEYS) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
names = st.sampled_from(["huggingface", "hf", "gemini", "mock", "my-tgi", "Gemini"]) | st.text(max_size=6)
fields = st.dictionaries(keys, values, max_size=5)
documents = st.fixed_dictionaries(
    {},
    optional={
        "kickai": fields | values,
        "providers": st.dictionaries(names, fields | values, max_size=3) | values,
        "roles": st.dictionaries(keys, fields | values, max_size=2) | values,
        "catalogues": st.dictionaries(keys, st.dictionaries(keys, fields | values, max_size=3), max_size=2) | values,
        "successors": st.dictionaries(st.sampled_from("abc"), st.sampled_from("abc"), max_size=3) | values,
        "policy": st.dictionaries(keys, fields | values, max_size=3) | values,
        "breaker": fields | values,
    },
) | st.dictionaries(keys, values, max_size=4)
variables = st.dictionaries(
    st.sampled_from(
        [
            *("AI_PROVIDER", "KICKAI_PRIMARY", "KICKAI_FALLBACK", "KICKAI_DEADLINE_S", "KICKAI_PLUGINS", "KICKAI_X"),
            *("HF_TOKEN", "GOOGLE_API_KEY", "MOCK_SEED", "KICKAI_PROVIDERS__", "KICKAI_PROVIDERS__HF__"),
            *("KICKAI_PROVIDERS__HF__TOKEN__ENV", "KICKAI_PROVIDERS__MOCK__FAULTS__A__RATE", "KICKAI_PROVIDERS__A__B"),
        ]
    ),
    st.sampled_from(WORDS) | st.text(max_size=20) | st.integers().map(str),
    max_size=4,
)


def read_settings(source, env, **further):
    """Return the settings, or the error."""
    try:
        return structure(read(source, env, **further), INFOS)
    except ConfigError as error:
        return error


@QUICK
@given(documents, variables)
@example({"providers": {"mock": {"faults": {"": {"rate": 1e308}}}}}, {})
@example({"catalogues": {"kickai": {"groups": {"a": {}}}}}, {"AI_PROVIDER": "hf"})
@example({"providers": {"\n": {}}}, {"AI_PROVIDER": "nobody"})
def test_any_tables_give_settings_or_problems(tables, env):
    """Nothing but a `ConfigError` is raised, and each problem is one line with a known form."""
    result = read_settings(tables, env)
    if isinstance(result, ConfigError):
        assert result.problems
        for problem in result.problems:
            assert problem.severity == "error"
            assert "\n" not in str(problem)
            assert re.match(MESSAGE, problem.message)
    else:
        assert all(warning.severity == "warning" for warning in result.warnings)
        for name in (*result.roles, "nobody"):
            targets = result.targets_for(result.role(name))
            assert targets
            assert len(set(targets)) == len(targets)


@QUICK
@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")), st.booleans())
def test_any_file_gives_settings_or_problems(text, raw):
    """Whatever bytes are in the file, or in the `.env` next to it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kickai.toml").write_bytes(b"" if raw else text.encode("utf-8", "surrogatepass"))
        (folder / ".env").write_bytes(text.encode("latin-1", "replace"))
        assert isinstance(read_settings(None, {}, folder=folder), Settings | ConfigError)


@QUICK
@given(
    documents,
    st.sampled_from(["huggingface", "hf", "my-tgi"]),
    st.sampled_from(["token", "tokn", "toke"]),
    st.sampled_from([CANARY, [CANARY], {"env": [CANARY]}, {"value": CANARY}, [[CANARY]], {"a": CANARY}]),
)
def test_a_key_is_never_shown(tables, instance, field, shape):
    """Whatever else is wrong, and wherever the key is: in a table, an array, under a misspelled name."""
    providers = tables.get("providers", {})
    assume(isinstance(providers, dict))
    inner = providers.get(instance, {})
    assume(isinstance(inner, dict))
    result = read_settings(
        {**tables, "providers": {**providers, instance: {**inner, field: shape}}}, {"HF_TOKEN": CANARY}
    )
    output = [repr(result), str(result)]
    output += map(str, result.problems if isinstance(result, ConfigError) else result.warnings)
    assert CANARY not in "\n".join(output)


@QUICK
@given(
    st.none() | st.floats(0.1, 9),
    st.none() | st.floats(0.1, 9),
    st.none() | st.floats(0.1, 9),
)
def test_the_highest_layer_with_a_value_wins(in_file, in_environment, in_code):
    """Defaults < file < environment < code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if in_file is not None:
            (folder / "kickai.toml").write_text(f"[kickai]\ndeadline_s = {in_file}\n")
        env = {} if in_environment is None else {"KICKAI_DEADLINE_S": str(in_environment)}
        code = {} if in_code is None else {"kickai": {"deadline_s": in_code}}
        found = structure(read(None, env, folder=folder, overrides=code), INFOS)
    spoken = [value for value in (30.0, in_file, in_environment, in_code) if value is not None]
    assert found.kickai.deadline_s == spoken[-1]


@QUICK
@given(
    st.lists(st.sampled_from(["huggingface", "gemini", "mock", "a", "b"]), max_size=5),
    st.none() | st.sampled_from(["huggingface", "gemini", "c"]),
    st.none() | st.lists(st.sampled_from(["huggingface", "huggingface:q", "gemini:g", "a"]), min_size=1, max_size=4),
)
def test_the_preferred_instance_comes_first_and_no_target_is_lost(order, preferred, chain):
    """The other targets keep their order."""
    primary, *fallback = order or ["huggingface"]
    kickai = KickaiSettings(primary=primary, fallback=tuple(fallback))
    plain, moved = Settings(kickai=kickai), Settings(kickai=attrs.evolve(kickai, preferred=preferred))
    role = plain.roles["team_manager"]
    role = role if chain is None else attrs.evolve(role, chain=tuple(map(Target.parse, chain)))
    before, after = plain.targets_for(role), moved.targets_for(role)
    if preferred is None:
        assert after == before
    else:
        assert after[0].provider == preferred
        assert [target for target in after if target.provider != preferred] == [
            target for target in before if target.provider != preferred
        ]
        assert set(before) <= set(after)
