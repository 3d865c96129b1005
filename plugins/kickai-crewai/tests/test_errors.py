"""Failures: one walk for each call, and the chain's error at the end, whatever CrewAI would do about it."""

from __future__ import annotations

import pickle
import traceback

import pytest
from crewai.events.types.llm_events import LLMCallCompletedEvent, LLMCallFailedEvent, LLMCallStartedEvent
from crewai.tools import tool
from crewai.utilities.agent_utils import _NATIVE_TOOL_UNSUPPORTED_PATTERNS, is_context_length_exceeded
from crewai.utilities.exceptions.context_window_exceeding_exception import CONTEXT_LIMIT_ERRORS
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import (
    ChainExhaustedError,
    ContentFilteredError,
    ContextLengthExceededError,
    DeadlineExceededError,
    KickaiError,
    RateLimitedError,
    UnsupportedRequestError,
)

from kickai_crewai import KickaiCallError


@tool
def find_players(day: str) -> str:
    """Find the players of a day."""
    return f"On {day}: Ada"


@pytest.mark.parametrize("how", KICKOFFS)
@pytest.mark.parametrize(
    ("fault", "kind", "models"),
    [
        ("rate_limited:1", ChainExhaustedError, ["first", "second"]),
        ("unavailable", ChainExhaustedError, ["first", "second"]),
        ("timeout", ChainExhaustedError, ["first", "second"]),
        ("authentication", ChainExhaustedError, ["first"]),  # both are models of one vendor
        ("content_filtered", ContentFilteredError, ["first"]),
        ("context_length_exceeded:100", ContextLengthExceededError, ["first"]),
    ],
)
def test_a_failure_ends_the_crew_after_one_walk(vendors, how, fault, kind, models):
    """CrewAI repeats ordinary exceptions up to nine times. The caller gets the chain's error and its trace."""
    made = vendors("never", script=(fault,), both=True)
    with pytest.raises(KickaiCallError) as raised:
        run_crew(crew_of(agent_with(made.llm())), how)
    failure = raised.value.failure
    assert [call.model for call in made.calls] == models
    assert (type(failure), failure.__class__ is kind) == (type(raised.value.__cause__), True)
    assert len(failure.trace.attempts) == len(models)


PHRASES = [*CONTEXT_LIMIT_ERRORS, *_NATIVE_TOOL_UNSUPPORTED_PATTERNS]


@pytest.mark.parametrize("how", KICKOFFS)
@pytest.mark.parametrize("tools", [[], [find_players]], ids=["without tools", "with tools"])
def test_no_words_of_a_service_have_crewai_report_a_failure_as_done(vendors, how, tools):
    """CrewAI looks for certain words, and may then end with a text as if the task were done."""

    def answer(_request) -> str:
        raise ContextLengthExceededError(". ".join(PHRASES))

    made = vendors(answer)
    with pytest.raises(KickaiCallError, match="ContextLengthExceededError"):
        run_crew(crew_of(agent_with(made.llm(), tools=tools)), how)
    assert len(made.calls) == 1


@pytest.mark.parametrize("phrase", PHRASES)
def test_the_words_that_crewai_looks_for_stay_out_of_the_text(phrase):
    """They are still in the chain's own error."""
    failure = ContextLengthExceededError(f"The service says: {phrase.upper()}.")
    error = KickaiCallError.from_failure(failure)
    assert (str(error), error.failure) == (
        "ContextLengthExceededError after 0 attempts: its words are in the attribute failure",
        failure,
    )


def test_our_own_words_are_harmless():
    """The core's errors about context windows need no such care."""
    error = ContextLengthExceededError("the prompt does not fit the model's context window", limit_tokens=100)
    assert not is_context_length_exceeded(error)
    text = str(KickaiCallError.from_failure(error))
    assert text == "ContextLengthExceededError: the prompt does not fit the model's context window"


