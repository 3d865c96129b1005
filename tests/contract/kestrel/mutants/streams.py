"""Mutants with wrong streams."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property

from attrs import evolve

from kestrel import mapping
from kestrel.client import Client, Timeouts
from kestrel.mutants.registry import mutant
from kickai_providers_core.values import errors
from kickai_providers_core.values.replies import FinishReason, ReplyChunk


@mutant("test_a_stream_without_a_finish_reason_is_no_answer")
class AcceptsMissingFinishReason(Client):
    """Accepts a stream that ends without a finish reason."""

    def check_end(self, chunk, *, is_empty):
        """Accept any last piece."""
        if chunk is None:
            super().check_end(chunk, is_empty=is_empty)


@mutant(
    "test_a_cut_stream_is_no_answer",
    "test_a_truncated_answer_is_no_answer",
    "test_pieces_come_before_an_error",
    "test_the_key_is_in_no_stream_error",
)
class AcceptsCutStreams(Client):
    """Ends a stream normally when its connection is lost in the middle."""

    def stream(self, request, timeout_s):
        """Add a finish reason to the pieces that arrived."""
        seen = False
        try:
            for chunk in super().stream(request, timeout_s):
                seen = True
                yield chunk
        except errors.InvalidReplyError as error:
            if not seen or "connection" not in error.message:
                raise
            yield ReplyChunk(finish_reason=FinishReason.STOP)


@mutant("test_a_malformed_event_is_an_invalid_reply")
class SkipsMalformedEvents(Client):
    """Skips an unreadable event."""

    def parse_event(self, line):
        """Skip the event."""
        try:
            mapping.parse_object(line)
        except errors.InvalidReplyError:
            return ReplyChunk()
        return super().parse_event(line)


@mutant(
    "test_an_error_event_is_typed", "test_an_error_event_at_the_start_is_typed", "test_the_key_is_in_no_stream_error"
)
class RaisesKeyErrorForErrorEvents(Client):
    """Raises KeyError when an event reports an error."""

    def parse_event(self, line):
        """Read the text without a check."""
        value = mapping.parse_object(line)
        if "problem" in value:
            value["says"]
        return super().parse_event(line)


@mutant(
    "test_pieces_come_as_they_are_sent",
    "test_pieces_come_before_an_error",
    "test_an_abandoned_stream_is_closed",
    "test_closing_a_stream_ends_in_time",
)
class CollectsPieces(Client):
    """Yields a stream only when it is complete."""

    def stream(self, request, timeout_s):
        """Collect all chunks."""
        yield from list(super().stream(request, timeout_s))


@mutant("test_an_abandoned_stream_is_closed")
class KeepsClosedStreams(Client):
    """Keeps the connection of a stream that was closed early."""

    @cached_property
    def kept(self):
        """Return the streams that were kept."""
        return []

    def stream(self, request, timeout_s):
        """Keep the stream."""
        chunks = super().stream(request, timeout_s)
        self.kept.append(chunks)
        for chunk in chunks:  # noqa: UP028 - that is the fault
            yield chunk


@mutant("test_streams_come_in_pieces", "test_a_stream_without_a_finish_reason_is_no_answer")
class RepeatsFinishReason(Client):
    """States the finish reason with every piece."""

    def parse_event(self, line):
        """Add a finish reason."""
        chunk = super().parse_event(line)
        return chunk if chunk.finish_reason else evolve(chunk, finish_reason=FinishReason.STOP)


@mutant(
    "test_a_stream_without_an_event_is_no_answer",
    "test_an_empty_body_is_an_invalid_reply",
    "test_a_malformed_body_is_an_invalid_reply",
    "test_a_wrong_content_type_is_an_invalid_reply",
    "test_the_next_call_works",
    "test_the_key_is_in_no_error",
    "test_the_prompt_and_the_answer_are_in_no_error",
    "test_nothing_secret_is_logged",
)
class AcceptsEmptyStreams(Client):
    """Accepts a stream without a piece."""

    def check_end(self, chunk, *, is_empty):
        """Accept no piece."""
        if chunk is not None:
            super().check_end(chunk, is_empty=is_empty)


@mutant("test_an_unread_stream_is_closed")
class ConnectsBeforeReading(Client):
    """Connects when the stream is created, and closes only streams that were read."""

    early = None

    def stream(self, request, timeout_s):
        """Connect now and read later."""
        with suppress(OSError, errors.ProviderTimeoutError):
            self.early = self.connect(Timeouts(self.settings, 0.1, live=True))
        return self._read(super().stream(request, timeout_s))

    def _read(self, chunks):
        if self.early is not None:
            self.early.close()
        yield from chunks
