"""A crew during a rollout: the calls of one task stay on one arm."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from crewai.tools import tool
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import Resolver, use_key
from kickai_providers_core.values.events import RequestEnded

from kickai_crewai import KickaiLLM
from kickai_crewai.calls import find_key

if TYPE_CHECKING:
    from collections.abc import Iterator

MOCK = {"kind": "mock", "script": ["tool_call", "ok"], "repeat": True, "reply": "Ada"}
SETTINGS = {
    "kickai": {"primary": "old", "fallback": ["new"]},
    "store": {"url": "memory:"},
    "rollout": {"candidate": "new", "share": "50%"},
    "providers": {"old": MOCK, "new": MOCK},
}
"""Each vendor calls the tool in one request and answers in the next, and half of the traffic goes to the new one."""


@tool
def find_players(day: str) -> str:
    """Find the players of a day."""
    return f"On {day}: Ada"


@pytest.fixture
def arms() -> list[str | None]:
    """The arm of each request, in order."""
    return []


@pytest.fixture
def resolver(arms) -> Iterator[Resolver]:
    """A resolver with a rollout."""

    def record(event) -> None:
        if isinstance(event, RequestEnded):
            arms.append(event.arm)

    with Resolver.from_settings(SETTINGS, env={}, observers=[record]) as resolver:
        yield resolver


def test_the_calls_of_one_execution_of_a_task_go_to_one_arm(resolver, arms):
    """The executions of a long-lived crew are spread over both arms."""
    crew = crew_of(agent_with(KickaiLLM("team_manager", resolver=resolver), tools=[find_players]))
    for number in range(24):  # the probability that all go to one arm is 2**-23
        run_crew(crew, KICKOFFS[number % 3])
    pairs = list(pairwise(arms))[::2]
    assert len(pairs) == 24
    assert set(pairs) == {("candidate", "candidate"), ("control", "control")}


@pytest.mark.parametrize("how", KICKOFFS)
def test_the_applications_key_takes_precedence(resolver, arms, how):
    """It is set in a context, which CrewAI's threads inherit: a user always gets the same arm."""
    crew = crew_of(agent_with(KickaiLLM("team_manager", resolver=resolver), tools=[find_players]))
    with use_key("user-7"):
        for _ in range(12):
            run_crew(crew, how)
    assert len(arms) == 24
    assert len(set(arms)) == 1


def test_a_call_without_a_task_has_no_key():
    """Each request then chooses its own arm."""
    assert find_key(None) is None
    assert find_key(SimpleNamespace(id="t1", start_time=None)) is None


def test_a_key_names_the_execution():
    """A task's id alone would always go to the same arm."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    assert find_key(SimpleNamespace(id="t1", start_time=began)) == "t1/2026-01-01T00:00:00+00:00"
