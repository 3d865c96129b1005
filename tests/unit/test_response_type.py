"""Answers as objects: what goes out, what comes back, and what happens when an answer does not fit."""

from __future__ import annotations

import asyncio
import json
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import attrs
import pytest

from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    Capability,
    ChainExhaustedError,
    ChatRequest,
    FinishReason,
    InvalidReplyError,
    ParsedReply,
    ProviderInfo,
    Reply,
    ReplyChunk,
    Resolver,
    ToolCall,
    hookimpl,
)
from kickai_providers_core.values.breaker_state import BreakerState

if TYPE_CHECKING:
    from collections.abc import Iterator

MODES = ("invoke", "call", "ainvoke", "stream", "astream", "hedged", "ahedged")
FITS = '{"name": "Ann", "number": 7}'
WRONG = '{"name": "private", "number": "7"}'


@dataclass
class AsDataclass:
    """A player."""

    name: str
    number: int


@attrs.frozen
class AsAttrs:
    """A player."""

    name: str
    number: int


class AsTypedDict(TypedDict):
    """A player."""

    name: str
    number: int


class Answers:
    """A provider that gives one answer again and again."""

    def __init__(self, name: str, text: str, **fields: Any) -> None:
        self.name = name
        self.reply = Reply(text=text, **({"finish_reason": FinishReason.STOP} | fields))
        self.requests: list[ChatRequest] = []

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name=self.name, summary="", capabilities=frozenset(Capability))

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self, request: ChatRequest) -> Reply:
        self.requests.append(request)
        return self.reply

    @hookimpl
    def kickai_stream_provider(self, request: ChatRequest) -> Iterator[ReplyChunk]:
        self.requests.append(request)
        middle = len(self.reply.text) // 2
        yield ReplyChunk(text=self.reply.text[:middle])
        yield ReplyChunk(text=self.reply.text[middle:])
        yield ReplyChunk(finish_reason=self.reply.finish_reason, tool_calls=self.reply.tool_calls)


def ask(how: str, *plugins: Answers, prompt: Any = "Who plays?", mode: Any = "buffered", **keywords: Any) -> Reply:
    """Return the reply of a chain of the plugins, in one way of calling."""
    settings: dict[str, Any] = {"hedging": {"after_s": 60.0}} if "hedged" in how else {}
    given = {plugin.name: plugin for plugin in plugins}
    with Resolver.from_settings(settings, plugins=given, env={}) as resolver:
        chain = resolver.chain(*given)
        if how in {"invoke", "hedged"}:
            return chain.invoke(prompt, **keywords)
        if how == "call":
            return chain(prompt, **keywords)
        if how in {"ainvoke", "ahedged"}:
            return asyncio.run(chain.ainvoke(prompt, **keywords))
        if how == "stream":
            stream = chain.stream(prompt, mode=mode, **keywords)
            list(stream)
            assert stream.reply is not None
            return stream.reply

        async def read() -> Reply:
            chunks = chain.astream(prompt, mode=mode, **keywords)
            async for _ in chunks:
                pass
            assert chunks.reply is not None
            return chunks.reply

        return asyncio.run(read())


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("kind", [AsDataclass, AsAttrs, AsTypedDict])
def test_the_schema_goes_out_and_an_object_comes_back(how: str, kind: Any) -> None:
    """The provider gets the JSON schema, and the caller an object of the class."""
    provider = Answers("fits", FITS)
    reply = ask(how, provider, response_type=kind)
    assert reply.parsed == kind(name="Ann", number=7)
    assert type(reply.parsed) is (dict if kind is AsTypedDict else kind)
    assert isinstance(reply, ParsedReply)
    assert (reply.text, reply.provider, len(reply.attempts)) == (FITS, "fits", 1)
    assert provider.requests[0].json_schema == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "number": {"type": "integer"}},
        "required": ["name", "number"],
        "additionalProperties": False,
        "description": "A player.",
    }


@pytest.mark.parametrize("how", MODES)
def test_the_next_target_is_called_when_an_answer_does_not_fit(how: str) -> None:
    """The misfit is the attempt's failure: it is not retried, and it is nobody's fault."""
    wrong, fits = Answers("wrong", WRONG), Answers("fits", FITS)
    reply = ask(how, wrong, fits, response_type=AsDataclass)
    assert (reply.parsed, reply.fell_back, len(wrong.requests)) == (AsDataclass("Ann", 7), True, 1)
    error = reply.attempts[0].error
    assert isinstance(error, InvalidReplyError)
    assert error.due_to_request
    assert error.message == "the answer does not fit AsDataclass: number must be an integer, got text"
    assert "private" not in reply.explain()


