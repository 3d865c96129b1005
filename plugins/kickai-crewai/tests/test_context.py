"""Long conversations: CrewAI summarizes them in time, and a summary that fails does no harm."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from crewai.events.types.llm_events import (
    ContextWindowSummarizationCompletedEvent,
    ContextWindowSummarizationFailedEvent,
)
from crewai.tools import tool
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import (
    ContextLengthExceededError,
    FinishReason,
    ProviderUnavailableError,
    Reply,
    ToolCall,
)

from kickai_crewai import KickaiCallError

WINDOW = 4000
"""Tokens; a fifth of it is one result of the tool."""

LOOKUPS = 8


@tool
def read_minutes(page: int) -> str:
    """Read one page of the minutes."""
    return f"page {page}: " + "They met and talked. " * 140


class Reader:
    """A model that reads one page after the other, and then answers.

    Args:
        summary: What it answers when CrewAI asks for a summary; an error to fail.
        longest: Characters of a prompt that it takes at most.
    """

    def __init__(self, summary: str | Exception = "<summary>they met</summary>", longest: int = 10**9) -> None:
        self.summary = summary
        self.longest = longest
        self.pages = count(1)

    def __call__(self, request: Any) -> Reply | str:
        """Return the next answer."""
        if not request.tools:
            if isinstance(self.summary, Exception):
                raise self.summary
            return self.summary
        if sum(len(message.content) for message in request.messages) > self.longest:
            raise ContextLengthExceededError("the prompt does not fit")
        page = next(self.pages)
        if page > LOOKUPS:
            return "They met."
        call = ToolCall(id=f"c{page}", name="read_minutes", arguments=f'{{"page": {page}}}')
        return Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=(call,))


def reading_crew(made: Any) -> Any:
    """Return a crew whose one agent reads the minutes."""
    return crew_of(agent_with(made.llm(context_window=WINDOW), tools=[read_minutes]))


@pytest.mark.parametrize("how", KICKOFFS)
def test_a_long_conversation_is_summarized(vendors, how, events):
    """The summary is a call of its own, on an event loop of its own, and it may fall back too."""
    made, done = vendors(Reader()), events(ContextWindowSummarizationCompletedEvent)
    assert run_crew(reading_crew(made), how).raw == "They met."
    events.settle()
    summaries = [call for call in made.calls if not call.request.tools]
    assert {call.mode for call in summaries} == {"ainvoke"}
    assert done
    assert len([message for message in made.requests[-1].messages if message.role == "tool"]) < LOOKUPS


@pytest.mark.parametrize("how", KICKOFFS)
def test_a_summary_that_fails_leaves_the_conversation_whole(vendors, how, events):
    """The request that was too long for CrewAI's taste may still be answered."""
    made = vendors(Reader(ProviderUnavailableError("down")))
    failed = events(ContextWindowSummarizationFailedEvent)
    assert run_crew(reading_crew(made), how).raw == "They met."
    events.settle()
    assert failed
    assert len([message for message in made.requests[-1].messages if message.role == "tool"]) == LOOKUPS


@pytest.mark.parametrize("how", KICKOFFS)
@pytest.mark.parametrize(
    "summary", ["<summary>they met</summary>", ProviderUnavailableError("down")], ids=["with a summary", "without"]
)
def test_a_conversation_that_no_target_takes_is_an_error(vendors, how, summary):
    """It never ends as a success without an answer."""
    made = vendors(Reader(summary, longest=6000))
    with pytest.raises(KickaiCallError) as raised:
        run_crew(reading_crew(made), how)
    assert isinstance(raised.value.failure, ContextLengthExceededError)
