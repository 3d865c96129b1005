"""The reasoning of a model: kept apart from the answer, in all ways of calling, and out of everything that is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core import (
    ArgumentTypeError,
    ChatRequest,
    FinishReason,
    Message,
    ProviderInfo,
    ProviderUnavailableError,
    Reply,
    ReplyChunk,
    Resolver,
    ToolCall,
    hookimpl,
)
from kickai_providers_core.authoring import build_reply
from kickai_providers_core.values.reply_assembly import ReplyAssembler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kickai_providers_core.runtime.streaming import StreamMode

END = ReplyChunk(finish_reason=FinishReason.STOP)


class Thinker:
    """A provider that yields chunks, or raises them."""

    def __init__(self, name: str, *chunks: ReplyChunk | Exception) -> None:
        self.name = name
        self.chunks = chunks

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name=self.name, summary="")

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        return build_reply(self.kickai_stream_provider())

    @hookimpl
    def kickai_stream_provider(self) -> Iterator[ReplyChunk]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


THINKER = Thinker(
    "thinker", ReplyChunk(reasoning="Two "), ReplyChunk(reasoning="forwards."), ReplyChunk(text="Ann"), END
)
DIES = Thinker("dies", ReplyChunk(reasoning="Hm."), ProviderUnavailableError("down"))


def read(
    plugins: Sequence[Thinker], mode: StreamMode, *, sync: bool, events: list[Any] | None = None
) -> tuple[list[ReplyChunk], Reply | None]:
    """Return the chunks and the reply of a stream over providers without retries."""
    settings = {"providers": {plugin.name: {"retries": 0} for plugin in plugins}}
    given = {plugin.name: plugin for plugin in plugins}
    observers = [] if events is None else [events.append]
    with Resolver.from_settings(settings, plugins=given, env={}, observers=observers) as resolver:
        chain = resolver.chain(*given)
        if sync:
            stream = chain.stream("hi", mode=mode)
            return list(stream), stream.reply

        async def main() -> tuple[list[ReplyChunk], Reply | None]:
            chunks = chain.astream("hi", mode=mode)
            return [chunk async for chunk in chunks], chunks.reply

        return asyncio.run(main())


both = pytest.mark.parametrize("sync", [True, False])


@both
def test_live_reasoning_comes_with_the_first_text(sync: bool) -> None:
    """A stream that may not start over keeps reasoning back until the answer begins."""
    chunks, reply = read([THINKER], "live", sync=sync)
    assert [(chunk.reasoning, chunk.text) for chunk in chunks] == [("Two forwards.", "Ann"), ("", "")]
    assert reply is not None
    assert (reply.reasoning, reply.text) == ("Two forwards.", "Ann")


@both
@pytest.mark.parametrize("mode", ["restart", "buffered"])
def test_other_modes_pass_reasoning_on_as_it_came(mode: StreamMode, sync: bool) -> None:
    """A stream that may start over shows reasoning at once; a buffered one shows it at the end."""
    chunks, reply = read([THINKER], mode, sync=sync)
    assert [chunk.reasoning for chunk in chunks] == ["Two ", "forwards.", "", ""]
    assert reply is not None
    assert reply.reasoning == "Two forwards."


@both
def test_a_model_that_dies_while_it_thinks_is_replaced(sync: bool) -> None:
    """Reasoning does not commit a live stream to its target, and is not mixed with that of the next one."""
    chunks, reply = read([DIES, THINKER], "live", sync=sync)
    assert [chunk.reasoning for chunk in chunks] == ["Two forwards.", ""]
    assert reply is not None
    assert reply.fell_back
    assert reply.reasoning == "Two forwards."


@both
def test_a_restart_voids_reasoning(sync: bool) -> None:
    """In mode ``restart`` the reader gets the reasoning of both targets, and the word to discard the first."""
    chunks, reply = read([DIES, THINKER], "restart", sync=sync)
    assert [chunk.restart for chunk in chunks] == [False, True, False, False, False, False]
    assert reply is not None
    assert reply.reasoning == "Two forwards."


@both
def test_a_plain_call_has_the_reasoning(sync: bool) -> None:
    """A reply that is built from chunks has the reasoning of all of them."""
    with Resolver.from_settings({}, plugins={"thinker": THINKER}, env={}) as resolver:
        chain = resolver.chain("thinker")
        reply = chain.invoke("hi") if sync else asyncio.run(chain.ainvoke("hi"))
    assert (reply.reasoning, str(reply)) == ("Two forwards.", "Ann")


def test_reasoning_is_in_the_json_and_nowhere_else() -> None:
    """No repr, report or event has it."""
    events: list[Any] = []
    chunks, reply = read([DIES, THINKER], "live", sync=True, events=events)
    assert reply is not None
    assert reply.as_dict()["reasoning"] == chunks[0].as_dict()["reasoning"] == "Two forwards."
    kept = repr((reply, chunks, events, [event.as_dict() for event in events], reply.explain()))
    assert "forwards" not in kept
    assert "reasoning=<13 characters>" in kept


def test_halves_of_a_character_are_joined() -> None:
    """Each chunk that is handed out can be encoded, and text and reasoning do not share halves."""
    builder = ReplyAssembler()
    pieces = [
        ReplyChunk(reasoning="a\ud83d", text="\ud83d"),
        ReplyChunk(reasoning="\ude00", text="\ude01"),
        ReplyChunk(reasoning="b\ud83d", finish_reason="stop"),
    ]
    chunks = [builder.normalize(piece) for piece in pieces]
    for chunk in chunks:
        builder.add(chunk)
    assert [(chunk.reasoning, chunk.text) for chunk in chunks] == [("a", ""), ("\U0001f600", "\U0001f601"), ("b", "")]
    reply = builder.build()
    assert (reply.reasoning, reply.text) == ("a\U0001f600b\ufffd", "\U0001f601")


@pytest.mark.parametrize("make", [lambda **fields: Reply(text="x", finish_reason="stop", **fields), ReplyChunk])
def test_reasoning_is_text(make: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(ArgumentTypeError, match=r"reasoning must be text, got list"):
        make(reasoning=["x"])


def test_a_reply_becomes_a_message_for_the_next_turn() -> None:
    """Text and tool calls go back to the model; reasoning does not."""
    call = ToolCall(id="1", name="look", arguments="{}")
    reply = Reply(text="Ann", finish_reason="tool_call", tool_calls=(call,), reasoning="Hm.")
    assert reply.to_message() == Message(role="assistant", content="Ann", tool_calls=(call,))
    assert ChatRequest.from_prompt([reply.to_message()]).messages[0].role == "assistant"
