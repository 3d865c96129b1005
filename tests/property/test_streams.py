"""Streams against a reference model, for any pieces and any breaking off, in every mode, sync and async."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any, get_args

from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kickai_providers_core import (
    ChainExhaustedError,
    ChatRequest,
    Clockwork,
    FinishReason,
    InvalidReplyError,
    KickaiError,
    KickaiSettings,
    ProviderInfo,
    ProviderSettings,
    ProviderUnavailableError,
    Reply,
    ReplyChunk,
    Resolver,
    Settings,
    hookimpl,
)
from kickai_providers_core.runtime.streaming import StreamMode
from kickai_providers_core.values.events import RequestEnded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

Course = tuple[list[str], str]
"""What one target streams: pieces of text, and then ``stop``, an ``error``, or nothing at all (``cut``)."""

BREAKS = {"cut": InvalidReplyError, "stop": InvalidReplyError, "error": ProviderUnavailableError}
"""The error of a stream that is not whole; one that stops without having said anything is not."""

courses = st.lists(
    st.tuples(st.lists(st.text("abc", min_size=1, max_size=2), max_size=3), st.sampled_from(sorted(BREAKS))),
    min_size=1,
    max_size=3,
)
modes = st.sampled_from(get_args(StreamMode))


class Streaming:
    """A provider whose models each stream a given course; it counts open streams and calls."""

    def __init__(self, chain: list[Course]) -> None:
        self.chain = chain
        self.open = 0
        self.called: list[int] = []
        self.kept: list[object] = []  # so that no stream is closed by being forgotten

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="streaming", summary="", holds_timeouts=True)

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        raise AssertionError

    @hookimpl
    def kickai_stream_provider(self, request: ChatRequest) -> Generator[ReplyChunk, None, None]:
        self.kept.append(stream := self.chunks(int(request.model or "")))
        return stream

    @hookimpl
    def kickai_astream_provider(self, request: ChatRequest) -> AsyncGenerator[ReplyChunk, None]:
        self.kept.append(stream := self.achunks(int(request.model or "")))
        return stream

    def chunks(self, place: int) -> Generator[ReplyChunk, None, None]:
        """Yield what a target streams."""
        pieces, end = self.chain[place]
        self.called.append(place)
        self.open += 1
        try:
            for piece in pieces:
                yield ReplyChunk(text=piece)
            if end == "error":
                raise ProviderUnavailableError("broke off")
            if end == "stop":
                yield ReplyChunk(finish_reason=FinishReason.STOP)
        finally:
            self.open -= 1

    async def achunks(self, place: int) -> AsyncGenerator[ReplyChunk, None]:
        """Yield the same on an event loop."""
        with closing(self.chunks(place)) as chunks:
            for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk


def seen(chunk: ReplyChunk) -> str:
    """Return what a caller sees of a chunk."""
    return "restart" if chunk.restart else chunk.text or "stop"


def model(chain: list[Course], mode: str) -> tuple[list[str], str, type[KickaiError] | None, int]:
    """Return the chunks, the text of the answer or error, the error, and the number of targets called."""
    out: list[str] = []
    for place, (pieces, end) in enumerate(chain):
        whole = bool(pieces) and end == "stop"
        shown = [*pieces, "stop"] if end == "stop" else pieces
        out += shown if whole or mode != "buffered" else []
        if whole:
            return out, "".join(pieces), None, place + 1
        if shown and mode == "live":
            return out, "".join(pieces), BREAKS[end], place + 1
        if shown and mode == "restart" and place + 1 < len(chain):
            out.append("restart")
    return out, "", ChainExhaustedError, len(chain)


def read(plugin: Streaming, mode: Any, chunks: int | None, *, sync: bool) -> tuple[list[str], Any, list[str]]:
    """Read a stream, or some chunks of it; return them, the reply or the error, and how the request ended."""
    out: list[str] = []
    events: list[Any] = []
    still = Clockwork(clock=lambda: 0.0, sleep=lambda _s: None, asleep=asyncio.sleep)
    resolver = Resolver.from_settings(
        Settings(kickai=KickaiSettings(plugins=()), providers={"streaming": ProviderSettings(retries=0)}),
        plugins={"streaming": plugin},
        observers=[events.append],
        time=still,
    )

    async def main() -> Any:
        async with chain.astream("hi", mode=mode) as stream:
            async for chunk in stream:
                out.append(seen(chunk))
                if len(out) == chunks:
                    break
        return stream.reply

    with resolver:
        chain = resolver.chain(*(f"streaming:{place}" for place in range(len(plugin.chain))))
        try:
            if sync:
                with chain.stream("hi", mode=mode) as stream:
                    for chunk in stream:
                        out.append(seen(chunk))
                        if len(out) == chunks:
                            break
                outcome: Any = stream.reply
            else:
                outcome = asyncio.run(main())
        except KickaiError as error:
            outcome = error
    return out, outcome, [event.outcome for event in events if isinstance(event, RequestEnded)]


@settings(deadline=None, max_examples=count_examples(150))
@given(chain=courses, mode=modes, sync=st.booleans())
def test_a_stream_hands_out_what_its_mode_says(chain: list[Course], mode: str, *, sync: bool) -> None:
    """Promise 7: the chunks, the end and the error are those of the model, and a cut stream is never complete."""
    plugin = Streaming(chain)
    out, outcome, ends = read(plugin, mode, None, sync=sync)
    expected, text, error, called_count = model(chain, mode)
    assert (out, plugin.called, plugin.open) == (expected, list(range(called_count)), 0)
    assert len(outcome.attempts) == called_count
    if error is None:
        assert (outcome.text, ends) == (text, ["success"])
    else:
        assert (type(outcome), ends) == (error, ["error"])
        assert text == getattr(outcome, "partial_text", "")


@settings(deadline=None, max_examples=count_examples(100))
@given(chain=courses, mode=modes, chunks=st.integers(1, 8), sync=st.booleans())
def test_leaving_a_stream_closes_its_connection(chain: list[Course], mode: str, chunks: int, *, sync: bool) -> None:
    """Promise 7: left after any chunk, it calls no other target, and the request ends once."""
    plugin = Streaming(chain)
    out, outcome, ends = read(plugin, mode, chunks, sync=sync)
    expected, _, _, called_count = model(chain, mode)
    assert (out, plugin.open, len(ends)) == (expected[:chunks], 0, 1)
    assert plugin.called == list(range(len(plugin.called)))
    assert len(plugin.called) <= called_count
    if len(out) == chunks and outcome is None:
        assert ends == ["cancelled"]
