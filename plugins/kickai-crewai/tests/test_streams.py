"""Streamed calls: what arrives, and how they fall back."""

from __future__ import annotations

import asyncio

import pytest
from crewai.events.types.llm_events import LLMStreamChunkEvent, LLMThinkingChunkEvent
from crews import agent_with, crew_of
from kickai_providers_core import FinishReason, ProviderError, Reply

from kickai_crewai import KickaiCallError

ANSWER = "Thought: easy\nFinal Answer: Ada, Bo and Cy"


def test_a_streamed_call_passes_the_pieces_on(vendors, call, events):
    """The pieces are the vendor's, and the call returns the whole answer."""
    made, chunks = vendors("Ada and Bo"), events(LLMStreamChunkEvent)
    assert call(made.llm(stream=True), "Who?") == "Ada and Bo"
    events.settle()
    assert [event.chunk for event in chunks] == ["Ada ", "and ", "Bo"]
    assert len({event.call_id for event in chunks}) == 1
    assert made.calls[0].mode in {"stream", "astream"}


@pytest.mark.parametrize("mode", ["live", "buffered"])
def test_a_stream_falls_back_before_its_first_piece(vendors, call, mode):
    """Nothing has been shown yet."""
    made = vendors("Ada", script=("unavailable",))
    assert call(made.llm(stream=True, stream_mode=mode), "Who?") == "Ada"
    assert [each.model for each in made.calls] == ["first", "second"]


def test_a_live_stream_that_breaks_off_is_an_error(vendors, call, events):
    """What was shown cannot be taken back. The part that arrived is on the chain's error, and in no message."""
    made, chunks = vendors("Ada and Bo", script=("cut",)), events(LLMStreamChunkEvent)
    with pytest.raises(KickaiCallError) as raised:
        call(made.llm(stream=True), "Who?")
    failure = raised.value.failure
    assert isinstance(failure, ProviderError)
    events.settle()
    assert failure.partial_text == "".join(event.chunk for event in chunks) != ""
    assert "Ada" not in str(raised.value)
    assert [each.model for each in made.calls] == ["first"]


def test_a_buffered_stream_falls_back_at_any_time(vendors, call, events):
    """Its pieces come when the answer is complete."""
    made, chunks = vendors("Ada and Bo", script=("cut",)), events(LLMStreamChunkEvent)
    assert call(made.llm(stream=True, stream_mode="buffered"), "Who?") == "Ada and Bo"
    events.settle()
    assert "".join(event.chunk for event in chunks) == "Ada and Bo"
    assert [each.model for each in made.calls] == ["first", "second"]


def test_reasoning_is_passed_on_apart_from_the_answer(vendors, call, events):
    """CrewAI has an event for it."""
    thoughtful = Reply(text="Ada", finish_reason=FinishReason.STOP, reasoning="Who is free?")
    made, thoughts = vendors(lambda _request: thoughtful), events(LLMThinkingChunkEvent)
    assert call(made.llm(stream=True), "Who?") == "Ada"
    events.settle()
    assert "".join(event.chunk for event in thoughts) == "Who is free?"


def test_a_crew_streams(vendors):
    """``Crew(stream=True)`` shows the vendor's pieces, and then has the result."""
    crew = crew_of(agent_with(vendors(ANSWER).llm()))
    crew.stream = True
    output = crew.kickoff()
    assert "".join(chunk.content for chunk in output) == ANSWER
    assert output.result.raw == "Ada, Bo and Cy"


def test_a_crew_streams_on_an_event_loop(vendors):
    """The same with ``akickoff``."""
    crew = crew_of(agent_with(vendors(ANSWER, script=("unavailable",)).llm()))
    crew.stream = True

    async def read() -> tuple[str, str]:
        output = await crew.akickoff()
        text = "".join([chunk.content async for chunk in output])
        return text, output.result.raw

    assert asyncio.run(read()) == (ANSWER, "Ada, Bo and Cy")
