"""A stream's chunks, assembled into a reply."""

from __future__ import annotations

import pytest

from kickai_providers_core import (
    ContentFilteredError,
    FinishReason,
    InvalidReplyError,
    Reply,
    ReplyChunk,
    ToolCall,
    Usage,
)
from kickai_providers_core.values.reply_assembly import ReplyAssembler, validate_reply

FIRST, SECOND = (ToolCall(id=str(number), name="lookup", arguments="{}") for number in (1, 2))


def test_the_reply_has_the_fields_of_all_chunks() -> None:
    """Texts and tool calls add up; for every other field the last value counts."""
    gathered = ReplyAssembler()
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
    gathered = ReplyAssembler()
    gathered.add(ReplyChunk(text="half a"))
    with pytest.raises(InvalidReplyError, match="cut"):
        gathered.build()
    assert gathered.text == "half a"


def test_a_character_split_over_two_chunks_is_whole_in_the_second():
    """The first half is held back, so that each chunk that is handed out can be encoded."""
    gathered = ReplyAssembler()
    first = gathered.normalize(ReplyChunk(text="Goal \ud83d"))
    second = gathered.normalize(ReplyChunk(text="\ude00!", finish_reason=FinishReason.STOP))
    assert (first.text, second.text) == ("Goal ", "\U0001f600!")


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        ("pong", InvalidReplyError, "returned str, not a Reply"),
        (Reply(text="half", finish_reason=FinishReason.CONTENT_FILTER), ContentFilteredError, "withheld the answer"),
        (Reply(text="half", finish_reason=FinishReason.ERROR), InvalidReplyError, "stopped with an error"),
        (Reply(text="", finish_reason=FinishReason.LENGTH), InvalidReplyError, r"is empty \(finish reason length\)"),
    ],
)
def test_what_is_no_answer_is_an_error(reply, error, words):
    """A reply of another type, a filtered or failed one, and an empty one are errors."""
    with pytest.raises(error, match=words):
        validate_reply(reply)


def test_a_usable_reply_is_returned_as_it_is():
    """With text, or with tool calls; calls with the same id get distinct ones."""
    for reply in (
        Reply(text="pong", finish_reason=FinishReason.STOP),
        Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=(FIRST, SECOND)),
    ):
        assert validate_reply(reply) is reply
    twice = Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=(FIRST, FIRST))
    one, other = validate_reply(twice).tool_calls
    assert one == FIRST
    assert other.id != FIRST.id


def test_reasoning_is_kept_apart_from_the_text():
    """The pieces of the reasoning add up, and a chunk that has only reasoning is handed out."""
    builder = ReplyAssembler()
    assert builder.add(ReplyChunk(reasoning="I should "))
    assert builder.add(ReplyChunk(reasoning="say pong.", text="pong"))
    builder.add(ReplyChunk(finish_reason=FinishReason.STOP))
    reply = builder.build()
    assert (reply.text, reply.reasoning) == ("pong", "I should say pong.")
