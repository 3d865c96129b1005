"""Structured output: JSON schemas where the chain has them, tools otherwise."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypedDict

import pytest
from kickai_providers_core import Capability, ChainExhaustedError, FinishReason, InvalidReplyError, Reply, ToolCall
from langchain_core.messages import AIMessage
from pydantic import BaseModel, field_validator

from kickai_langchain.structured_output import choose_method, parse_text


class Lineup(BaseModel):
    """Who plays."""

    players: list[str]

    @field_validator("players")
    @classmethod
    def check(cls, players: list[str]) -> list[str]:
        """Refuse a line-up without players, which the JSON schema allows."""
        if not players:
            raise ValueError("nobody")
        return players


class LineupDict(TypedDict):
    """Who plays."""

    players: Annotated[list[str], ..., "Their names"]


@pytest.mark.parametrize("how", ["json_schema", "json_mode", None])
def test_the_schema_is_sent_and_the_answer_is_an_object(vendors, how):
    """The mock takes JSON schemas."""
    made = vendors('{"players": ["Ada"]}')
    assert made.chat().with_structured_output(Lineup, method=how, strict=True).invoke("Who?") == Lineup(players=["Ada"])
    assert made.request.json_schema["properties"].keys() == {"players"}
    assert made.request.tools == ()


@pytest.mark.parametrize("schema", [LineupDict, Lineup.model_json_schema()], ids=["TypedDict", "JSON schema"])
def test_other_schemas_give_mappings(vendors, schema):
    """As with every model of LangChain."""
    made = vendors('{"players": ["Ada"]}')
    assert made.chat().with_structured_output(schema).invoke("Who?") == {"players": ["Ada"]}


@pytest.mark.parametrize("text", ['{"players": []}', '{"players": 3}', "secret"])
def test_an_answer_that_does_not_fit_falls_back(vendors, text):
    """The second target's answer fits. Not even the class's own validators pass without it."""
    made = vendors(lambda request: text if request.model == "first" else '{"players": ["Bo"]}')
    assert made.chat().with_structured_output(Lineup).invoke("Who?") == Lineup(players=["Bo"])
    assert made.models == ["first", "second"]


def test_no_answer_that_fits_is_an_error(vendors):
    """It does not quote the answers."""
    made = vendors('{"players": ["secret", 3]}')
    with pytest.raises((ChainExhaustedError, InvalidReplyError)) as raised:
        made.chat().with_structured_output(Lineup).invoke("Who?")
    assert "secret" not in str(raised.value)


def test_text_that_is_not_json_is_an_error():
    """It may come from LangChain's cache, and is not quoted."""
    with pytest.raises(InvalidReplyError, match=r"^the answer is not JSON$"):
        parse_text(AIMessage("secret"), Lineup)


def test_streams_end_with_the_object(vendors):
    """It comes when the answer is complete."""
    model = vendors('{"players": ["Ada"]}').chat().with_structured_output(Lineup)
    assert list(model.stream("Who?")) == [Lineup(players=["Ada"])]


def test_streams_fall_back_when_the_answer_does_not_fit(vendors):
    """Nothing is passed on before, so the model streams buffered."""
    made = vendors(lambda request: '{"players": [ ]}' if request.model == "first" else '{"players": ["Bo"]}')
    model = made.chat().with_structured_output(Lineup)
    assert list(model.stream("Who?")) == [Lineup(players=["Bo"])]
    assert [call.mode for call in made.calls] == ["stream", "stream"]


def test_it_works_on_an_event_loop(vendors):
    """The same as in a thread."""
    model = vendors('{"players": ["Ada"]}').chat().with_structured_output(Lineup)
    assert asyncio.run(model.ainvoke("Who?")) == Lineup(players=["Ada"])


def call(arguments: object) -> Reply:
    """Return a reply that calls the tool."""
    return Reply(
        text="",
        finish_reason=FinishReason.TOOL_CALL,
        tool_calls=(ToolCall(id="1", name="Lineup", arguments=arguments),),
    )


def test_tools_can_carry_the_structure(vendors):
    """For targets that take no JSON schema."""
    made = vendors(lambda _request: call({"players": ["Ada"]}))
    model = made.chat().with_structured_output(Lineup, method="function_calling", include_raw=True)
    done = model.invoke("Who?")
    assert (done["parsed"], done["parsing_error"]) == (Lineup(players=["Ada"]), None)
    assert done["raw"].tool_calls[0]["name"] == "Lineup"
    assert (made.request.tool_choice, made.request.json_schema) == ("required", None)


@pytest.mark.parametrize("reply", [call({"players": ["secret", 3]}), call("secret"), "secret"])
def test_calls_that_do_not_fit_are_errors(vendors, reply):
    """They do not quote the arguments, and ``include_raw`` returns them."""
    made = vendors(lambda _request: reply)
    with pytest.raises(InvalidReplyError) as raised:
        made.chat().with_structured_output(Lineup, method="function_calling").invoke("Who?")
    assert "secret" not in str(raised.value)
    done = made.chat().with_structured_output(Lineup, method="function_calling", include_raw=True).invoke("Who?")
    assert done["parsed"] is None
    assert isinstance(done["parsing_error"], InvalidReplyError)


@pytest.mark.parametrize(
    ("stated", "capabilities", "method"),
    [
        (None, {Capability.JSON_SCHEMA, Capability.TOOLS}, "json_schema"),
        (None, {Capability.TOOLS}, "function_calling"),
        (None, set(), "json_schema"),
        ("json_mode", set(), "json_schema"),
        ("function_calling", set(Capability), "function_calling"),
    ],
)
def test_the_method_depends_on_every_target(stated, capabilities, method):
    """So that each of them can take over."""
    assert choose_method(stated, frozenset(capabilities)) == method


def test_an_unknown_method_is_refused(vendors):
    """The error names the known ones."""
    with pytest.raises(ValueError, match="method must be one of json_schema, function_calling, json_mode, got 'xml'"):
        vendors().chat().with_structured_output(Lineup, method="xml")


def test_openais_response_format_is_taken(vendors):
    """LangChain's agents send it to models whose profile has structured output."""
    made = vendors('{"players": ["Ada"]}')
    form = {"type": "json_schema", "json_schema": {"name": "Lineup", "schema": Lineup.model_json_schema()}}
    made.chat().bind_tools([Lineup], response_format=form, strict=True).invoke("Who?")
    assert made.request.json_schema["properties"].keys() == {"players"}
    made.chat().invoke("Who?", response_format={"type": "text"})
    assert made.request.json_schema is None
    with pytest.raises(ValueError, match=r"response_format must be .*, got the type 'json_object'"):
        made.chat().invoke("Who?", response_format={"type": "json_object"})
