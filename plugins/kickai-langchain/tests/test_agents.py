"""LangChain's agents on a chain: `create_agent`, which runs on LangGraph."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import evolve
from kickai_providers_core import Chain, ChainExhaustedError, FinishReason, Reply, ToolCall
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from kickai_langchain import ChatKickai


@tool
def find_players(day: str) -> str:
    """Find the players of a day."""
    return f"On {day}: Ada"


def answer(request: Any) -> Reply | str:
    """Call the tool, and answer with its result."""
    last = request.messages[-1]
    if request.tools and last.role == "user":
        call = ToolCall(id="", name="find_players", arguments={"day": "Saturday"})
        return Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=(call,))
    return '{"players": ["Ada"]}' if request.json_schema is not None else f"Known: {last.content}."


@pytest.fixture(params=["invoke", "ainvoke"])
def run(request: pytest.FixtureRequest) -> Any:
    """Run an agent on a text, blocking and on an event loop."""

    def run(agent: Any, text: str, **config: Any) -> Any:
        prompt = {"messages": [("human", text)]}
        if request.param == "invoke":
            return agent.invoke(prompt, config or None)
        return asyncio.run(agent.ainvoke(prompt, config or None))

    return run


def test_an_agent_falls_back_in_the_middle_of_its_work(vendors, run):
    """The second vendor gets the first one's tool call and its result."""
    made = vendors(answer, script=("ok", "unavailable"))
    done = run(create_agent(made.chat(), [find_players], name="coordinator"), "Who plays?")
    assert done["messages"][-1].text == "Known: On Saturday: Ada."
    assert made.models == ["first", "first", "second"]


def test_an_agent_that_gets_no_answer_raises_the_chains_error(vendors, run):
    """Unchanged, after one walk."""
    made = vendors(answer, script=("unavailable",), both=True)
    with pytest.raises(ChainExhaustedError):
        run(create_agent(made.chat(), [find_players]), "Who plays?")
    assert made.models == ["first", "second"]


class Lineup(BaseModel):
    """Who plays."""

    players: list[str]


def test_an_agent_answers_with_an_object(vendors, run):
    """The profile says that every target takes JSON schemas, so that LangChain sends one."""
    made = vendors(answer)
    done = run(create_agent(made.chat(), [find_players], response_format=Lineup), "Who plays?")
    assert done["structured_response"] == Lineup(players=["Ada"])
    assert made.request.json_schema is not None


class Router:
    """Records the keys, and follows no rollout."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []

    def choose(self, key: str | None) -> None:
        """Choose no route."""
        self.keys.append(key)


def test_a_conversation_keeps_its_key_and_its_history(vendors, run):
    """The thread's id is the rollout key of all its calls. Names of agents do not disturb the next turn."""
    made, router = vendors(answer), Router()
    model: ChatKickai = made.chat()
    model._chain = Chain(evolve(model.chain._starter, router=router))
    agent = create_agent(model, [find_players], name="coordinator", checkpointer=InMemorySaver())
    run(agent, "Who plays?", configurable={"thread_id": "7"})
    run(agent, "And who else?", configurable={"thread_id": "7"})
    assert router.keys == ["7"] * 4
    turns = ["user", "assistant", "tool", "assistant", "user", "assistant", "tool"]
    assert [each.role for each in made.request.messages] == turns


def test_an_agent_streams_tokens(vendors):
    """As LangGraph does with ``stream_mode="messages"``, which streams within `invoke`."""
    made = vendors(answer, script=("ok", "unavailable"))
    agent = create_agent(made.chat(), [find_players])
    pieces = [
        message.text
        for message, metadata in agent.stream({"messages": [("human", "Who?")]}, stream_mode="messages")
        if metadata["langgraph_node"] == "model"
    ]
    assert "".join(pieces) == "Known: On Saturday: Ada."
    assert len(pieces) > 4
    assert {call.mode for call in made.calls} == {"stream"}
