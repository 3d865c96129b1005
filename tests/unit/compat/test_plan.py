"""The tests of the migration plan: configuration of all agents, fallback, temperatures, health and monitoring."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core import ArgumentValueError, ChainExhaustedError, Resolver
from kickai_providers_core.compat import (
    AgentRole,
    AIProvider,
    LLMConfig,
    LLMFactory,
    MigrationReport,
    ResilientLLM,
    get_agent_model_config,
    get_fallback_config,
    get_migration_monitor,
    get_smart_provider,
)
from kickai_providers_core.config.roles import load_current_catalogue
from kickai_providers_core.outside_calls import OutsideCall

if TYPE_CHECKING:
    from conftest import World

pytestmark = pytest.mark.usefixtures("resolver")

TEMPERATURES = {
    AgentRole.PLAYER_COORDINATOR: 0.1,
    AgentRole.MESSAGE_PROCESSOR: 0.1,
    AgentRole.HELP_ASSISTANT: 0.1,
    AgentRole.FINANCE_MANAGER: 0.1,
    AgentRole.ONBOARDING_AGENT: 0.2,
    AgentRole.TEAM_MANAGER: 0.3,
    AgentRole.AVAILABILITY_MANAGER: 0.3,
    AgentRole.PERFORMANCE_ANALYST: 0.7,
    AgentRole.LEARNING_AGENT: 0.7,
    AgentRole.SQUAD_SELECTOR: 0.7,
}


def test_the_agents_are_the_roles_of_the_catalogue() -> None:
    """There are ten, in the order of the plan."""
    assert list(AgentRole) == list(TEMPERATURES) == list(load_current_catalogue().roles)


@pytest.mark.parametrize("role", AgentRole)
@pytest.mark.parametrize("provider", [AIProvider.HUGGINGFACE, AIProvider.GEMINI])
def test_every_agent_has_the_configuration_of_both_providers(role: AgentRole, provider: AIProvider) -> None:
    """It has a model, a temperature and a token limit, as attributes and as keys."""
    config = get_agent_model_config(role, provider)
    assert config.provider is provider
    assert config.model
    assert config.temperature == TEMPERATURES[role]
    assert config.max_tokens is not None
    assert 300 <= config.max_tokens <= 1000
    assert dict(config) == {
        "provider": provider,
        "model": config.model,
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
    }
    assert "model" in config
    assert len(config) == 4


@pytest.mark.parametrize("role", AgentRole)
def test_hugging_face_is_called_first_and_gemini_next(role: AgentRole) -> None:
    """The configuration without a provider is that of the first target."""
    first, fallback = get_agent_model_config(role), get_fallback_config(role)
    assert first == get_agent_model_config(role, AIProvider.HUGGINGFACE)
    assert fallback == get_agent_model_config(role, AIProvider.GEMINI)


def test_a_failing_primary_falls_back(world: World) -> None:
    """The answer of the fallback is returned as text."""
    world.huggingface.fails = True
    llm = ResilientLLM(AgentRole.PLAYER_COORDINATOR)
    assert llm.invoke("Who can play?") == "gemini answers"
    assert llm("Who can play?") == "gemini answers"


async def test_a_failing_primary_falls_back_without_blocking(world: World) -> None:
    """Two asynchronous calls run on one event loop."""
    world.huggingface.fails = True
    llm = ResilientLLM(AgentRole.SQUAD_SELECTOR)
    answers = await asyncio.gather(llm.ainvoke("One?"), llm.ainvoke("Two?"))
    assert answers == ["gemini answers", "gemini answers"]


def test_when_all_fail_the_error_is_that_of_the_chain(world: World) -> None:
    """It lists every cause."""
    world.huggingface.fails = world.gemini.fails = True
    with pytest.raises(ChainExhaustedError):
        ResilientLLM(AgentRole.SQUAD_SELECTOR).invoke("Who plays?")


@pytest.mark.parametrize(
    ("role", "temperature"), [(AgentRole.FINANCE_MANAGER, 0.1), (AgentRole.PERFORMANCE_ANALYST, 0.7)]
)
def test_temperatures_are_preserved(world: World, role: AgentRole, temperature: float) -> None:
    """They arrive at both providers."""
    world.huggingface.fails = True
    ResilientLLM(role).invoke("Go")
    assert {request.temperature for request in world.huggingface.requests} == {temperature}
    assert [request.temperature for request in world.gemini.requests] == [temperature]


@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_the_factory_preserves_the_configuration(world: World, temperature: float) -> None:
    """One model of one provider is called, without a fallback."""
    config = LLMConfig(provider="gemini", model="gemini-pro-x", temperature=temperature, max_tokens=77)
    llm = LLMFactory.create_llm(config)
    assert llm.config is config
    assert llm.invoke("Go") == "gemini answers"
    (request,) = world.gemini.requests
    assert (request.model, request.temperature, request.max_tokens) == ("gemini-pro-x", temperature, 77)
    assert llm.chain.targets == ("gemini:gemini-pro-x",)


def test_three_errors_make_a_provider_unhealthy() -> None:
    """The other one is chosen then, by the plan's code and by chains."""
    smart = get_smart_provider()
    assert smart.get_optimal_provider() is AIProvider.HUGGINGFACE
    for _ in range(2):
        smart.report_error(AIProvider.HUGGINGFACE, TimeoutError())
        assert smart.is_healthy(AIProvider.HUGGINGFACE)
    smart.report_error(AIProvider.HUGGINGFACE)
    assert not smart.is_healthy(AIProvider.HUGGINGFACE)
    assert smart.get_optimal_provider() is AIProvider.GEMINI
    assert ResilientLLM(AgentRole.TEAM_MANAGER).invoke("Go") == "gemini answers"