def test_misfits_open_no_breaker() -> None:
    """However often an answer does not fit, the target stays available."""
    wrong = Answers("wrong", WRONG)
    with Resolver.from_settings({}, plugins={"wrong": wrong}, env={}) as resolver:
        chain = resolver.chain("wrong")
        for _ in range(10):
            with pytest.raises(ChainExhaustedError):
                chain.invoke("hi", response_type=AsDataclass)
        assert len(wrong.requests) == 10
        assert all(target.breaker is BreakerState.CLOSED for target in resolver.health().targets)


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_a_live_stream_raises_when_the_whole_does_not_fit(how: str) -> None:
    """What was yielded cannot be taken back; a stream that may restart goes on."""
    plugins = Answers("wrong", WRONG), Answers("fits", FITS)
    with pytest.raises(InvalidReplyError) as raised:
        ask(how, *plugins, mode="live", response_type=AsDataclass)
    assert raised.value.partial_text == WRONG
    assert ask(how, *plugins, mode="restart", response_type=AsDataclass).parsed == AsDataclass("Ann", 7)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("Ann", "stop", "the answer does not fit AsDataclass: the value must be valid JSON, got text"),
        (FITS[:12], "length", "the answer does not fit AsDataclass: it was cut at max_tokens"),
    ],
)
def test_the_error_says_what_is_wrong(text: str, reason: str, message: str) -> None:
    """An answer that was cut is distinguished from one that is not JSON."""
    with pytest.raises(ChainExhaustedError) as raised:
        ask("invoke", Answers("wrong", text, finish_reason=reason), response_type=AsDataclass)
    assert raised.value.attempts[0].error is not None
    assert raised.value.attempts[0].error.message == message


def test_a_reply_with_tool_calls_is_not_parsed() -> None:
    """The model may call tools before it answers."""
    call = ToolCall(id="1", name="look", arguments="{}")
    provider = Answers("calls", "", finish_reason="tool_call", tool_calls=(call,))
    tools = [{"name": "look"}]
    assert ask("invoke", provider, response_type=AsDataclass, tools=tools).parsed is None


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        (
            {"response_type": int},
            ArgumentTypeError,
            "response_type must be an attrs class, a dataclass, a TypedDict or",
        ),
        ({"response_type": "Player"}, ArgumentTypeError, "response_type must be an attrs class"),
        (
            {"response_type": attrs.make_class("Odd", {"x": attrs.field(type=complex)})},
            ArgumentTypeError,
            "the type of Odd.x is not supported: complex",
        ),
        (
            {"response_type": AsAttrs, "json_schema": {}},
            ArgumentValueError,
            "json_schema must be absent next to response_type",
        ),
        ({"response_typ": AsAttrs}, ArgumentTypeError, "unknown keyword argument 'response_typ' (did you mean"),
    ],
)
def test_a_bad_response_type_is_refused_before_anything_is_sent(
    how: str, keywords: Any, error: type[Exception], message: str
) -> None:
    """The error names the type or the field."""
    provider = Answers("fits", FITS)
    with pytest.raises(error) as raised:
        ask(how, provider, **keywords)
    assert str(raised.value).startswith(message)
    assert provider.requests == []


def test_the_object_is_in_no_repr_and_not_in_the_json() -> None:
    """The JSON has the text; a parsed reply can be pickled, copied and compared."""
    reply = ask("invoke", Answers("fits", FITS), response_type=AsDataclass)
    assert "Ann" not in repr(reply)
    assert "parsed" not in reply.as_dict()
    json.dumps(reply.as_dict())
    copied = pickle.loads(pickle.dumps(reply))
    assert type(copied) is ParsedReply
    assert copied.parsed == reply.parsed
    assert attrs.evolve(reply, text="x").parsed == reply.parsed


def test_the_real_pydantic() -> None:
    """A pydantic model gives its own schema and checks the answer itself; runs where pydantic is installed."""
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Player", name=(str, ...), number=(int, pydantic.Field(ge=1)))
    provider = Answers("fits", FITS)
    assert ask("invoke", provider, response_type=model).parsed == model(name="Ann", number=7)
    assert provider.requests[0].json_schema == model.model_json_schema()
    for text in (WRONG, '{"name": "private", "number": 0}'):
        reply = ask("invoke", Answers("wrong", text), provider, response_type=model)
        assert reply.fell_back
        assert "private" not in reply.explain()
        error = reply.attempts[0].error
        assert error is not None
        assert error.message == "the answer does not fit Player: the value must be what Player accepts, got an object"


class LikePydantic:
    """What the core uses of a pydantic model."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        """Return a schema."""
        return {"type": "object"}

    @classmethod
    def model_validate_json(cls, text: str, *, strict: bool) -> LikePydantic:
        """Accept a player."""
        value = json.loads(text)
        if not strict or "name" not in value:
            raise ValueError(text)
        return cls(value)


def test_a_class_with_pydantics_methods() -> None:
    """The methods count, so that the core need not import pydantic."""
    wrong, fits = Answers("wrong", '{"private": 1}'), Answers("fits", FITS)
    reply = ask("invoke", wrong, fits, response_type=LikePydantic)
    assert reply.parsed.value == {"name": "Ann", "number": 7}
    assert "private" not in reply.explain()

    @dataclass
    class Outer:
        inner: Any

    Outer.__annotations__["inner"] = LikePydantic
    with pytest.raises(ArgumentTypeError, match="a pydantic model can only be the outermost type"):
        ask("invoke", fits, response_type=Outer)
