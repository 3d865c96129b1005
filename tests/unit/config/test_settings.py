"""Settings as values: built in code, cheap to import, validated."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import tomllib
from importlib.resources import files

import pytest
from attrs.exceptions import FrozenInstanceError

from kickai_providers_core import KickaiSettings, ProviderSettings, Settings
from kickai_providers_core.config.gateway_settings import GatewayKey, GatewaySettings
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.roles import (
    Group,
    Role,
    find_successor,
    load_built_in_catalogue,
    replace_retired_models,
)
from kickai_providers_core.config.sources import read
from kickai_providers_core.plugin_api.settings import MOST_PERMITS
from kickai_providers_core.values.secrets import Secret


def list_imports(statement):
    """Return the names of the modules that a fresh interpreter has imported after a statement."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_setting_has_a_default():
    """Hugging Face first, then Gemini, then the local model."""
    settings = Settings()
    assert settings.kickai.order == ("huggingface", "gemini", "local")
    assert settings.kickai.deadline_s == 30.0
    assert settings.kickai.plugins is None
    assert settings.providers == {}
    assert settings.explicit == frozenset()
    assert settings.warnings == ()


@pytest.mark.parametrize("module", ["kickai_providers_core", "kickai_providers_core.config.settings"])
def test_settings_in_code_import_no_parser(module):
    """Neither cattrs nor the parsers of TOML and .env are imported."""
    modules = list_imports(f"from {module} import Settings")
    assert not modules & {"cattrs", "tomllib", "dotenv", "keyring"}
    of_config = {name for name in modules if name.startswith("kickai_providers_core.config.")}
    names = ("roles", "settings", "monitor_settings", "store_settings", "price_settings", "gateway_settings")
    assert of_config == {f"kickai_providers_core.config.{name}" for name in names}


def test_in_code_names_that_differ_from_the_defaults_count_as_chosen():
    """So does the preferred one."""
    settings = Settings(kickai=KickaiSettings(primary="mock", fallback=("gemini", "mock:b"), preferred="local"))
    assert settings.explicit == {"mock", "mock:b", "local"}


def test_an_instance_without_a_kind_is_named_after_its_plugin():
    """With or without settings."""
    settings = Settings(providers={"tgi": ProviderSettings(kind="huggingface"), "gemini": ProviderSettings()})
    assert [settings.kind_of(name) for name in ("tgi", "gemini", "ollama")] == ["huggingface", "gemini", "ollama"]


def test_the_order_has_each_instance_once():
    """A primary that is also a fallback comes first."""
    assert KickaiSettings(primary="a", fallback=("b", "a", "b")).order == ("a", "b")


@pytest.mark.parametrize("deadline_s", [0, -1, float("nan")])
def test_the_deadline_must_be_greater_than_zero(deadline_s):
    """This includes NaN."""
    with pytest.raises(ValueError, match="deadline_s"):
        KickaiSettings(deadline_s=deadline_s)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Role(name="r", temperature=2.1), "temperature"),
        (lambda: Role(name="r", temperature=-0.1), "temperature"),
        (lambda: Role(name="r", max_tokens=0), "max_tokens"),
        (lambda: Group(temperature=3), "temperature"),
    ],
)
def test_roles_and_groups_validate_their_values(make, field):
    """Temperatures are between 0 and 2, and token limits are at least 1."""
    with pytest.raises(ValueError, match=field):
        make()


def test_settings_are_immutable():
    """Every class is frozen."""
    with pytest.raises(FrozenInstanceError):
        Settings().kickai.primary = "gemini"


def test_the_source_of_a_value_that_was_not_set_is_default():
    """Other values have the source that the settings name."""
    settings = Settings(sources={"kickai.primary": "kickai.toml"})
    assert settings.source_of("kickai.primary") == "kickai.toml"
    assert settings.source_of("kickai.deadline_s") == "default"


def test_a_retired_model_is_replaced_by_its_last_successor():
    """A circle of successors ends."""
    assert find_successor({"a": "b", "b": "c"}, "a") == "c"
    assert find_successor({"a": "b"}, "c") == "c"
    assert find_successor({"a": "b", "b": "a"}, "a") == "b"
    assert Settings().find_successor("gemini-1.5-flash") == "gemini-3.5-flash-lite"
    assert Settings().find_successor("gemini-1.5-pro") == "gemini-3.8-flash"


def test_no_built_in_successor_is_retired():
    """Otherwise the catalogue would be outdated."""
    assert not set(load_built_in_catalogue().successors) & set(load_built_in_catalogue().successors.values())


def test_a_role_keeps_the_names_of_its_retired_models():
    """The successor is called, and models with the same successor are called once."""
    role = Role(name="r", models={"gemini": ("old", "older", "new"), "huggingface": ("q",)})
    current = replace_retired_models(role, {"old": "new", "older": "new"})
    assert current.models == {"gemini": ("new",), "huggingface": ("q",)}
    assert current.planned == {"gemini": "old"}


def test_the_built_in_catalogue_is_loaded_when_it_is_first_used():
    """Creating settings does not read the file; looking up a role does."""
    assert "tomllib" not in list_imports("from kickai_providers_core import Settings; Settings()")
    assert "tomllib" in list_imports("from kickai_providers_core import Settings; Settings().role('x')")


def test_default_settings_can_be_compared_copied_and_pickled():
    """Their roles are loaded lazily."""
    settings = Settings()
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings
    assert settings.default_role.models == {"gemini": ("gemini-3.5-flash-lite",)}
    assert "team_manager" in repr(settings)


def test_the_built_in_catalogue_has_the_form_of_a_catalogue_table():
    """A copy in a settings file gives the same roles."""
    text = files("kickai_providers_core.config").joinpath("kickai_roles.toml").read_text("utf-8")
    tables = {"kickai": {"catalogue": "copy"}, "catalogues": {"copy": tomllib.loads(text)}}
    settings = structure(read(tables, {}), {})
    assert settings.roles == Settings().roles
    assert settings.default_role == Settings().default_role
    assert (settings.groups, settings.successors) == (Settings().groups, Settings().successors)


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day"])
def test_a_limit_is_one_that_every_store_can_count(name):
    """A larger one would make the store fail, and every request that it limits with it."""
    assert getattr(ProviderSettings(**{name: MOST_PERMITS}), name) == MOST_PERMITS
    with pytest.raises(ValueError, match=name):
        ProviderSettings(**{name: MOST_PERMITS + 1})


def test_a_key_of_the_gateway_has_one_table():
    """Otherwise the limits of only one of them would count. The message does not show the hash."""
    own, other = (Secret(f"{id_ * 16}${'b' * 32}${'c' * 64}") for id_ in "ad")
    GatewaySettings(keys={"web": GatewayKey(hash=own), "app": GatewayKey(hash=other)})
    with pytest.raises(ValueError, match="the same key in web and app") as caught:
        GatewaySettings(keys={"web": GatewayKey(hash=own), "app": GatewayKey(hash=own)})
    assert "cccc" not in str(caught.value)
