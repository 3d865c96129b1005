"""CrewAI, with its own client and our address as its base URL."""

from __future__ import annotations

import os

import pytest
from scripted import TEXT

os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", CREWAI_TESTING="true", OTEL_SDK_DISABLED="true"
)
crewai = pytest.importorskip("crewai", reason="runs in nox -s gateway-clients")

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def llm(base_url):
    """A model for agents: a role of the settings."""
    return crewai.LLM(model="openai/kickai:team_manager", base_url=base_url, api_key="none")


def test_a_call(llm):
    """The text of the answer."""
    assert llm.call("Who can play?") == TEXT


def test_a_stream(base_url):
    """The same text."""
    llm = crewai.LLM(model="openai/kickai:team_manager", base_url=base_url, api_key="none", stream=True)
    assert llm.call("Who can play?") == TEXT


def test_a_crew_with_a_tool(llm):
    """The agent calls its tool, and answers."""
    called = []

    @crewai.tools.tool
    def find_players(day: str) -> str:
        """Find the players of a day."""
        called.append(day)
        return "Anna"

    agent = crewai.Agent(role="coordinator", goal="find players", backstory="none", llm=llm, tools=[find_players])
    task = crewai.Task(description="Who can play?", expected_output="names", agent=agent)
    assert crewai.Crew(agents=[agent], tasks=[task]).kickoff().raw == TEXT
    assert called == ["text"]
