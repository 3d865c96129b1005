"""openai-python, as its documentation shows it."""

from __future__ import annotations

import json
import time

import openai
import pytest
from pydantic import BaseModel
from scripted import TEXT
from wire import ASK, TOOL

MODEL = "one:large"


class Players(BaseModel):
    """A structured answer."""

    players: list[str]


@pytest.fixture
def client(base_url):
    """The client as it comes, with its retries."""
    with openai.OpenAI(base_url=base_url, api_key="none") as client:
        yield client


def test_a_whole_answer(client):
    """With text, token counts and a finish reason."""
    answer = client.chat.completions.create(model=MODEL, messages=ASK)
    assert answer.choices[0].message.content == TEXT
    assert answer.usage.total_tokens == 19


def test_a_stream(client):
    """Its text, and the token counts at its end."""
    stream = client.chat.completions.create(
        model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].usage.total_tokens == 19


def test_the_helper_for_streams(client):
    """It assembles the same answer from the chunks."""
    with client.chat.completions.stream(model=MODEL, messages=ASK) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_completion()
    assert "content.done" in kinds
    assert answer.choices[0].message.content == TEXT


def test_tools(client):
    """The call comes back, and its result is accepted with the message as the client has it."""
    first = client.chat.completions.create(model=MODEL, messages=ASK, tools=[TOOL], tool_choice="required")
    message = first.choices[0].message
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"day": "text"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "Anna"}
    second = client.chat.completions.create(model=MODEL, messages=[*ASK, message, result], tools=[TOOL])
    assert second.choices[0].message.content == TEXT


def test_streamed_tools(client):
    """The helper assembles the calls."""
    with client.chat.completions.stream(model=MODEL, messages=ASK, tools=[TOOL]) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.name == "find_players"


def test_parse(client):
    """An answer becomes an object of a pydantic model; so do the arguments of a tool."""
    answer = client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Players)
    assert answer.choices[0].message.parsed == Players(players=["text"])
    tools = [openai.pydantic_function_tool(Players)]
    answer = client.chat.completions.parse(model=MODEL, messages=ASK, tools=tools)
    assert answer.choices[0].message.tool_calls[0].function.parsed_arguments == Players(players=["text"])


def test_raw_headers(client):
    """The client reads the id of the request, and who answered."""
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK)
    assert (raw.headers["x-kickai-provider"], raw.headers["x-kickai-attempts"]) == ("one", "1")
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_models(client):
    """They are listed, and one is retrieved, whatever its name."""
    names = [model.id for model in client.models.list()]
    assert "kickai:team_manager" in names
    assert client.models.retrieve("one:org/large").id == "one:org/large"


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("nobody", openai.NotFoundError),
        ("one:strict", openai.BadRequestError),
        ("one:busy", openai.RateLimitError),
        ("one:down", openai.InternalServerError),
    ],
)
def test_errors_have_the_classes_of_the_client(client, model, kind):
    """With the code and the message. The client does not repeat what the chain has repeated."""
    started = time.monotonic()
    with pytest.raises(kind) as raised:
        client.chat.completions.create(model=model, messages=ASK)
    assert raised.value.code
    assert raised.value.body["message"]
    assert time.monotonic() - started < 20  # its own retries would wait for the 600 s that the service states


def test_a_retry_is_the_clients_choice(base_url, served):
    """One request reaches the gateway for one call that fails, although the client may retry twice."""
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=2) as client, served.client() as http:
        count = 'kickai_gateway_requests_total{route="chat",status="400"}'

        def read() -> float:
            lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith(count)]
            return float(lines[0].split()[-1]) if lines else 0.0

        before = read()
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="one:small", messages=ASK)
        assert read() == before + 1


def test_a_broken_stream_raises(client):
    """The error has its code; the stream does not end silently."""
    stream = client.chat.completions.create(model="one:breaks", messages=ASK, stream=True)
    with pytest.raises(openai.APIError, match="the connection was cut") as raised:
        list(stream)
    assert raised.value.code == "upstream_failed"


async def test_async(base_url):
    """Whole, streamed and parsed."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none") as client:
        answer = await client.chat.completions.create(model=MODEL, messages=ASK)
        assert answer.choices[0].message.content == TEXT
        stream = await client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT
        parsed = await client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Players)
        assert parsed.choices[0].message.parsed == Players(players=["text"])


def test_responses_are_refused_with_the_reason(client):
    """The Responses API is not served."""
    with pytest.raises(openai.NotFoundError, match="Responses API keeps state"):
        client.responses.create(model=MODEL, input="Who can play?")
