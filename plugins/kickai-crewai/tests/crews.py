"""Agents and crews as an application creates them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from attrs import define, field
from crewai import Agent, Crew, Task

from kickai_crewai import KickaiLLM

if TYPE_CHECKING:
    from kickai_mock import Call
    from kickai_providers_core import Resolver

KICKOFFS = ("kickoff", "kickoff_async", "akickoff")
"""The three ways to start a crew."""


@define
class Vendors:
    """A resolver over two vendors, ``first`` and ``second``, which record their calls.

    Attributes:
        resolver: The resolver.
        calls: The calls of both, in order.
    """

    resolver: Resolver
    calls: list[Call] = field(factory=list)

    @property
    def requests(self) -> list[Any]:
        """The requests of all calls."""
        return [call.request for call in self.calls]

    def llm(self, role: str | None = "player_coordinator", **fields: Any) -> KickaiLLM:
        """Return an LLM for a role."""
        return KickaiLLM(role, resolver=self.resolver, **fields)


def agent_with(llm: KickaiLLM, **fields: Any) -> Agent:
    """Return an agent as an application creates it, with CrewAI's own number of repetitions."""
    role = fields.pop("role", "Player coordinator")
    return Agent(role=role, goal="Find players.", backstory="Knows everyone.", llm=llm, **fields)


def crew_of(*agents: Agent, **fields: Any) -> Crew:
    """Return a crew with one task for each agent."""
    tasks = [Task(description="Who plays?", expected_output="Names", agent=agent, **fields) for agent in agents]
    return Crew(agents=list(agents), tasks=tasks)


def run_crew(crew: Crew, how: str) -> Any:
    """Run a crew in one of the three ways, and return its output."""
    if how == "kickoff":
        return crew.kickoff()
    return asyncio.run(getattr(crew, how)())
