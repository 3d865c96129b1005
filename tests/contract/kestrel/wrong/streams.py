"""Streams that are not what they seem."""

from __future__ import annotations

from contextlib import suppress

from attrs import evolve

from kestrel import mapping
from kestrel.client import Client, Patience
from kestrel.wrong.register import mutant
from kickai_providers_core.values import errors
from kickai_providers_core.values.replies import FinishReason, ReplyChunk


@mutant("test_a_stream_without_a_finish_reason_is_no_answer")
class TrustsTheEnd(Client):
    """Takes the end of a stream for the end of the answer."""

    def ended(self, chunk):
        """Be content with any piece."""
        if chunk is None:
            super().ended(chunk)


@mutant(
    "test_a_cut_stream_is_no_answer",
    "test_a_truncated_answer_is_no_answer",
    "test_pieces_come_before_an_error",
    "test_the_key_is_in_no_streams_error",
)
class EndsCutStreams(Client):
    """Ends a stream well when its connection is lost half-way."""

    def stream(self, request, timeout_s):
        """Make do with what came."""
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
    """Passes over an event that cannot be read."""

    def event(self, line):
        """Make do without it."""
        try:
            mapping.read(line)
        except errors.InvalidReplyError:
            return ReplyChunk()
        return super().event(line)


@mutant(
    "test_an_error_event_is_typed", "test_an_error_event_at_the_start_is_typed", "test_the_key_is_in_no_streams_error"
)
class HearsNoErrors(Client):
    """Lets a KeyError through when an event tells of an error."""

    def event(self, line):
        """Take it for granted that there is text."""
        value = mapping.read(line)
        if "problem" in value:
            value["says"]
        return super().event(line)


@mutant(
    "test_pieces_come_as_they_are_sent",
    "test_pieces_come_before_an_error",
    "test_an_abandoned_stream_is_closed",
    "test_closing_a_stream_ends_in_time",
)
class HoardsPieces(Client):
    """Hands out a stream when it has all of it."""

    def stream(self, request, timeout_s):
        """Gather first."""
        yield from list(super().stream(request, timeout_s))


@mutant("test_an_abandoned_stream_is_closed")
class KeepsAbandonedStreams(Client):
    """Keeps the connection of a stream that was closed half-way."""

    def __init__(self, settings):
        super().__init__(settings)
        self.kept = []

    def stream(self, request, timeout_s):
        """Hold on to the stream below."""
        chunks = super().stream(request, timeout_s)
        self.kept.append(chunks)
        for chunk in chunks:  # noqa: UP028 - that is the fault
            yield chunk


@mutant("test_streams_come_in_pieces", "test_a_stream_without_a_finish_reason_is_no_answer")
class EndsTwice(Client):
    """States the finish reason with every piece."""

    def event(self, line):
        """Say stop, and go on."""
        chunk = super().event(line)
        return chunk if chunk.finish_reason else evolve(chunk, finish_reason=FinishReason.STOP)


@mutant(
    "test_a_stream_without_an_event_is_no_answer",
    "test_an_empty_body_is_an_invalid_reply",
    "test_a_malformed_body_is_an_invalid_reply",
    "test_a_wrong_content_type_is_an_invalid_reply",
    "test_the_next_call_works",
    "test_the_key_is_in_no_error",
    "test_the_users_words_are_in_no_error",
    "test_nothing_secret_is_logged",
)
class TrustsSilence(Client):
    """Takes a stream without a piece for an answer."""

    def ended(self, chunk):
        """Be content with nothing."""
        if chunk is not None:
            super().ended(chunk)


@mutant("test_an_unread_stream_leaves_nothing")
class OpensEarly(Client):
    """Connects when the stream is asked for, and closes only what is read."""

    early = None

    def stream(self, request, timeout_s):
        """Connect now, read later."""
        with suppress(OSError, errors.ProviderTimeoutError):
            self.early = self.connect(Patience(self.settings, 0.1, live=True))
        return self._read(super().stream(request, timeout_s))

    def _read(self, chunks):
        if self.early is not None:
            self.early.close()
        yield from chunks
