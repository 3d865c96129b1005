"""Whole answers of ``POST /v1/chat/completions``."""

from __future__ import annotations

import base64

import pytest
from scripted import TEXT
from wire import ASK, CHAT, TOOL, body, check_answer, check_chunks


async def test_an_answer_has_the_form_of_the_reference(http):
    """Every field of OpenAI's type is there, with an id, the model that answered, and the token counts."""
    response = await http.post(CHAT, json=body("one:large"))
    assert response.status_code == 200
    answer = check_answer(response.json())
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", TEXT, "stop")
    assert (answer.object, answer.model) == ("chat.completion", "large")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (12, 7, 19)
    assert answer.usage.prompt_tokens_details.cached_tokens == 5
    assert answer.usage.completion_tokens_details.reasoning_tokens == 3


async def test_the_headers_say_who_answered(http):
    """The instance, the model, the number of attempts, and whether it fell back."""
    response = await http.post(CHAT, json=body("one:down,two:large"))
    found = {name.removeprefix("x-kickai-"): value for name, value in response.headers.items() if "kickai" in name}
    assert found == {"provider": "two", "model": "large", "attempts": "4", "fell-back": "true"}
    assert response.headers["x-request-id"].removeprefix("req_") == response.json()["id"].removeprefix("chatcmpl-")


async def test_every_field_reaches_the_provider(http, script):
    """Each has its own value, so that no two can be exchanged."""
    fields = {
        "temperature": 0.25,
        "top_p": 0.5,
        "max_tokens": 77,
        "stop": ["END", "FIN"],
        "seed": 11,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "find_players"}},
    }
    response = await http.post(CHAT, json=body("one:large", **fields))
    assert response.status_code == 200
    (request,) = script.requests
    assert (request.temperature, request.top_p, request.max_tokens, request.seed) == (0.25, 0.5, 77, 11)
    assert (request.stop, request.tool_choice, request.model) == (("END", "FIN"), "find_players", "large")
    assert dict(request.tools[0].parameters) == TOOL["function"]["parameters"]


async def test_the_newer_name_of_the_token_limit_wins(http, script):
    """``max_completion_tokens`` replaces ``max_tokens``."""
    await http.post(CHAT, json=body(max_tokens=5, max_completion_tokens=6))
    assert script.requests[0].max_tokens == 6


async def test_tool_calls_and_their_results_pass(http, script):
    """The model's calls come back with ids, and the next request may repeat the message as it came."""
    response = await http.post(CHAT, json=body(tools=[TOOL]))
    message = response.json()["choices"][0]["message"]
    assert check_answer(response.json()).choices[0].finish_reason == "tool_calls"
    assert message["content"] is None
    (call,) = message["tool_calls"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Anna"}
    response = await http.post(CHAT, json={"model": "one", "messages": [*ASK, message, result], "tools": [TOOL]})
    assert response.json()["choices"][0]["message"]["content"] == TEXT
    assert [each.role for each in script.requests[1].messages] == ["user", "assistant", "tool"]


async def test_an_image_reaches_the_provider(http, script):
    """A data URL as its bytes, and any other URL as it is: the gateway fetches nothing."""
    data = base64.b64encode(b"png").decode()
    images = [f"data:image/png;base64,{data}", "http://127.0.0.1:1/x.png"]
    content = [{"type": "text", "text": "?"}, *({"type": "image_url", "image_url": {"url": url}} for url in images)]
    response = await http.post(CHAT, json={"model": "one", "messages": [{"role": "user", "content": content}]})
    assert response.status_code == 200
    first, second = script.requests[0].messages[0].images
    assert (first.data, first.media_type, second.url) == (b"png", "image/png", images[1])


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}, "strict": True}}, "array"),
    ],
)
async def test_a_response_format_becomes_a_schema(http, script, form, schema):
    """Plain text becomes none, and any object the schema of an object."""
    response = await http.post(CHAT, json=body(response_format=form))
    sent = script.requests[0].json_schema
    assert (sent if sent is None else dict(sent)) == ({"type": "array"} if schema == "array" else schema), response.text


async def test_missing_token_counts_are_left_out(http):
    """They are not reported as zero."""
    answer = (await http.post(CHAT, json=body("one:uncounted"))).json()
    assert "usage" not in answer
    check_answer(answer)


async def test_a_truncated_answer_says_so(http):
    """The finish reason is ``length``."""
    answer = (await http.post(CHAT, json=body("one:long"))).json()
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_reasoning_comes_with_the_message_and_may_be_sent_back(http, script):
    """Clients that send the whole message back are not refused, and providers do not get it."""
    message = (await http.post(CHAT, json=body())).json()["choices"][0]["message"]
    assert message["reasoning_content"] == "Someone came."
    response = await http.post(CHAT, json={"model": "one", "messages": [*ASK, message, *ASK]})
    assert response.status_code == 200
    assert script.requests[1].messages[1].content == TEXT


@pytest.mark.parametrize("stream", [False, True])
async def test_one_tool_call_at_most_can_be_asked_for(http, stream):
    """Further ones are not passed on."""
    other = {"type": "function", "function": {"name": "cancel", "parameters": {"type": "object"}}}
    response = await http.post(CHAT, json=body(tools=[TOOL, other], parallel_tool_calls=False, stream=stream))
    if stream:
        calls = [call for chunk in check_chunks(response.text) for call in chunk.choices[0].delta.tool_calls or ()]
    else:
        calls = check_answer(response.json()).choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["find_players"]
