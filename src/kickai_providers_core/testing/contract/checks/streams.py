"""Streams that are cut, malformed, or closed early by the caller."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.testing.contract.helpers.calls import open_stream, run_with_limit
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S
from kickai_providers_core.testing.contract.helpers.parameters import in_each_stream
from kickai_providers_core.testing.contract.helpers.requirements import require_native, require_stream
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Cut, ErrorPiece, MalformedPiece, Ok, Silence, Stall
from kickai_providers_core.values.errors import (
    InvalidReplyError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["StreamTests"]

STILL_OPEN = "the connection is still open after the stream was closed"


class StreamTests(ProviderSpec):
    """A stream is complete or ends in an error; closing it early closes its connection."""

    @in_each_stream
    @pytest.mark.parametrize("how", ["fin", "rst"])
    def test_a_cut_stream_is_no_answer(self, harness: ProviderHarness, mode: Mode, how: str) -> None:
        """A stream whose connection ends in the middle is an error."""
        require_stream(harness, mode)
        outcome = harness.attempt(mode, Cut(1, how))  # type: ignore[arg-type]
        outcome.raises(InvalidReplyError, ProviderUnavailableError)

    @in_each_stream
    def test_a_stream_without_a_finish_reason_is_no_answer(self, harness: ProviderHarness, mode: Mode) -> None:
        """A stream that ends correctly but without a finish reason is an error."""
        require_stream(harness, mode)
        harness.attempt(mode, Cut(1, "clean")).raises(InvalidReplyError)

    @in_each_stream
    def test_a_stream_without_an_event_is_no_answer(self, harness: ProviderHarness, mode: Mode) -> None:
        """A stream that ends correctly before its first event is an error."""
        require_stream(harness, mode)
        harness.attempt(mode, Cut(0, "clean")).raises(InvalidReplyError)

    @in_each_stream
    def test_a_malformed_event_is_an_invalid_reply(self, harness: ProviderHarness, mode: Mode) -> None:
        """An unreadable event is an error; it is not skipped."""
        require_stream(harness, mode)
        harness.attempt(mode, MalformedPiece(1)).raises(InvalidReplyError)

    @in_each_stream
    def test_an_error_event_is_typed(self, harness: ProviderHarness, mode: Mode) -> None:
        """An error event in the middle of a stream becomes that error."""
        require_stream(harness, mode)
        harness.attempt(mode, ErrorPiece(1, "unavailable")).raises(ProviderUnavailableError, InvalidReplyError)

    @in_each_stream
    def test_an_error_event_at_the_start_is_typed(self, harness: ProviderHarness, mode: Mode) -> None:
        """An error event at the start of a stream with status 200 becomes that error."""
        require_stream(harness, mode)
        kinds = (QuotaExhaustedError, ProviderUnavailableError, InvalidReplyError)
        harness.attempt(mode, ErrorPiece(0, "quota", 402)).raises(*kinds)

    @in_each_stream
    def test_pieces_come_before_an_error(self, harness: ProviderHarness, mode: Mode) -> None:
        """The pieces that arrived before an error are yielded."""
        require_stream(harness, mode)
        outcome = harness.attempt(mode, Cut(2, "fin"))
        outcome.raises(ProviderError)
        texts = [chunk.text for chunk in outcome.chunks if chunk.text]  # type: ignore[attr-defined]
        assert texts == list(Ok().parts[:2]) if self.wire else texts, "the pieces before the error were not yielded"

    @in_each_stream
    def test_pieces_come_as_they_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """A piece is yielded before the rest of the stream arrives."""
        require_native(harness, mode)
        harness.server.default = Stall(1)
        text, _ = self._take_first_piece(harness, mode)
        assert text == Ok().parts[0], f"expected the first piece {Ok().parts[0]!r}, got {text!r}"

    @in_each_stream
    def test_an_abandoned_stream_is_closed(self, harness: ProviderHarness, mode: Mode) -> None:
        """Closing a stream early closes its connection at once."""
        require_native(harness, mode)
        harness.server.default = Stall(1)
        _, closed = self._take_first_piece(harness, mode)
        assert closed, STILL_OPEN

    @in_each_stream
    def test_an_unread_stream_is_closed(self, harness: ProviderHarness, mode: Mode) -> None:
        """Closing a stream before anything was read closes its connection."""
        require_native(harness, mode)
        harness.server.default = Silence()
        outcome = run_with_limit("invoke", lambda: _close_unread(harness, mode), GRACE_S).within(GRACE_S)
        assert outcome.raised is None, f"closing the stream raised {outcome.raised!r}"
        assert harness.server.wait_closed(GRACE_S), STILL_OPEN

    def _take_first_piece(self, harness: ProviderHarness, mode: Mode) -> tuple[str, bool]:
        outcome = run_with_limit("invoke", lambda: _take_and_close(harness, mode), 2 * GRACE_S)
        if outcome.raised is not None:
            message = f"{mode}: the first piece was not yielded before the rest of the stream"
            raise AssertionError(message) from outcome.raised
        taken: tuple[str, bool] = outcome.value  # type: ignore[assignment]
        return taken


def _take_and_close(harness: ProviderHarness, mode: Mode) -> tuple[str, bool]:
    """Open a stream, take its first text, and close it; return the text, and whether the connection is closed then.

    In async modes the connection is checked while the event loop runs, since the end of the loop would close it.
    """

    async def take() -> tuple[str, bool]:
        stream = await open_stream(harness.call_hook("astream"))
        text = ""
        while not text:
            text = (await anext(stream)).text
        await stream.aclose()
        return text, await asyncio.to_thread(harness.server.wait_closed, GRACE_S)

    if mode == "astream":
        return asyncio.run(take())
    stream = harness.call_hook("stream")
    text = next(chunk.text for chunk in stream if chunk.text)
    stream.close()
    return text, harness.server.wait_closed(GRACE_S)


def _close_unread(harness: ProviderHarness, mode: Mode) -> None:
    """Open a stream and close it."""

    async def close() -> None:
        stream = await open_stream(harness.call_hook("astream", GRACE_S / 4))
        await stream.aclose()

    # A hook may wait for the head of the response before it returns its iterator, and then fail.
    with suppress(ProviderError):
        if mode == "astream":
            asyncio.run(close())
        else:
            harness.call_hook("stream", GRACE_S / 4).close()
