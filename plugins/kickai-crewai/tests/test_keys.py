"""The rollout key of each call: the calls of one task stay together."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from attrs import evolve
from crewai.tools import tool
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import Chain, FinishReason, Reply, ToolCall, use_key

from kickai_crewai import KickaiLLM
from kickai_crewai.calls import find_key


@tool
def find_players(day: str) -> str:
    """Find the players of a day."""
    return f"On {day}: Ada"


def answer(request) -> Reply | str:
    """Call the tool, and answer with its result."""
    if any(message.role == "tool" for message in request.messages):
        return "Ada"
    call = ToolCall(id="c1", name="find_players", arguments='{"day": "Sunday"}')
    return Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=(call,))


def keyed(made, keys: list[str | None]) -> KickaiLLM:
    """Return an LLM whose chain records the key of each request, as a rollout's router sees it."""
    starter = made.llm().chain._starter
    return KickaiLLM(chain=Chain(evolve(starter, router=keys.append)))


@pytest.mark.parametrize("how", KICKOFFS)
def test_the_calls_of_one_execution_of_a_task_share_a_key(vendors, how):
    """Each task has another one, and so has its next execution: a long-lived crew is spread over both arms."""
    keys: list[str | None] = []
    made = vendors(answer)
    crew = crew_of(*(agent_with(keyed(made, keys), role=name, tools=[find_players]) for name in "AB"))
    run_crew(crew, how)
    run_crew(crew, how)
    assert len(keys) == 8
    assert None not in keys
    assert len(set(keys)) == 4
    assert keys[::2] == keys[1::2]


@pytest.mark.parametrize("how", KICKOFFS)
def test_the_applications_key_takes_precedence(vendors, how):
    """It is set in a context, which CrewAI's threads inherit."""
    keys: list[str | None] = []
    made = vendors(answer)
    with use_key("user-7"):
        run_crew(crew_of(agent_with(keyed(made, keys), tools=[find_players])), how)
    assert keys == ["user-7", "user-7"]


def test_a_call_without_a_task_has_no_key(vendors, call):
    """Each request then chooses its own arm."""
    keys: list[str | None] = []
    call(keyed(vendors("hi"), keys), "hi")
    assert keys == [None]
    assert find_key(SimpleNamespace(id="t1", start_time=None)) is None
    assert (
        find_key(SimpleNamespace(id="t1", start_time=datetime(2026, 1, 1, tzinfo=UTC)))
        == "t1/2026-01-01T00:00:00+00:00"
    )
