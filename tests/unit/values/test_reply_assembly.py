"""A stream's chunks, assembled into a reply."""

from __future__ import annotations

import pytest

from kickai_providers_core import FinishReason, InvalidReplyError, ReplyChunk, ToolCall, Usage
from kickai_providers_core.values.reply_assembly import ReplyBuilder

FIRST, SECOND = (ToolCall(id=str(number), name="lookup", arguments="{}") for number in (1, 2))


def test_the_reply_has_the_fields_of_all_chunks() -> None:
    """Texts and tool calls add up; for every other field the last value counts."""
    gathered = ReplyBuilder()
    for chunk, worth in (
        (ReplyChunk(model="asked"), False),
        (ReplyChunk(text="po", usage=Usage(input_tokens=1, output_tokens=1)), True),
        (ReplyChunk(text="ng", model="served", tool_calls=(FIRST,)), True),
        (ReplyChunk(tool_calls=(SECOND,), request_id="r"), True),
        (ReplyChunk(finish_reason=FinishReason.TOOL_CALL, usage=Usage(input_tokens=1, output_tokens=2)), True),
    ):
        assert gathered.add(chunk) is worth
    reply = gathered.build()
    assert (reply.text, reply.tool_calls, reply.model, reply.request_id) == ("pong", (FIRST, SECOND), "served", "r")
    assert reply.usage == Usage(input_tokens=1, output_tokens=2)


def test_a_stream_without_a_finish_reason_is_incomplete() -> None:
    """However much was said, a stream without a finish reason was cut."""
    gathered = ReplyBuilder()
    gathered.add(ReplyChunk(text="half a"))
    with pytest.raises(InvalidReplyError, match="cut"):
        gathered.build()
    assert gathered.text == "half a"


def test_a_character_split_over_two_chunks_is_whole_in_the_second():
    """The first half is held back, so that each chunk that is handed out can be encoded."""
    gathered = ReplyBuilder()
    first = gathered.normalize(ReplyChunk(text="Goal \ud83d"))
    second = gathered.normalize(ReplyChunk(text="\ude00!", finish_reason=FinishReason.STOP))
    assert (first.text, second.text) == ("Goal ", "\U0001f600!")
