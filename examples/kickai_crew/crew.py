"""A football team's assistant: ten agents, each with the chain of its role.

Run it in this folder: ``python crew.py "Can we play on Saturday?"``.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING

from crewai import Agent, Crew, Process, Task
from kickai_crewai import KickaiCallError, KickaiLLM

from kickai_providers_core import ConfigError, Resolver
from kickai_providers_core.values.events import RequestEnded

if TYPE_CHECKING:
    from crewai.crews.crew_output import CrewOutput

    from kickai_providers_core.values.events import Event

AGENTS = {
    "message_processor": ("Message processor", "Understand what a team member wants."),
    "team_manager": ("Team manager", "Decide what the team does next."),
    "player_coordinator": ("Player coordinator", "Know every player and how to reach them."),
    "availability_manager": ("Availability manager", "Know who can play on which day."),
    "squad_selector": ("Squad selector", "Choose a squad that fits the opponent."),
    "performance_analyst": ("Performance analyst", "Find out what the team does well, and what it does not."),
    "finance_manager": ("Finance manager", "Keep track of fees and expenses."),
    "learning_agent": ("Learning agent", "Remember what worked."),
    "onboarding_agent": ("Onboarding agent", "Help new players to settle in."),
    "help_assistant": ("Help assistant", "Answer in words that everyone understands."),
}
"""The roles of the built-in catalogue: the name and the goal of each agent."""

STEPS = {
    "message_processor": "Say in one sentence what this message asks for: {message}",
    "team_manager": "List what the team has to find out before it can answer.",
    "player_coordinator": "Name the players to ask.",
    "availability_manager": "Say which of them can play.",
    "squad_selector": "Propose a squad.",
    "performance_analyst": "Name one strength and one weakness of this squad.",
    "finance_manager": "Say what the match costs each player.",
    "learning_agent": "Say what to remember for the next match.",
    "onboarding_agent": "Write one sentence for players who are new.",
    "help_assistant": "Answer the message in three sentences.",
}
"""What each agent does for a message, in order. Every step sees the results of the earlier ones."""


def build_crew(resolver: Resolver) -> Crew:
    """Return the crew. Each agent has a `KickaiLLM` of its own, so that its tokens are counted once."""
    agents = {
        role: Agent(
            role=title,
            goal=goal,
            backstory="You work for an amateur football team.",
            llm=KickaiLLM(role, resolver=resolver),
            allow_delegation=False,
        )
        for role, (title, goal) in AGENTS.items()
    }
    tasks = [Task(description=step, expected_output="Plain text.", agent=agents[role]) for role, step in STEPS.items()]
    return Crew(agents=list(agents.values()), tasks=tasks, process=Process.sequential)


def answer(message: str) -> tuple[CrewOutput, Counter[str]]:
    """Return what the crew says to a message, and how many calls each provider has answered.

    The settings are those of ``kickai.toml`` and the environment.
    """
    answered: Counter[str] = Counter()

    def count(event: Event) -> None:
        if isinstance(event, RequestEnded) and event.provider:
            answered[event.provider] += 1

    with Resolver.from_settings(observers=[count]) as resolver:
        return build_crew(resolver).kickoff(inputs={"message": message}), answered


def main() -> int:
    """Answer the message on the command line."""
    parser = argparse.ArgumentParser(description="Asks a football team's assistant.")
    parser.add_argument("message")
    try:
        output, answered = answer(parser.parse_args().message)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except KickaiCallError as error:
        print(error, file=sys.stderr)
        return 1
    print(output.raw)
    print("answered by", ", ".join(f"{name}: {calls}" for name, calls in answered.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
