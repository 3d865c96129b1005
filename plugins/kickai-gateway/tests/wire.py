"""Requests and answers as bodies, and checks of their form against OpenAI's own types."""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

CHAT = "/v1/chat/completions"
ASK = [{"role": "user", "content": "Who can play?"}]

TOOL = {
    "type": "function",
    "function": {
        "name": "find_players",
        "description": "Find players",
        "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
    },
}


def body(model: str = "one", **fields: Any) -> dict[str, Any]:
    """Return the body of a request."""
    return {"model": model, "messages": ASK, **fields}


def read_events(text: str) -> list[str]:
    """Return the data of each event of a stream, with the names of named events before it."""
    assert text.endswith("\n\n")
    events = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append((f"{fields['event']}: " if "event" in fields else "") + fields["data"])
    return events


def check_answer(answer: dict[str, Any]) -> ChatCompletion:
    """Return a whole answer, which OpenAI's types accept exactly."""
    assert answer["id"]
    assert answer["model"]
    return ChatCompletion.model_validate(answer, strict=True)


def check_chunks(text: str) -> list[ChatCompletionChunk]:
    """Return the chunks of a complete stream, which have the form that the reference prescribes."""
    *events, done = read_events(text)
    assert done == "[DONE]"
    chunks = [ChatCompletionChunk.model_validate(json.loads(event), strict=True) for event in events]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all(chunk.id and chunk.model for chunk in chunks)
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert choices[0].delta.role == "assistant"
    assert [choice.delta.role for choice in choices[1:]] == [None] * (len(choices) - 1)
    assert choices[-1].finish_reason
    assert [choice.finish_reason for choice in choices[:-1]] == [None] * (len(choices) - 1)
    return chunks
