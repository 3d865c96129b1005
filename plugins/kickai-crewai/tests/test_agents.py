"""Agents without a crew, and what else CrewAI asks an agent's LLM for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from crewai.agent.planning_config import PlanningConfig
from crews import agent_with, crew_of, run_crew
from kickai_providers_core import ProviderUnavailableError
from pydantic import BaseModel

from kickai_crewai import KickaiCallError


class Squad(BaseModel):
    """The players."""

    players: list[str]


def kick_off(agent: Any, how: str, **fields: Any) -> Any:
    """Run an agent in one of three ways."""
    if how == "kickoff":
        return agent.kickoff("Who plays?", **fields)
    return asyncio.run(getattr(agent, how)("Who plays?", **fields))


HOWS = pytest.mark.parametrize("how", ["kickoff", "kickoff_async", "akickoff"])


@HOWS
def test_an_agent_answers_without_a_crew(vendors, how):
    """It falls back, and its usage is that of the run."""
    made = vendors("Thought: easy\nFinal Answer: Ada", script=("unavailable",))
    output = kick_off(agent_with(made.llm()), how)
    assert (output.raw, len(made.calls)) == ("Ada", 2)
    assert output.usage_metrics["successful_requests"] == 1


@HOWS
def test_an_agent_answers_with_an_object(vendors, how):
    """``response_format`` is CrewAI's name for it here."""
    made = vendors('{"players": ["Ada"]}')
    assert kick_off(agent_with(made.llm()), how, response_format=Squad).pydantic == Squad(players=["Ada"])


@HOWS
def test_an_agents_failure_costs_one_walk(vendors, how):
    """As in a crew."""
    made = vendors("never", script=("rate_limited",), both=True)
    with pytest.raises(KickaiCallError):
        kick_off(agent_with(made.llm()), how)
    assert len(made.calls) == 2


def test_a_plan_that_fails_ends_the_crew(vendors):
    """CrewAI would go on without a plan after an ordinary exception. It cannot tell that a failure is final here."""

    def answer(request) -> str:
        if "plan" in "".join(message.content for message in request.messages).lower():
            raise ProviderUnavailableError("down")
        return "Thought: easy\nFinal Answer: Ada"

    made = vendors(answer)
    agent = agent_with(made.llm(), planning_config=PlanningConfig(max_attempts=1))
    with pytest.raises(KickaiCallError):
        run_crew(crew_of(agent), "kickoff")
    assert len(made.calls) == 2
