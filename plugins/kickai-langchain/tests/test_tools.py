"""Tools: they are bound to a whole chain, in whatever form LangChain has them."""

from __future__ import annotations

import pytest
from kickai_providers_core import FinishReason, Reply, ToolCall
from langchain_core.tools import tool
from pydantic import BaseModel


@tool
def find_players(day: str) -> str:
    """Find the players of a day."""
    return f"On {day}: Ada"


def find_pitch(name: str, size: int = 11) -> str:
    """Find a pitch.

    Args:
        name: Its name.
        size: The number of players.
    """
    return name * size


class FindReferee(BaseModel):
    """Find a referee."""

    league: str


PLAIN = {"type": "function", "function": {"name": "plain", "parameters": {"type": "object", "properties": {}}}}


def call(*calls: ToolCall) -> Reply:
    """Return a reply that calls tools."""
    return Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=calls)


def test_tools_are_bound_to_a_chain_that_falls_back(vendors):
    """The tools reach the target that answers, in whatever form they were given."""
    saturday = call(ToolCall(id="7", name="find_players", arguments={"day": "Saturday"}))
    made = vendors(lambda _request: saturday, script=("rate_limited:1",))
    message = made.chat().bind_tools([find_players, find_pitch, FindReferee, PLAIN]).invoke("Who plays?")
    expected = {"name": "find_players", "args": {"day": "Saturday"}, "id": "7", "type": "tool_call"}
    assert message.tool_calls == [expected]
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert made.models == ["first", "second"]
    assert [each.name for each in made.request.tools] == ["find_players", "find_pitch", "FindReferee", "plain"]
    assert made.request.tools[1].parameters["properties"]["size"]["description"] == "The number of players."


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        (False, None),
        ("find_pitch", "find_pitch"),
        ({"type": "function", "function": {"name": "find_pitch"}}, "find_pitch"),
    ],
)
def test_a_choice_of_tools_is_passed_on(vendors, choice, expected):
    """In all of LangChain's words."""
    made = vendors()
    made.chat().bind_tools([find_players, find_pitch], tool_choice=choice, strict=True).invoke("hi")
    assert made.request.tool_choice == expected


def test_arguments_that_are_no_json_object_are_invalid_calls(vendors):
    """LangChain keeps them apart."""
    made = vendors(lambda _request: call(ToolCall(id="7", name="find_players", arguments='{"day": "Sat')))
    message = made.chat().bind_tools([find_players]).invoke("Who plays?")
    assert message.tool_calls == []
    assert [each["name"] for each in message.invalid_tool_calls] == ["find_players"]


def test_calls_are_streamed(vendors):
    """Each with its own index, in the last chunk."""
    two = call(
        ToolCall(id="1", name="find_players", arguments={"day": "Saturday"}),
        ToolCall(id="2", name="find_players", arguments={"day": "Sunday"}),
    )
    made = vendors(lambda _request: two, script=("unavailable",))
    (last,) = made.chat().bind_tools([find_players]).stream("Who plays?")
    assert [(each["id"], each["args"]) for each in last.tool_calls] == [
        ("1", {"day": "Saturday"}),
        ("2", {"day": "Sunday"}),
    ]
    assert made.models == ["first", "second"]


def test_a_conversation_with_tools_goes_on_at_another_vendor(vendors):
    """The first vendor's call and its result are sent to the second one."""

    def answer(request) -> Reply | str:
        if request.messages[-1].role == "tool":
            return f"It is {request.messages[-1].content}."
        return call(ToolCall(id="7", name="find_players", arguments={"day": "Saturday"}))

    made = vendors(answer, script=("ok", "unavailable"))
    model = made.chat().bind_tools([find_players])
    first = model.invoke("Who plays?")
    result = find_players.invoke(first.tool_calls[0])
    assert model.invoke([("human", "Who plays?"), first, result]).text == "It is On Saturday: Ada."
    assert made.models == ["first", "first", "second"]
