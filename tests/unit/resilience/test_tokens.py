"""The lower bound of a request's tokens."""

from __future__ import annotations

from kickai_providers_core import ChatRequest, Message, Tool, ToolCall
from kickai_providers_core.resilience.tokens import estimate_min_tokens

PROSE = """The away team kept its shape for an hour and then lost it within five minutes. Two players, out
since August, came on at half-time, and the captain moved to the left; nobody at the ground could say afterwards whether
that had been the plan. What is certain is that the third goal came from a throw-in nobody should have given."""


def test_prose_has_more_tokens_than_the_estimate() -> None:
    """Even one token a word is more than the estimate: no tokenizer counts fewer."""
    words = len(PROSE.split())
    assert words * 0.8 < estimate_min_tokens(ChatRequest.of(PROSE)) <= words


def test_all_that_is_sent_counts() -> None:
    """Texts, calls, tools and the schema are part of the prompt; an empty request has no tokens."""
    call = ToolCall(id="1", name="n" * 6, arguments="a" * 6)
    request = ChatRequest(
        messages=(Message(role="user", content="x" * 60), Message(role="assistant", tool_calls=(call,))),
        tools=(Tool(name="t" * 6, description="d" * 6, parameters={}),),
        json_schema={"type": "object"},
    )
    assert estimate_min_tokens(request) == (60 + 12 + 14 + len("{'type': 'object'}")) // 6
    assert estimate_min_tokens(ChatRequest.of("")) == 0


def test_a_token_is_counted_once_its_characters_are_complete() -> None:
    """The result is a lower bound."""
    assert [estimate_min_tokens(ChatRequest.of("x" * length)) for length in (5, 6, 11, 12)] == [0, 1, 1, 2]
