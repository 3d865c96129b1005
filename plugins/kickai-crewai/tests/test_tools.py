"""Tools: native where every target has them, otherwise CrewAI's text protocol."""

from __future__ import annotations

import json

import pytest
from crewai.events.types.llm_events import LLMCallCompletedEvent
from crewai.events.types.tool_usage_events import ToolUsageFinishedEvent
from crewai.tools import tool
from crews import KICKOFFS, agent_with, crew_of, run_crew
from kickai_providers_core import FinishReason, InvalidReplyError, Reply, ToolCall, Usage
from pydantic import BaseModel

from kickai_crewai import KickaiCallError

SCHEMA = {
    "type": "function",
    "function": {
        "name": "find_players",
        "description": "Finds players.",
        "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
        "strict": True,
    },
}


@tool
def find_players(day: str) -> str:
    """Find the players of a day."""
    return f"On {day}: Ada and Bo"


def call_of(arguments: str, name: str = "find_players") -> Reply:
    """Return a reply that calls a tool."""
    calls = (ToolCall(id="c1", name=name, arguments=arguments),)
    usage = Usage(input_tokens=3, output_tokens=2)
    return Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=calls, usage=usage)


def natively(request) -> Reply | str:
    """Call the tool, and answer with its result."""
    last = request.messages[-1]
    if not request.tools:
        return "no tools"
    return next(
        (f"They are {message.content}" for message in request.messages if message.role == "tool"),
        call_of('{"day": "Saturday"}') if last.role == "user" else "",
    )


def in_text(request) -> str:
    """Call the tool in CrewAI's text protocol, and answer with its result."""
    text = request.messages[-1].content + "".join(message.content for message in request.messages[:-1])
    if "Observation: On Saturday" in text:
        return "Thought: I know\nFinal Answer: Ada and Bo"
    return 'Thought: look\nAction: find_players\nAction Input: {"day": "Saturday"}\nObservation: invented'


@pytest.mark.parametrize("how", KICKOFFS)
def test_an_agent_uses_native_tools(vendors, how):
    """Both targets of the chain have tools, so the request has them, and the result goes back as a tool's message."""
    made = vendors(natively)
    llm = made.llm()
    output = run_crew(crew_of(agent_with(llm, tools=[find_players])), how)
    assert llm.supports_function_calling()
    assert output.raw == "They are On Saturday: Ada and Bo"
    first, second = made.requests
    assert [each.name for each in first.tools] == ["find_players"]
    roles = [message.role for message in second.messages]
    assert roles[:4] == ["system", "user", "assistant", "tool"]
    assert second.messages[2].tool_calls[0].id == second.messages[3].tool_call_id


@pytest.mark.parametrize("how", KICKOFFS)
def test_a_native_conversation_falls_back_in_the_middle(vendors, how):
    """The second target continues where the first one dies."""
    made = vendors(natively, script=("ok", "unavailable"))
    output = run_crew(crew_of(agent_with(made.llm(), tools=[find_players])), how)
    assert output.raw == "They are On Saturday: Ada and Bo"
    assert [call.model for call in made.calls] == ["first", "first", "second"]


@pytest.mark.parametrize("how", KICKOFFS)
def test_an_agent_uses_the_text_protocol_where_a_target_lacks_tools(vendors, how):
    """The prompt describes the tools, and a stop word keeps the model from inventing their results."""
    made = vendors(in_text, without_tools=True)
    llm = made.llm()
    output = run_crew(crew_of(agent_with(llm, tools=[find_players])), how)
    assert not llm.supports_function_calling()
    assert output.raw == "Ada and Bo"
    assert all(request.tools == () for request in made.requests)
    assert "\nObservation:" in made.requests[0].stop


def test_the_application_may_choose_the_protocol(vendors):
    """False for models whose tool calls are poor; True to use only the targets that have tools."""
    assert not vendors().llm(native_tools=False).supports_function_calling()
    assert vendors(without_tools=True).llm(native_tools=True).supports_function_calling()


def test_tool_calls_come_back_in_openais_form(vendors, call, events):
    """CrewAI's agents carry them out. ``strict`` is left out, since not every provider can promise it."""
    made, completed = vendors(lambda _request: call_of('{"day": "Sunday"}')), events(LLMCallCompletedEvent)
    (answer,) = call(made.llm(), "Who?", tools=[SCHEMA])
    assert answer["function"] == {"name": "find_players", "arguments": '{"day": "Sunday"}'}
    assert (answer["id"], answer["type"]) == ("c1", "function")
    assert made.requests[0].tools[0].parameters == SCHEMA["function"]["parameters"]
    events.settle()
    (event,) = completed
    assert (event.call_type.value, event.finish_reason, event.usage["total_tokens"]) == ("tool_call", "tool_calls", 5)


def test_a_call_may_carry_out_the_function_itself(vendors, call, events):
    """As CrewAI's own LLMs do when they are given functions."""
    made, finished = vendors(lambda _request: call_of('{"day": "Sunday"}')), events(ToolUsageFinishedEvent)
    functions = {"find_players": lambda day: f"{day}: none"}
    assert call(made.llm(), "Who?", tools=[SCHEMA], available_functions=functions) == "Sunday: none"
    events.settle()
    assert [event.output for event in finished] == ["Sunday: none"]


def test_a_function_that_is_unknown_leaves_the_call_to_the_agent(vendors, call):
    """The tool calls come back."""
    made = vendors(lambda _request: call_of("{}", name="other"))
    answer = call(made.llm(), "Who?", tools=[SCHEMA], available_functions={"find_players": print})
    assert answer[0]["function"]["name"] == "other"


@pytest.mark.parametrize("arguments", ["[1]", '{"day": '])
def test_arguments_that_are_no_object_are_an_error_without_their_text(vendors, call, arguments):
    """A function cannot be called with them."""
    made = vendors(lambda _request: call_of(arguments))
    with pytest.raises(KickaiCallError) as raised:
        call(made.llm(), "Who?", tools=[SCHEMA], available_functions={"find_players": print})
    assert isinstance(raised.value.failure, InvalidReplyError)
    assert arguments not in json.dumps(raised.value.as_dict())


class Squad(BaseModel):
    """The players."""

    players: list[str]


@pytest.mark.parametrize("how", KICKOFFS)
def test_an_agent_with_tools_returns_an_object(vendors, how):
    """CrewAI asks once more for an object when the agent's answer is none."""

    def answer(request) -> Reply | str:
        return '{"players": ["Ada", "Bo"]}' if request.json_schema else natively(request)

    made = vendors(answer)
    output = run_crew(crew_of(agent_with(made.llm(), tools=[find_players]), output_pydantic=Squad), how)
    assert output.pydantic == Squad(players=["Ada", "Bo"])
    assert len(made.calls) == 3


def test_json_from_an_agent_with_native_tools_has_to_be_json(vendors, caplog):
    """CrewAI's conversion calls clients of its own there. It has none for us: nothing is sent, and the text stays."""
    made = vendors(natively)
    output = run_crew(crew_of(agent_with(made.llm(), tools=[find_players]), output_json=Squad), "kickoff")
    assert (output.json_dict, output.raw) == (None, "They are On Saturday: Ada and Bo")
    assert len(made.calls) == 2
    assert "unsupported provider" in caplog.text
