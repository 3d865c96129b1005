"""LangChain's agents on a chain: `create_agent`, which runs on LangGraph."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kickai_providers_core import ChainExhaustedError, FinishReason, Reply, Resolver, ToolCall
from kickai_providers_core.values.events import RequestEnded
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


def test_a_conversation_goes_on_with_its_history(vendors, run):
    """Names of agents, which LangGraph keeps, do not disturb the next turn."""
    made = vendors(answer)
    agent = create_agent(made.chat(), [find_players], name="coordinator", checkpointer=InMemorySaver())
    run(agent, "Who plays?", configurable={"thread_id": "7"})
    run(agent, "And who else?", configurable={"thread_id": "7"})
    turns = ["user", "assistant", "tool", "assistant", "user", "assistant", "tool"]
    assert [each.role for each in made.request.messages] == turns


MOCK = {"kind": "mock", "script": ["tool_call", "ok"], "repeat": True, "reply": "Ada"}
ROLLOUT = {
    "kickai": {"primary": "old", "fallback": ["new"]},
    "store": {"url": "memory:"},
    "rollout": {"candidate": "new", "share": "50%"},
    "providers": {"old": MOCK, "new": MOCK},
}
"""Each vendor calls the tool in one request and answers in the next, and half of the traffic goes to the new one."""


def test_a_conversation_stays_on_one_arm_of_a_rollout(run):
    """Its thread's id is the key of all its calls. Conversations are spread over both arms."""
    arms: list[str | None] = []

    def record(event: Any) -> None:
        if isinstance(event, RequestEnded):
            arms.append(event.arm)

    with Resolver.from_settings(ROLLOUT, env={}, observers=[record]) as resolver:
        model = ChatKickai("team_manager", resolver=resolver)
        agent = create_agent(model, [find_players], checkpointer=InMemorySaver())
        for number in range(24):  # the probability that all go to one arm is 2**-23
            run(agent, "Who plays?", configurable={"thread_id": str(number)})
            run(agent, "And who else?", configurable={"thread_id": str(number)})
    conversations = [set(arms[start : start + 4]) for start in range(0, 96, 4)]
    assert len(arms) == 96
    assert {frozenset(each) for each in conversations} == {frozenset({"candidate"}), frozenset({"control"})}


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
