"""Instances with a preset read that service's variables, and send its key to its address only."""

from __future__ import annotations

import pytest
from attrs import evolve, field, frozen

from kickai_providers_core import Preset, ProviderInfo, ProviderSettings, Secret
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read
from kickai_providers_core.plugin_api.settings import service_address


@frozen(kw_only=True)
class ManySettings(ProviderSettings):
    """The settings of a plugin for several services."""

    preset: str | None = None
    base_url: str = field(default="https://one.example", metadata=service_address("https://one.example"))
    api_key: Secret | None = None


INFO = ProviderInfo(
    name="many",
    summary="Many services",
    settings_class=ManySettings,
    aliases=("lots",),
    environment={"ONE_KEY": "api_key"},
    presets={
        "two": Preset(address="https://two.example/v1", environment={"TWO_KEY": "api_key", "TWO_TOKEN": "api_key"}),
        "local": Preset(address="http://127.0.0.1:8000/v1"),
    },
)
KEYS = {"ONE_KEY": "key-of-one", "TWO_KEY": "key-of-two"}
ELSEWHERE = 'base_url = "https://evil.example"'


def load(tmp_path, toml, env=KEYS, dotenv="", info=INFO):
    """Return the settings of a file."""
    (tmp_path / "kickai.toml").write_text(toml)
    (tmp_path / ".env").write_text(dotenv)
    return structure(read(None, env, folder=tmp_path), {info.name: info})


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("[providers.many]", "key-of-one"),
        ('[providers.many]\npreset = "two"', "key-of-two"),
        ('[providers.lots]\npreset = "two"', "key-of-two"),
        ('[providers.many]\npreset = "local"', None),
        ('[providers.many]\npreset = "unknown"', "key-of-one"),
        (f'[providers.many]\npreset = "two"\n{ELSEWHERE}', None),
        ('[providers.many]\npreset = "two"\nbase_url = "https://one.example"', None),
        ('[providers.many]\npreset = "two"\nbase_url = "https://two.example:443/v2"', "key-of-two"),
        ('[providers.many]\npreset = "two"\napi_key = { env = "ONE_KEY" }', "key-of-one"),
    ],
)
def test_the_plugins_own_instance(table, key, tmp_path):
    """A preset replaces the plugin's own variables; a changed address gets none of their keys."""
    assert load(tmp_path, table).providers["many"].api_key == (key and Secret(key))


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("", None),
        ('preset = "two"', "key-of-two"),
        (f'preset = "two"\n{ELSEWHERE}', None),
        ('preset = "two"\nbase_url = "https://one.example"', None),
        (f'preset = "two"\n{ELSEWHERE}\napi_key = {{ env = "TWO_KEY" }}', "key-of-two"),
    ],
)
def test_another_instance(table, key, tmp_path):
    """With a preset it reads variables, and without one it reads none."""
    found = load(tmp_path, f'[providers.mine]\nkind = "many"\n{table}')
    assert found.providers["mine"].api_key == (key and Secret(key))
    messages = [str(warning) for warning in found.warnings if warning.path == "providers.mine.api_key"]
    is_withheld = "base_url" in table and "api_key" not in table
    assert bool(messages) is is_withheld
    if is_withheld:
        assert "TWO_KEY is not used, because base_url is not the vendor's address" in messages[0]
        assert 'write api_key = { env = "TWO_KEY" } in [providers.mine]' in messages[0]


def test_the_most_important_variable_counts(tmp_path):
    """The others are read when it is not set."""
    table = '[providers.mine]\nkind = "lots"\npreset = "two"'
    env = {"TWO_TOKEN": "token-of-two"}
    assert load(tmp_path, table, env).providers["mine"].api_key == Secret("token-of-two")
    assert load(tmp_path, table, {**env, **KEYS}).providers["mine"].api_key == Secret("key-of-two")


def test_the_preset_may_come_from_the_environment(tmp_path):
    """A variable of one instance says nothing about another."""
    table = '[providers.mine]\nkind = "many"'
    env = {**KEYS, "KICKAI_PROVIDERS__MINE__PRESET": "two"}
    found = load(tmp_path, table, env)
    assert (found.providers["mine"].preset, found.providers["mine"].api_key) == ("two", Secret("key-of-two"))
    assert found.providers["many"].api_key == Secret("key-of-one")
    env = {**KEYS, "KICKAI_PROVIDERS__MANY__PRESET": "two"}
    found = load(tmp_path, table, env)
    assert (found.providers["mine"].preset, found.providers["mine"].api_key) == (None, None)
    assert found.providers["many"].api_key == Secret("key-of-two")


def test_a_dotenv_cannot_send_a_key_of_the_process_elsewhere(tmp_path):
    """Its own key may go to its own address."""
    table = '[providers.mine]\nkind = "many"\npreset = "two"'
    address = "KICKAI_PROVIDERS__MINE__BASE_URL=https://evil.example"
    assert load(tmp_path, table, dotenv=address).providers["mine"].api_key is None
    found = load(tmp_path, table, {}, f"{address}\nTWO_KEY=key-of-two")
    assert found.providers["mine"].api_key == Secret("key-of-two")


def test_settings_in_code_are_trusted(tmp_path):
    """As for a plugin's own variables."""
    tables = {"providers": {"mine": {"kind": "many", "preset": "two"}}}
    found = structure(read(tables, KEYS), {"many": INFO})
    assert found.providers["mine"].api_key == Secret("key-of-two")
    tables = {"providers": {"mine": ManySettings(kind="many", preset="two")}}
    assert structure(read(tables, KEYS), {"many": INFO}).providers["mine"].api_key is None


def test_a_variable_of_a_preset_is_not_a_misspelled_one(tmp_path):
    """It is read, so it needs no correction."""
    presets = {"near": Preset(address="https://near.example", environment={"KICKAI_PRIMARI": "api_key"})}
    env = {"KICKAI_PRIMARI": "key"}
    assert [w for w in load(tmp_path, "", env).warnings if "KICKAI_PRIMARI" in str(w)]
    warnings = load(tmp_path, "", env, info=evolve(INFO, presets=presets)).warnings
    assert not [w for w in warnings if "KICKAI_PRIMARI" in str(w)]


@pytest.mark.parametrize("presets", [["two"], {"two": "https://two.example"}])
def test_presets_are_a_mapping_of_presets(presets):
    """Anything else is an error of the plugin."""
    with pytest.raises(TypeError, match="presets"):
        ProviderInfo(name="many", summary="x", presets=presets)