def test_successes_restore_a_provider() -> None:
    """A success offsets an error, and closes an open breaker."""
    smart = get_smart_provider()
    for ok in (False, False, True, False, True):
        (smart.report_success if ok else smart.report_error)(AIProvider.HUGGINGFACE)
    assert smart.is_healthy(AIProvider.HUGGINGFACE)
    for _ in range(3):
        smart.report_error(AIProvider.HUGGINGFACE)
    assert not smart.is_healthy(AIProvider.HUGGINGFACE)
    smart.report_success(AIProvider.HUGGINGFACE)
    assert smart.is_healthy(AIProvider.HUGGINGFACE)
    assert smart.get_optimal_provider() is AIProvider.HUGGINGFACE


def test_an_unhealthy_provider_is_asked_again(world: World) -> None:
    """After the cool-down a chain tests it with one request, which restores it."""
    smart = get_smart_provider()
    for _ in range(3):
        smart.report_error(AIProvider.HUGGINGFACE)
    world.ahead_s += 5.1
    assert ResilientLLM(AgentRole.TEAM_MANAGER).invoke("Go") == "huggingface answers"
    assert smart.is_healthy(AIProvider.HUGGINGFACE)


def test_when_none_is_healthy_the_one_that_is_due_first_is_chosen(world: World) -> None:
    """So no provider is left out for ever."""
    smart = get_smart_provider()
    for provider in (AIProvider.GEMINI, AIProvider.HUGGINGFACE):
        for _ in range(3):
            smart.report_error(provider)
        world.ahead_s += 2.0
    assert smart.get_optimal_provider(AgentRole.TEAM_MANAGER) is AIProvider.GEMINI


def test_the_report_has_the_keys_of_the_plan(world: World) -> None:
    """It counts the requests of chains, of both providers and by agent."""
    ResilientLLM(AgentRole.TEAM_MANAGER).invoke("Go")
    world.huggingface.fails = True
    ResilientLLM(AgentRole.SQUAD_SELECTOR).invoke("Go")
    report = get_migration_monitor().get_migration_report()
    assert list(report) == list(MigrationReport.__annotations__)
    assert (report["total_requests"], report["successful_requests"], report["failed_requests"]) == (2, 2, 0)
    assert report["success_rate"] == 1.0
    assert report["provider_distribution"] == {"gemini": 0.5, "huggingface": 0.5}
    assert report["fallback_rate"] == 0.5
    assert {name: group["requests"] for name, group in report["agents"].items()} == {
        "squad_selector": 1,
        "team_manager": 1,
    }
    assert report["providers"]["gemini"]["success_rate"] == 1.0
    assert report["providers"]["huggingface"]["errors"] >= 1
    assert set(report["measures"]) == {
        "free_tier_share",
        "mean_response",
        "success_rate",
        "fallback_rate",
        "cost_saved",
    }


def test_savings_are_not_projected_from_a_moment() -> None:
    """The projection to a month begins with an hour of data, and uses the time that was observed."""
    monitor = get_migration_monitor()
    monitor.log_request(AIProvider.HUGGINGFACE, AgentRole.TEAM_MANAGER, response_time_s=0.5)
    report = monitor.get_migration_report()
    assert report["monthly_savings_usd"] is None
    assert report["cost_savings_usd"] == pytest.approx(0.05 / 1000)


def test_logged_requests_are_counted() -> None:
    """Those that were made without a chain, with failures and response times."""
    monitor = get_migration_monitor()
    monitor.log_request(AIProvider.GEMINI, AgentRole.TEAM_MANAGER, response_time_s=1.0, model="gemini-x")
    monitor.log_request("gemini", AgentRole.TEAM_MANAGER, response_time_s=3.0)
    monitor.log_request("gemini", AgentRole.TEAM_MANAGER, success=False, error=TimeoutError("secret prompt"))
    monitor.log_request("gemini", success=False)
    report = monitor.get_migration_report()
    assert (report["total_requests"], report["failed_requests"]) == (4, 2)
    assert report["average_response_time_s"] == pytest.approx(2.0)
    assert report["agents"]["team_manager"]["errors"] == 1
    assert report["providers"]["gemini"]["calls"] == 4
    assert "secret" not in str(report)


def test_a_malformed_request_is_refused() -> None:
    """The error names the field."""
    with pytest.raises(ArgumentValueError, match=r"OutsideCall\.latency_s must be at least 0"):
        get_migration_monitor().log_request("gemini", response_time_s=-1)
    with pytest.raises(ArgumentValueError, match="since_s must be greater than 0"):
        get_migration_monitor().get_migration_report(0)


def test_the_error_of_an_outside_call_says_only_its_class(resolver: Resolver) -> None:
    """What an exception of the application says may be a prompt."""
    error = OutsideCall(provider="gemini", error=ValueError("my prompt")).build_attempt().error
    assert str(error) == "gemini: ValueError in a call without a chain"
    assert resolver.flush()
