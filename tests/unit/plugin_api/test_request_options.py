"""Options that only one vendor knows: who gets them, and what is refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import pytest

from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    ChainExhaustedError,
    ChatRequest,
    FinishReason,
    Message,
    ProviderInfo,
    RejectedRequestError,
    Reply,
    ReplyChunk,
    Resolver,
    UnsupportedRequestError,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MODES = ("invoke", "ainvoke", "stream", "astream")
TYPES = {"top_k": int, "bias": dict[str, float], "effort": Literal["low", "high"]}


class Recorder:
    """A provider that keeps its requests."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.options = options
        self.requests: list[ChatRequest] = []

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name=self.name, summary="", aliases=(f"{self.name}-too",), options=self.options)

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self, request: ChatRequest) -> Reply:
        self.requests.append(request)
        return Reply(text="ok", finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_stream_provider(self, request: ChatRequest) -> Iterator[ReplyChunk]:
        self.requests.append(request)
        yield ReplyChunk(text="ok", finish_reason=FinishReason.STOP)


def ask(how: str, options: Any, *targets: str, first: Recorder, second: Recorder) -> Reply:
    """Return the reply of a chain, in one of the four ways of calling."""
    settings = {"providers": {"mine": {"kind": "first"}}}
    plugins = {"first": first, "second": second}
    with Resolver.from_settings(settings, plugins=plugins, env={}) as resolver:
        chain = resolver.chain(*targets)
        if how == "invoke":
            return chain.invoke("hi", options=options)
        if how == "ainvoke":
            return asyncio.run(chain.ainvoke("hi", options=options))
        if how == "stream":
            stream = chain.stream("hi", options=options)
            list(stream)
            assert stream.reply is not None
            return stream.reply

        async def read() -> Reply:
            chunks = chain.astream("hi", options=options)
            async for _ in chunks:
                pass
            assert chunks.reply is not None
            return chunks.reply

        return asyncio.run(read())


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    ("options", "target", "received"),
    [
        ({"first": {"top_k": 5}, "second": {"x": 1}}, "first", {"first": {"top_k": 5}}),
        ({"first-too": {"top_k": 5}}, "first", {"first": {"top_k": 5}}),
        ({"first": {"top_k": 5}}, "mine", {"first": {"top_k": 5}}),
        (
            {"first": {"top_k": 5, "effort": "low"}, "mine": {"top_k": 6}},
            "mine",
            {"first": {"top_k": 6, "effort": "low"}},
        ),
        ({"mine": {"top_k": 6}}, "first", {}),
        ({"second": {"x": 1}}, "first", {}),
        ({"first": {"bias": {"7": -1}}}, "first", {"first": {"bias": {"7": -1}}}),
        ({}, "first", {}),
    ],
)
def test_a_provider_gets_its_own_options(how: str, options: Any, target: str, received: Any) -> None:
    """They may be for the plugin, its alias or an instance, which outranks them; other providers' are left out."""
    first, second = Recorder("first", **TYPES), Recorder("second")
    ask(how, options, target, first=first, second=second)
    assert [request.options for request in first.requests] == [received]


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topk": 5}, "first has no option 'topk' (did you mean 'top_k'?)"),
        ({"zzz": 5}, "first has no option 'zzz' (known are top_k, bias, effort)"),
        ({"top_k": "private"}, "options.first.top_k must be an integer, got text"),
        ({"effort": "private"}, "options.first.effort must be one of 'low', 'high', got text"),
        ({"bias": {"7": "private"}}, "options.first.bias[…] must be a number, got text"),
    ],
)
def test_an_invalid_option_is_refused_before_anything_is_sent(how: str, options: Any, message: str) -> None:
    """The target is left out, the next one is called, and the attempt says why."""
    first, second = Recorder("first", **TYPES), Recorder("second")
    reply = ask(how, {"first": options}, "first", "second", first=first, second=second)
    assert (reply.provider, first.requests) == ("second", [])
    error = reply.attempts[0].error
    assert isinstance(error, UnsupportedRequestError)
    assert error.message == message
    assert [request.options for request in second.requests] == [{}]


def test_a_provider_without_options_takes_none() -> None:
    """An option for it is a mistake that the caller hears about."""
    with pytest.raises((RejectedRequestError, ChainExhaustedError)) as raised:
        ask("invoke", {"second": {"x": 1}}, "second", first=Recorder("first"), second=Recorder("second"))
    assert "second has no option 'x' (it takes none)" in raised.value.explain()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ([], ArgumentTypeError, "ChatRequest.options must be a mapping from providers to their options, got list"),
        ({"a": 5}, ArgumentTypeError, "ChatRequest.options['a'] must be a mapping from names to values, got int"),
        ({"a": {"b": object()}}, ArgumentTypeError, "ChatRequest.options['a']['b'] must be a value that JSON can"),
        ({"a": {"b": float("nan")}}, ArgumentValueError, "ChatRequest.options['a']['b'] must be a finite number"),
    ],
)
def test_malformed_options_are_the_callers_error(options: Any, error: type[Exception], message: str) -> None:
    """The request cannot be created."""
    with pytest.raises(error) as raised:
        ChatRequest(messages=[Message(role="user", content="hi")], options=options)
    assert str(raised.value).startswith(message)


def test_options_are_copied_and_in_no_repr() -> None:
    """A later change has no effect, and values may be private."""
    options = {"first": {"user": "private"}}
    request = ChatRequest(messages=[Message(role="user", content="hi")], options=options)
    options["first"]["user"] = "changed"
    assert request.options == {"first": {"user": "private"}}
    assert "options=<first>" in repr(request)
    assert "private" not in repr(request)


@pytest.mark.parametrize("types", [["top_k"], {"top_k": complex}])
def test_a_plugin_that_declares_options_wrongly_is_refused(types: Any) -> None:
    """Its description cannot be created."""
    with pytest.raises(TypeError, match=r"ProviderInfo\.options"):
        ProviderInfo(name="x", summary="", options=types)
