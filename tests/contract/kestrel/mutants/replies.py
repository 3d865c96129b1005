"""Mutants that return wrong replies."""

from __future__ import annotations

import json
from contextlib import suppress

from attrs import evolve

from kestrel import mapping
from kestrel.client import Client
from kestrel.mutants.registry import mutant
from kickai_providers_core.values.replies import FinishReason, Reply


@mutant("test_an_empty_body_is_an_invalid_reply")
class ReturnsNone(Client):
    """Returns None for an answer without a body."""

    def parse_reply(self, body):
        """Return None for an empty body."""
        return super().parse_reply(body) if body else None


@mutant("test_a_wrong_shape_is_an_invalid_reply")
class RaisesKeyError(Client):
    """Raises KeyError when the JSON of the answer has another shape."""

    def parse_reply(self, body):
        """Read the text without a check."""
        mapping.parse_object(body)["says"]
        return super().parse_reply(body)


@mutant("test_a_malformed_body_is_an_invalid_reply")
class RaisesRecursionError(Client):
    """Lets a RecursionError of the JSON parser through."""

    def parse_reply(self, body):
        """Parse the body, and catch ValueError only."""
        with suppress(ValueError):
            json.loads(body)
        return super().parse_reply(body)


@mutant("test_usage_is_counted")
class DropsUsageOfStreams(Client):
    """Drops the token counts of a stream."""

    def parse_event(self, line):
        """Remove the usage."""
        return evolve(super().parse_event(line), usage=None)


@mutant("test_finish_reason_is_length")
class ReadsLengthAsStop(Client):
    """Reports the finish reason length as stop."""

    def parse_reply(self, body):
        """Replace the finish reason length."""
        reply = super().parse_reply(body)
        return evolve(reply, finish_reason=FinishReason.STOP) if reply.finish_reason is FinishReason.LENGTH else reply


@mutant("test_finish_reason_is_content_filter")
class ReadsContentFilterAsStop(Client):
    """Reports the finish reason content_filter as stop."""

    def parse_reply(self, body):
        """Replace the finish reason content_filter."""
        reply = super().parse_reply(body)
        withheld = reply.finish_reason is FinishReason.CONTENT_FILTER
        return evolve(reply, finish_reason=FinishReason.STOP) if withheld else reply


@mutant("test_the_model_is_named")
class DropsTheModel(Client):
    """Does not report which model answered."""

    def parse_reply(self, body):
        """Remove the model."""
        return evolve(super().parse_reply(body), model="")


@mutant("test_the_cores_fields_are_left_empty")
class FillsInTheProvider(Client):
    """Fills in a field of the reply that belongs to the core."""

    def parse_reply(self, body):
        """Fill in the provider."""
        return evolve(super().parse_reply(body), provider="kestrel")


@mutant("test_answers_pickle")
class UnpicklableReply(Client):
    """Returns a reply that cannot be pickled."""

    def parse_reply(self, body):
        """Return a reply of a local class."""

        class OwnReply(Reply):
            pass

        reply = super().parse_reply(body)
        return OwnReply(
            text=reply.text,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            model=reply.model,
            tool_calls=reply.tool_calls,
        )


@mutant("test_text_of_any_language_arrives")
class DecodesEachPacket(Client):
    """Decodes each packet separately, which breaks characters that are split."""

    async def areceive(self, request, timeout_s, *, live, head=None):
        """Decode each packet and encode it again."""
        bodies = super().areceive(request, timeout_s, live=live, head=head)
        try:
            async for body in bodies:
                yield body.decode(errors="replace").encode()
        finally:
            await bodies.aclose()


@mutant("test_finish_reason_is_stop")
class ReadsStopAsLength(Client):
    """Reports the finish reason stop as length."""

    def parse_reply(self, body):
        """Replace the finish reason stop."""
        reply = super().parse_reply(body)
        return evolve(reply, finish_reason=FinishReason.LENGTH) if reply.finish_reason is FinishReason.STOP else reply


@mutant("test_tool_calls_come_back")
class DropsToolCalls(Client):
    """Drops the tool calls of the model."""

    def parse_reply(self, body):
        """Remove the tool calls."""
        return evolve(super().parse_reply(body), tool_calls=())
