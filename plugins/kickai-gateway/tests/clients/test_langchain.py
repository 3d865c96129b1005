"""langchain-openai."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from scripted import TEXT

langchain_openai = pytest.importorskip("langchain_openai", reason="runs in nox -s gateway-clients")


class Players(BaseModel):
    """A structured answer."""

    players: list[str]


@pytest.fixture
def model(base_url):
    """The chat model."""
    return langchain_openai.ChatOpenAI(model="one:large", base_url=base_url, api_key="none")


def find_players(day: str) -> str:
    """Find the players of a day."""
    return f"Anna on {day}"


def test_a_whole_answer(model):
    """With token counts and the finish reason."""
    answer = model.invoke("Who can play?")
    assert (answer.content, answer.usage_metadata["total_tokens"]) == (TEXT, 19)
    assert answer.response_metadata["finish_reason"] == "stop"


def test_a_stream(model):
    """Its chunks add up."""
    chunks = list(model.stream("Who can play?"))
    assert "".join(chunk.content for chunk in chunks) == TEXT
    assert len(chunks) > 2


async def test_async(model):
    """Whole and streamed."""
    assert (await model.ainvoke("Who can play?")).content == TEXT
    assert "".join([chunk.content async for chunk in model.astream("Who can play?")]) == TEXT


def test_tools(model):
    """The call, and the answer to its result."""
    bound = model.bind_tools([find_players])
    message = bound.invoke("Who can play?")
    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("find_players", {"day": "text"})
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Anna"}
    assert bound.invoke([{"role": "user", "content": "Who?"}, message, result]).content == TEXT


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(model, method):
    """An object of the class."""
    assert model.with_structured_output(Players, method=method).invoke("Who?") == Players(players=["text"])
