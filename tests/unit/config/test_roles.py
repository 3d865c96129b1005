"""Roles: the shipped catalogue, and the targets that each role is asked at."""

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


def told(role, settings):
    """Return a role's targets as text."""
    return [str(target) for target in settings.targets_for(role)]


@pytest.mark.parametrize("name", PLAN)
def test_the_catalogue_is_the_plan(name):
    """Each role has the group, temperature, token limit and models that it was planned with."""
    group, temperature, max_tokens, model = PLAN[name]
    role = Settings().roles[name]
    assert (role.group, role.temperature, role.max_tokens) == (group, temperature, max_tokens)
    assert role.models["huggingface"][0] == model
    assert role.planned == {"gemini": "gemini-1.5-flash"}
    assert role.models["gemini"] == ("gemini-3.5-flash-lite",)


def test_the_catalogue_has_no_other_role():
    """The ten agents of the plan, no more."""
    assert set(load_built_in_catalogue().roles) == set(PLAN)


def test_a_role_has_the_temperature_of_its_group_for_a_reason():
    """The group's temperature is the role's, and every group says why."""
    assert all(
        role.temperature == load_built_in_catalogue().groups[role.group].temperature
        for role in load_built_in_catalogue().roles.values()
    )
    assert all(group.reason for group in load_built_in_catalogue().groups.values())


@pytest.mark.parametrize("name", PLAN)
def test_backups_are_tried_before_another_provider(name):
    """Each role has at least one backup on the primary provider, and only then asks the fallbacks."""
    settings = Settings()
    targets = settings.targets_for(settings.roles[name])
    providers = [target.provider for target in targets]
    assert providers[-2:] == ["gemini", "local"]
    assert set(providers[:-2]) == {"huggingface"}
    assert len(providers) >= 4


def test_the_targets_of_a_role_of_the_plan():
    """The primary with the role's model and its backups, then each fallback with the role's model there."""
    settings = Settings()
    assert told(settings.role("player_coordinator"), settings) == [
        f"huggingface:{SMALL}",
        "huggingface:Qwen/Qwen2.5-7B-Instruct",
        "huggingface:meta-llama/Llama-3.1-8B-Instruct",
        "gemini:gemini-3.5-flash-lite",
        "local",
    ]


def test_as_a_fallback_only_the_first_model_is_asked():
    """Backups are for the primary: a fallback has the role's own model alone."""
    settings = Settings(kickai=KickaiSettings(primary="gemini", fallback=("huggingface",)))
    assert told(settings.role("team_manager"), settings) == ["gemini:gemini-3.5-flash-lite", f"huggingface:{MEDIUM}"]


def test_a_stranger_gets_the_default_role():
    """A role without an entry asks Gemini first, at 0.3, for 500 tokens."""
    settings = Settings()
    role = settings.role("kit_washer")
    assert (role.temperature, role.max_tokens) == (0.3, 500)
    assert told(role, settings) == ["gemini:gemini-3.5-flash-lite", "huggingface", "local"]


def test_the_default_role_asks_nobody_whom_the_settings_leave_out():
    """Gemini comes first where the chain has it; where it has not, no prompt goes there."""
    settings = Settings(kickai=KickaiSettings(primary="ollama", fallback=()))
    assert told(settings.default_role, settings) == ["ollama"]


def test_a_preferred_kind_moves_its_instances_up():
    """What a role prefers may be the kind of a named instance."""
    settings = Settings(
        kickai=KickaiSettings(primary="huggingface", fallback=("work",)),
        providers={"work": ProviderSettings(kind="gemini")},
    )
    assert told(settings.default_role, settings) == ["work:gemini-3.5-flash-lite", "huggingface"]


def test_the_preferred_instance_comes_first_for_every_role():
    """One setting moves all traffic: the immediate rollback."""
    settings = Settings(kickai=KickaiSettings(preferred="gemini"))
    for role in (*settings.roles.values(), settings.default_role):
        assert told(role, settings)[0] == "gemini:gemini-3.5-flash-lite"
    assert len(told(settings.roles["team_manager"], settings)) == 5


def test_the_preferred_instance_joins_a_chain_that_lacks_it():
    """A role with a chain of its own is moved, too, and keeps the order of the rest."""
    role = Role(name="r", chain=(Target("a"), Target("b", "m"), Target("c")))
    settings = Settings(kickai=KickaiSettings(preferred="gemini"))
    assert told(role, settings) == ["gemini", "a", "b:m", "c"]
    settings = Settings(kickai=KickaiSettings(preferred="b"))
    assert told(role, settings) == ["b:m", "a", "c"]


def test_an_own_chain_takes_the_place_of_primary_and_fallback():
    """Each link once, and the successor in the place of a retired model."""
    role = Role(name="r", chain=(Target("gemini", "gemini-1.5-flash"), Target("hf"), Target("hf")))
    assert told(role, Settings()) == ["gemini:gemini-3.5-flash-lite", "hf"]


def test_models_may_be_named_by_instance():
    """An instance's own entry outranks that of its kind."""
    role = Role(name="r", models={"tgi": ("served-here",), "huggingface": ("q",)})
    settings = Settings(
        kickai=KickaiSettings(primary="tgi", fallback=("huggingface",)),
        providers={"tgi": ProviderSettings(kind="huggingface", model="mine")},
    )
    assert told(role, settings) == ["tgi:served-here", "huggingface:q"]


def test_an_endpoint_with_a_model_of_its_own_keeps_it():
    """A named instance that sets a model serves that one; the catalogue's names mean nothing there."""
    role = Role(name="r", models={"huggingface": ("q",)})
    providers = {
        "tgi": ProviderSettings(kind="huggingface", model="mine"),
        "work": ProviderSettings(kind="huggingface"),
    }
    settings = Settings(kickai=KickaiSettings(primary="tgi", fallback=("work",)), providers=providers)
    assert told(role, settings) == ["tgi", "work:q"]


def test_the_default_role_is_changed_by_its_table():
    """Field by field, for everyone who has no role of their own; it is no role beside the others."""
    tables = {"roles": {"default": {"temperature": 0.9, "prefers": "mock"}, "scout": {"max_tokens": 7}}}
    settings = structure(read(tables, {}), {})
    assert settings.role("nobody") is settings.role("default") is settings.default_role
    assert (settings.default_role.temperature, settings.default_role.max_tokens) == (0.9, 500)
    assert (settings.default_role.prefers, settings.default_role.models) == ("mock", Settings().default_role.models)
    assert "default" not in settings.roles
    assert settings.role("scout").temperature == Role(name="scout").temperature


def test_a_retired_model_of_the_default_role_is_told():
    """As in any other table."""
    tables = {"roles": {"default": {"models": {"gemini": ["gemini-1.5-pro"]}}}, "successors": {"gemini-1.5-pro": "new"}}
    settings = structure(read(tables, {}), {"gemini": ProviderInfo(name="gemini", summary="")})
    assert settings.default_role.models["gemini"] == ("new",)
    assert any("roles.default.models.gemini" in str(problem) for problem in settings.warnings)
