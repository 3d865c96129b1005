"""Roles: the built-in catalogue, and the targets of each role."""

from __future__ import annotations

import pytest

from kickai_providers_core import KickaiSettings, ProviderInfo, ProviderSettings, Settings, Target
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.roles import Role, load_built_in_catalogue
from kickai_providers_core.config.sources import read

SMALL, MEDIUM, GEMMA = "Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-3B-Instruct", "google/gemma-2-2b-it"

PLAN = {
    "player_coordinator": ("data-critical", 0.1, 500, SMALL),
    "message_processor": ("data-critical", 0.1, 300, SMALL),
    "help_assistant": ("data-critical", 0.1, 800, SMALL),
    "finance_manager": ("data-critical", 0.1, 400, SMALL),
    "onboarding_agent": ("onboarding", 0.2, 700, MEDIUM),
    "team_manager": ("administrative", 0.3, 600, MEDIUM),
    "availability_manager": ("administrative", 0.3, 500, MEDIUM),
    "performance_analyst": ("creative", 0.7, 1000, GEMMA),
    "learning_agent": ("creative", 0.7, 800, GEMMA),
    "squad_selector": ("creative", 0.7, 600, GEMMA),
}


def find_targets(role, settings):
    """Return a role's targets as text."""
    return [str(target) for target in settings.targets_for(role)]


@pytest.mark.parametrize("name", PLAN)
def test_the_built_in_catalogue_follows_the_plan(name):
    """Each role has its planned group, temperature, token limit and models."""
    group, temperature, max_tokens, model = PLAN[name]
    role = Settings().roles[name]
    assert (role.group, role.temperature, role.max_tokens) == (group, temperature, max_tokens)
    assert role.models["huggingface"][0] == model
    assert role.planned == {"gemini": "gemini-1.5-flash"}
    assert role.models["gemini"] == ("gemini-3.5-flash-lite",)


def test_the_built_in_catalogue_has_the_ten_planned_roles():
    """It has no other roles."""
    assert set(load_built_in_catalogue().roles) == set(PLAN)


def test_a_role_has_the_temperature_of_its_group():
    """Every group has a reason for it."""
    assert all(
        role.temperature == load_built_in_catalogue().groups[role.group].temperature
        for role in load_built_in_catalogue().roles.values()
    )
    assert all(group.reason for group in load_built_in_catalogue().groups.values())


@pytest.mark.parametrize("name", PLAN)
def test_backup_models_are_called_before_another_provider(name):
    """Each role has at least one backup on the primary provider."""
    settings = Settings()
    targets = settings.targets_for(settings.roles[name])
    providers = [target.provider for target in targets]
    assert providers[-2:] == ["gemini", "local"]
    assert set(providers[:-2]) == {"huggingface"}
    assert len(providers) >= 4


def test_the_targets_of_a_built_in_role():
    """The primary with the role's model and its backups, then each fallback with the role's model there."""
    settings = Settings()
    assert find_targets(settings.role("player_coordinator"), settings) == [
        f"huggingface:{SMALL}",
        "huggingface:Qwen/Qwen2.5-7B-Instruct",
        "huggingface:meta-llama/Llama-3.1-8B-Instruct",
        "gemini:gemini-3.5-flash-lite",
        "local",
    ]


def test_a_fallback_is_called_with_the_first_model_only():
    """Backup models are for the primary."""
    settings = Settings(kickai=KickaiSettings(primary="gemini", fallback=("huggingface",)))
    assert find_targets(settings.role("team_manager"), settings) == [
        "gemini:gemini-3.5-flash-lite",
        f"huggingface:{MEDIUM}",
    ]


def test_an_unknown_role_gets_the_default_role():
    """Gemini first, temperature 0.3, 500 tokens."""
    settings = Settings()
    role = settings.role("kit_washer")
    assert (role.temperature, role.max_tokens) == (0.3, 500)
    assert find_targets(role, settings) == ["gemini:gemini-3.5-flash-lite", "huggingface", "local"]


