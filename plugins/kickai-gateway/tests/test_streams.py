"""Streamed answers of ``POST /v1/chat/completions``."""

from __future__ import annotations

import json

from scripted import TEXT, WORDS
from wire import CHAT, TOOL, body, check_chunks, read_events


async def test_a_stream_has_the_form_of_the_reference(http):
    """The role comes first, exactly one chunk has a finish reason, no chunk has usage, and ``[DONE]`` ends it."""
    response = await http.post(CHAT, json=body("one:large", stream=True))
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    chunks = check_chunks(response.text)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", *WORDS, None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all("usage" not in json.loads(event) for event in read_events(response.text)[:-1])
    assert (response.headers["x-kickai-provider"], response.headers["x-kickai-model"]) == ("one", "large")


async def test_a_stream_names_the_model_as_the_provider_does(http):
    """In the header and in every chunk, also when neither the client nor the settings name one."""
    response = await http.post(CHAT, json=body("kickai", stream=True))
    whole = await http.post(CHAT, json=body("kickai"))
    assert response.headers["x-kickai-model"] == whole.headers["x-kickai-model"] == whole.json()["model"]
    assert {chunk.model for chunk in check_chunks(response.text)} == {whole.json()["model"]}


async def test_the_token_counts_come_when_asked_for(http):
    """The last chunk has them and no choices; ``usage`` is null in all others."""
    response = await http.post(CHAT, json=body(stream=True, stream_options={"include_usage": True}))
    *others, last = check_chunks(response.text)
    assert (last.choices, last.usage.total_tokens) == ([], 19)
    assert [json.loads(event)["usage"] for event in read_events(response.text)[:-2]] == [None] * len(others)


async def test_tool_calls_are_numbered(http):
    """Each has its own index, id, name and arguments."""
    other = {"type": "function", "function": {"name": "cancel", "parameters": {"type": "object"}}}
    response = await http.post(CHAT, json=body(stream=True, tools=[TOOL, other]))
    chunks = check_chunks(response.text)
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert [(call.index, call.id, call.function.name) for call in calls] == [
        (0, "call_0", "find_players"),
        (1, "call_1", "cancel"),
    ]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_a_fallback_before_the_first_chunk_is_not_seen(http):
    """Except in the headers."""
    response = await http.post(CHAT, json=body("one:down,two:large", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in check_chunks(response.text)) == TEXT
    assert (response.headers["x-kickai-provider"], response.headers["x-kickai-fell-back"]) == ("two", "true")


async def test_an_error_before_the_first_chunk_is_a_status(http):
    """Not a stream that breaks."""
    response = await http.post(CHAT, json=body("one:busy", stream=True))
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_stream_that_breaks_ends_with_an_error_event(http):
    """It never ends silently, and has neither a finish reason nor ``[DONE]``."""
    response = await http.post(CHAT, json=body("one:breaks", stream=True))
    *chunks, last = read_events(response.text)
    name, _, data = last.partition(": ")
    assert name == "error"
    assert json.loads(data)["error"]["code"] == "upstream_failed"
    assert all(json.loads(chunk)["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert "the connection was cut" in data
