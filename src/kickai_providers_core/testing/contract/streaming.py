"""Streams that are cut, garbled or abandoned half-way."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.testing.contract.calling import opened, timed
from kickai_providers_core.testing.contract.givens import GRACE_S, STREAMS
from kickai_providers_core.testing.contract.needs import need_native, need_stream
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.testing.faults import Cut, ErrorPiece, MalformedPiece, Ok, Silence, Stall
from kickai_providers_core.values.errors import (
    InvalidReplyError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.subject import Subject

__all__ = ["Streaming"]

in_each_stream = pytest.mark.parametrize("mode", STREAMS)


class Streaming(Supplied):
    """A stream is whole, or it is an error; abandoned, it is closed."""

    @in_each_stream
    @pytest.mark.parametrize("how", ["fin", "rst"])
    def test_a_cut_stream_is_no_answer(self, subject: Subject, mode: Mode, how: str) -> None:
        """A stream whose connection ends half-way is an error."""
        need_stream(subject, mode)
        subject.attempt(mode, Cut(1, how)).raises(InvalidReplyError, ProviderUnavailableError)  # type: ignore[arg-type]

    @in_each_stream
    def test_a_stream_without_a_finish_reason_is_no_answer(self, subject: Subject, mode: Mode) -> None:
        """A stream that ends in good order, but before the service said why the model stopped, is an error."""
        need_stream(subject, mode)
        subject.attempt(mode, Cut(1, "clean")).raises(InvalidReplyError)

    @in_each_stream
    def test_a_stream_without_an_event_is_no_answer(self, subject: Subject, mode: Mode) -> None:
        """A stream that ends in good order before its first event is an error."""
        need_stream(subject, mode)
        subject.attempt(mode, Cut(0, "clean")).raises(InvalidReplyError)

    @in_each_stream
    def test_a_malformed_event_is_an_invalid_reply(self, subject: Subject, mode: Mode) -> None:
        """An event that cannot be read ends the stream; it is not passed over."""
        need_stream(subject, mode)
        subject.attempt(mode, MalformedPiece(1)).raises(InvalidReplyError)

    @in_each_stream
    def test_an_error_event_is_typed(self, subject: Subject, mode: Mode) -> None:
        """An error that the service tells half-way is that error."""
        need_stream(subject, mode)
        subject.attempt(mode, ErrorPiece(1, "unavailable")).raises(ProviderUnavailableError, InvalidReplyError)

    @in_each_stream
    def test_an_error_event_at_the_start_is_typed(self, subject: Subject, mode: Mode) -> None:
        """An error that the service tells first, though its status was 200, is that error."""
        need_stream(subject, mode)
        kinds = (QuotaExhaustedError, ProviderUnavailableError, InvalidReplyError)
        subject.attempt(mode, ErrorPiece(0, "quota", 402)).raises(*kinds)

    @in_each_stream
    def test_pieces_come_before_an_error(self, subject: Subject, mode: Mode) -> None:
        """What came before a stream broke has been handed out."""
        need_stream(subject, mode)
        outcome = subject.attempt(mode, Cut(2, "fin"))
        outcome.raises(ProviderError)
        texts = [chunk.text for chunk in outcome.chunks if chunk.text]  # type: ignore[attr-defined]
        assert texts == list(Ok().parts[:2]) if self.wire else texts

    @in_each_stream
    def test_pieces_come_as_they_are_sent(self, subject: Subject, mode: Mode) -> None:
        """A piece is handed out while the rest of the stream is still to come."""
        need_native(subject, mode)
        subject.server.default = Stall(1)
        text, _ = self._taken(subject, mode)
        assert text == Ok().parts[0]

    @in_each_stream
    def test_an_abandoned_stream_is_closed(self, subject: Subject, mode: Mode) -> None:
        """Closing a stream half-way ends its connection, and at once."""
        need_native(subject, mode)
        subject.server.default = Stall(1)
        _, closed = self._taken(subject, mode)
        assert closed, "the connection is open after the stream was closed"

    @in_each_stream
    def test_an_unread_stream_leaves_nothing(self, subject: Subject, mode: Mode) -> None:
        """Closing a stream of which nothing was read holds nothing."""
        need_native(subject, mode)
        subject.server.default = Silence()
        outcome = timed("invoke", lambda: _unread(subject, mode), GRACE_S)
        assert outcome.within(GRACE_S).raised is None, repr(outcome.raised)
        assert subject.server.wait_closed(GRACE_S), "the connection is open after the stream was closed"

    def _taken(self, subject: Subject, mode: Mode) -> tuple[str, bool]:
        outcome = timed("invoke", lambda: _first_piece(subject, mode), 2 * GRACE_S)
        if outcome.raised is not None:
            raise AssertionError(f"{mode}: the first piece of a stalled stream did not come") from outcome.raised
        taken: tuple[str, bool] = outcome.value  # type: ignore[assignment]
        return taken


def _first_piece(subject: Subject, mode: Mode) -> tuple[str, bool]:
    """Open a stream, take its first text, and close it; return the text, and whether the connection is closed then.

    On an event loop that is asked while the loop still runs: its end would close whatever is open.
    """

    async def take() -> tuple[str, bool]:
        stream = await opened(subject.raw("astream"))
        text = ""
        while not text:
            text = (await anext(stream)).text
        await stream.aclose()
        return text, await asyncio.to_thread(subject.server.wait_closed, GRACE_S)

    if mode == "astream":
        return asyncio.run(take())
    stream = subject.raw("stream")
    text = next(chunk.text for chunk in stream if chunk.text)
    stream.close()
    return text, subject.server.wait_closed(GRACE_S)


def _unread(subject: Subject, mode: Mode) -> None:
    """Open a stream and close it."""

    async def close() -> None:
        stream = await opened(subject.raw("astream", GRACE_S / 4))
        await stream.aclose()

    # A hook that asks the service before it returns its iterator may find that there is no answer.
    with suppress(ProviderError):
        if mode == "astream":
            asyncio.run(close())
        else:
            subject.raw("stream", GRACE_S / 4).close()
