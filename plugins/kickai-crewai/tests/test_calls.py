"""Direct calls: requests, answers, structured output, tools, streams, usage and events."""

from __future__ import annotations


def test_a_call_returns_the_text_of_the_first_target(vendors, call):
    """The answer is the chain's, and the request carries the role's temperature and token limit."""
    made = vendors("five")
    assert call(made.llm(), "How many?") == "five"
    (request,) = made.requests
    assert (request.messages[0].content, request.temperature, request.max_tokens) == ("How many?", 0.1, 500)