@pytest.mark.parametrize("how", KICKOFFS)
def test_max_execution_time_does_not_hide_the_error(vendors, how):
    """CrewAI runs the agent in a thread of its own then, and wraps ordinary exceptions."""
    made = vendors("never", script=("unavailable",), both=True)
    with pytest.raises(KickaiCallError):
        run_crew(crew_of(agent_with(made.llm(), max_execution_time=60)), how)
    assert len(made.calls) == 2


def test_a_guardrails_failure_ends_the_crew(vendors):
    """The question whether an output passes is a call of its own, and CrewAI would repeat that too."""

    def answer(request) -> str:
        if "guardrail" in "".join(message.content for message in request.messages).lower():
            raise RateLimitedError("slow down")
        return "Thought: easy\nFinal Answer: Ada"

    made = vendors(answer)
    with pytest.raises(KickaiCallError):
        run_crew(crew_of(agent_with(made.llm()), guardrail="It names a player."), "kickoff")
    assert len(made.calls) == 3


def test_the_deadline_holds(vendors, call):
    """It is the chain's, unless the LLM has one of its own."""
    made = vendors("late", latency_s=30.0)
    with pytest.raises(KickaiCallError) as raised:
        call(made.llm(deadline_s=0.2), "hi")
    assert isinstance(raised.value.failure, DeadlineExceededError)
    assert not isinstance(raised.value, TimeoutError)


def test_a_closed_resolver_is_a_failure_too(vendors, call):
    """CrewAI would try again."""
    made = vendors()
    made.resolver.close()
    with pytest.raises(KickaiCallError, match="RuntimeError: ") as raised:
        call(made.llm(), "hi")
    assert isinstance(raised.value.failure, RuntimeError)
    assert made.calls == []


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "content": [{"type": "input_audio"}]}, "input_audio"),
        ({"role": "user", "content": "hi", "files": {"a.pdf": object()}}, "crewai-files"),
        ({"role": "user"}, "must have 'role' and 'content' keys"),
        ("secret words", r"messages\[0\] must be a mapping with role and content, got str of 12 characters"),
    ],
)
def test_a_malformed_message_is_named(vendors, call, message, words):
    """Nothing is sent."""
    made = vendors()
    with pytest.raises(KickaiCallError, match=words) as raised:
        call(made.llm(), [message])
    assert isinstance(raised.value.failure, ValueError | TypeError)
    assert "secret" not in str(raised.value)
    assert made.calls == []


def test_the_events_of_a_failure(vendors, call, events):
    """One event begins the call, and one ends it."""
    made = vendors("secret", script=("unavailable",), both=True)
    started, failed = events(LLMCallStartedEvent), events(LLMCallFailedEvent, LLMCallCompletedEvent)
    with pytest.raises(KickaiCallError) as raised:
        call(made.llm(), "hi")
    events.settle()
    ((begin,), (end,)) = started, failed
    assert (end.error, end.call_id, end.model) == (str(raised.value), begin.call_id, "kickai/player_coordinator")
    assert (begin.temperature, begin.max_tokens) == (0.1, 500)


def test_what_pydantic_quotes_stays_out_of_the_text(vendors, call):
    """CrewAI's events are pydantic models of the messages."""
    made = vendors()
    with pytest.raises(KickaiCallError, match=r"ArgumentValueError: CrewAI does not take .* tools") as raised:
        call(made.llm(), [{"role": "user", "content": "hi"}], tools=f"sec{'ret'} words")
    assert "secret" not in "".join(traceback.format_exception(raised.value))
    assert made.calls == []


def test_the_error_is_ours_and_a_value():
    """``except KickaiError`` catches it, and it pickles with what the chain raised."""
    error = KickaiCallError.from_failure(UnsupportedRequestError("no tools", provider="a"))
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, KickaiError)
    assert (str(copy), copy.reason, copy.source) == (str(error), str(error), "kickai-crewai")
    assert copy.failure.provider == "a"
    assert copy.as_dict()["failure"]["error"] == "UnsupportedRequestError"


def test_messages_must_be_text_or_a_list(vendors, call):
    """The error describes what was given instead."""
    with pytest.raises(KickaiCallError, match="messages must be text or a list of messages, got dict"):
        call(vendors().llm(), {"role": "user"})