def test_the_default_role_calls_no_provider_that_is_not_in_the_chain():
    """Gemini comes first only if the chain has it."""
    settings = Settings(kickai=KickaiSettings(primary="ollama", fallback=()))
    assert find_targets(settings.default_role, settings) == ["ollama"]


def test_a_role_may_prefer_a_plugin():
    """Its instances come first."""
    settings = Settings(
        kickai=KickaiSettings(primary="huggingface", fallback=("work",)),
        providers={"work": ProviderSettings(kind="gemini")},
    )
    assert find_targets(settings.default_role, settings) == ["work:gemini-3.5-flash-lite", "huggingface"]


def test_the_preferred_instance_comes_first_for_every_role():
    """One setting moves all traffic: the immediate rollback."""
    settings = Settings(kickai=KickaiSettings(preferred="gemini"))
    for role in (*settings.roles.values(), settings.default_role):
        assert find_targets(role, settings)[0] == "gemini:gemini-3.5-flash-lite"
    assert len(find_targets(settings.roles["team_manager"], settings)) == 5


def test_the_preferred_instance_is_added_to_a_chain_without_it():
    """The rest keeps its order."""
    role = Role(name="r", chain=(Target("a"), Target("b", "m"), Target("c")))
    settings = Settings(kickai=KickaiSettings(preferred="gemini"))
    assert find_targets(role, settings) == ["gemini", "a", "b:m", "c"]
    settings = Settings(kickai=KickaiSettings(preferred="b"))
    assert find_targets(role, settings) == ["b:m", "a", "c"]


def test_a_roles_chain_replaces_primary_and_fallback():
    """Each target is there once, and retired models are replaced."""
    role = Role(name="r", chain=(Target("gemini", "gemini-1.5-flash"), Target("hf"), Target("hf")))
    assert find_targets(role, Settings()) == ["gemini:gemini-3.5-flash-lite", "hf"]


def test_models_of_an_instance_take_precedence_over_those_of_its_plugin():
    """Other instances use those of the plugin."""
    role = Role(name="r", models={"tgi": ("served-here",), "huggingface": ("q",)})
    settings = Settings(
        kickai=KickaiSettings(primary="tgi", fallback=("huggingface",)),
        providers={"tgi": ProviderSettings(kind="huggingface", model="mine")},
    )
    assert find_targets(role, settings) == ["tgi:served-here", "huggingface:q"]


def test_an_instance_with_its_own_model_keeps_it():
    """The models that a role has for the plugin do not apply to it."""
    role = Role(name="r", models={"huggingface": ("q",)})
    providers = {
        "tgi": ProviderSettings(kind="huggingface", model="mine"),
        "work": ProviderSettings(kind="huggingface"),
    }
    settings = Settings(kickai=KickaiSettings(primary="tgi", fallback=("work",)), providers=providers)
    assert find_targets(role, settings) == ["tgi", "work:q"]


def test_a_table_changes_the_default_role():
    """Field by field; it is not listed with the other roles."""
    tables = {"roles": {"default": {"temperature": 0.9, "prefers": "mock"}, "scout": {"max_tokens": 7}}}
    settings = structure(read(tables, {}), {})
    assert settings.role("nobody") is settings.role("default") is settings.default_role
    assert (settings.default_role.temperature, settings.default_role.max_tokens) == (0.9, 500)
    assert (settings.default_role.prefers, settings.default_role.models) == ("mock", Settings().default_role.models)
    assert "default" not in settings.roles
    assert settings.role("scout").temperature == Role(name="scout").temperature


def test_a_retired_model_of_the_default_role_is_reported():
    """As in any other role."""
    tables = {"roles": {"default": {"models": {"gemini": ["gemini-1.5-pro"]}}}, "successors": {"gemini-1.5-pro": "new"}}
    settings = structure(read(tables, {}), {"gemini": ProviderInfo(name="gemini", summary="")})
    assert settings.default_role.models["gemini"] == ("new",)
    assert any("roles.default.models.gemini" in str(problem) for problem in settings.warnings)
