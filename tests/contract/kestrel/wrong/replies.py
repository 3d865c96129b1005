"""Wrong answers."""

from __future__ import annotations

import json
from contextlib import suppress

from attrs import evolve

from kestrel import mapping
from kestrel.client import Client
from kestrel.wrong.register import mutant
from kickai_providers_core.values.replies import FinishReason, Reply


@mutant("test_an_empty_body_is_an_invalid_reply")
class ReturnsNone(Client):
    """Returns None for an answer without a body."""

    def reply(self, body):
        """Return nothing for nothing."""
        return super().reply(body) if body else None


@mutant("test_a_wrong_shape_is_an_invalid_reply")
class LeaksKeyError(Client):
    """Lets a KeyError through when the answer's JSON has another shape."""

    def reply(self, body):
        """Take it for granted that the text is there."""
        mapping.read(body)["says"]
        return super().reply(body)


@mutant("test_a_malformed_body_is_an_invalid_reply")
class LeaksRecursionError(Client):
    """Lets a RecursionError of the JSON parser through."""

    def reply(self, body):
        """Parse once more, and catch what one thinks of."""
        with suppress(ValueError):
            json.loads(body)
        return super().reply(body)


@mutant("test_usage_is_counted")
class ForgetsUsage(Client):
    """Drops the token counts of a stream."""

    def event(self, line):
        """Leave the usage out."""
        return evolve(super().event(line), usage=None)


@mutant("test_finish_reason_is_length")
class MistakesTheEnd(Client):
    """Takes an answer that ran into its limit for one that the model ended."""

    def reply(self, body):
        """Return an answer that always ended well."""
        reply = super().reply(body)
        return evolve(reply, finish_reason=FinishReason.STOP) if reply.finish_reason is FinishReason.LENGTH else reply


@mutant("test_finish_reason_is_content_filter")
class HidesTheFilter(Client):
    """Passes a withheld answer off as a whole one."""

    def reply(self, body):
        """Return an answer that was never withheld."""
        reply = super().reply(body)
        withheld = reply.finish_reason is FinishReason.CONTENT_FILTER
        return evolve(reply, finish_reason=FinishReason.STOP) if withheld else reply


@mutant("test_the_model_is_named")
class NamesNoModel(Client):
    """Does not say which model answered."""

    def reply(self, body):
        """Leave the model out."""
        return evolve(super().reply(body), model="")


@mutant("test_the_cores_fields_are_left_alone")
class FillsInTheProvider(Client):
    """Fills in what the core fills in."""

    def reply(self, body):
        """Name the provider."""
        return evolve(super().reply(body), provider="kestrel")


@mutant("test_answers_pickle")
class UnpicklableReply(Client):
    """Hands out a reply that holds a lock."""

    def reply(self, body):
        """Return a reply of a class of its own."""

        class OwnReply(Reply):
            pass

        reply = super().reply(body)
        return OwnReply(
            text=reply.text,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            model=reply.model,
            tool_calls=reply.tool_calls,
        )


@mutant("test_text_of_any_language_arrives")
class DecodesPieces(Client):
    """Decodes each packet by itself, and so breaks characters that come in two."""

    async def abodies(self, request, timeout_s, *, live):
        """Replace what cannot be decoded."""
        bodies = super().abodies(request, timeout_s, live=live)
        try:
            async for body in bodies:
                yield body.decode(errors="replace").encode()
        finally:
            await bodies.aclose()


@mutant("test_finish_reason_is_stop")
class MistakesTheStop(Client):
    """Takes every end for a limit."""

    def reply(self, body):
        """Return an answer that was cut."""
        reply = super().reply(body)
        return evolve(reply, finish_reason=FinishReason.LENGTH) if reply.finish_reason is FinishReason.STOP else reply


@mutant("test_tool_calls_come_back")
class DropsToolCalls(Client):
    """Drops the calls that the model asks for."""

    def reply(self, body):
        """Return the text alone."""
        return evolve(super().reply(body), tool_calls=())
