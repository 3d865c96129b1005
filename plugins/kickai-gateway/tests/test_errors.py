"""Errors as clients see them."""

from __future__ import annotations

import pytest
from wire import ASK, CHAT, TOOL, body

UTF_16 = '{"model": "one", "messages": [{"role": "user", "content": "hi"}]}'.encode("utf-16")

NESTED: dict[str, object] = {}
"""A value that is nested too deeply for a schema, and not for JSON."""
for _ in range(80):
    NESTED = {"a": NESTED}


@pytest.mark.parametrize(
    ("model", "status", "type_", "code"),
    [
        ("one:busy", 429, "rate_limit_error", "rate_limit_exceeded"),
        ("one:down", 503, "server_error", "no_target_available"),
        ("one:strict", 400, "invalid_request_error", "request_rejected"),
        ("one:small", 400, "invalid_request_error", "context_length_exceeded"),
        ("one:prude", 400, "invalid_request_error", "content_filter"),
        ("nobody", 404, "invalid_request_error", "model_not_found"),
        ("kickai:nobody", 404, "invalid_request_error", "model_not_found"),
        ("one,,two", 404, "invalid_request_error", "model_not_found"),
        ("x" * 600, 404, "invalid_request_error", "model_not_found"),
    ],
)
async def test_an_error_has_a_status_a_type_and_a_code(http, model, status, type_, code):
    """And a message; four fields in all."""
    response = await http.post(CHAT, json=body(model))
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (status, type_, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]


async def test_a_failed_request_is_not_to_be_repeated(http):
    """The chain has retried, and says when a target is available again."""
    response = await http.post(CHAT, json=body("one:busy"))
    assert response.headers["x-should-retry"] == "false"
    assert 590 <= int(response.headers["retry-after"]) <= 600


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": ASK * 2049}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}] * 2049}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}] * 1500}] * 2}, "messages"),
        ({"tools": [TOOL] * 513}, "tools"),
        ({"stop": ["END"] * 513}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [*ASK, {"role": "user", "content": [{"type": "audio"}]}]}, "messages[1].content[0].type"),
        ({"messages": [{"role": "user", "content": "x", "shown": 1}]}, "messages[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": 5}}]}]},
            "messages[0].tool_calls",
        ),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include": True}}, "stream_options.include"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"temprature": 1}, "temprature"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "a", "shown": 1}}]}, "tools[0].function"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": {"n" * 10**6: NESTED}}}}},
            "response_format.json_schema.schema",
        ),
    ],
)
async def test_an_invalid_field_is_named(http, script, fields, param):
    """Nothing is sent, and the message says what is expected."""
    given = {name: value for name, value in body(**fields).items() if value is not None}
    response = await http.post(CHAT, json=given)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error"), error
    assert error["param"] == param, error
    assert 0 < len(error["message"]) <= 1_000
    assert script.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"n": None},
        {"logprobs": False},
        {"frequency_penalty": 0},
        {"presence_penalty": 0.0},
        {"logit_bias": {}},
        {"parallel_tool_calls": True},
        {"parallel_tool_calls": False},
        {"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"},
        {"stop": None, "tools": None, "response_format": None},
    ],
)
async def test_a_field_that_changes_nothing_is_accepted(http, fields):
    """Clients send many of them."""
    assert (await http.post(CHAT, json=body(**fields))).status_code == 200


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b"null", b'{"model": NaN}', b"\xff", b"[" * 100_000, UTF_16])
async def test_a_body_that_is_no_object_is_refused(http, data):
    """Whatever its size and nesting."""
    response = await http.post(CHAT, content=data, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


async def test_an_unexpected_error_shows_nothing(http, gateway):
    """A plugin's exception becomes the error of an attempt, without its message."""
    response = await http.post(CHAT, json=body("one:bug"))
    assert response.status_code == 503
    assert "secret" not in response.text + "".join(gateway.log)


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("GET", CHAT, 405, "needs the method POST"),
        ("POST", "/v1/models", 405, "needs the method GET"),
        ("POST", "/v1/responses", 404, "Responses API"),
        ("GET", "/v1/responses/resp_1", 404, "Responses API"),
        ("GET", "/v1/responses_of_others", 404, "the paths are"),
        ("POST", "/chat/completions", 404, "base URL ends with /v1"),
        ("GET", "/nothing", 404, "the paths are"),
        ("GET", "/v1/models/nobody", 404, "does not exist"),
    ],
)
async def test_another_path_says_what_to_use(http, method, path, status, word):
    """With the error body of the API."""
    response = await http.request(method, path, json={"messages": ASK} if method == "POST" else None)
    assert response.status_code == status
    assert word in response.json()["error"]["message"]
