"""Pieces of an answer become one reply, or an error with the reason."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core import (
    ChatRequest,
    ContentFilteredError,
    FinishReason,
    InvalidReplyError,
    Message,
    ReplyChunk,
    Tool,
    ToolCall,
    Usage,
)
from kickai_providers_core.authoring import ReplyBuilder, StopTexts, abuild_reply, build_reply


def _request(**fields):
    return ChatRequest(messages=(Message(role="user", content="hi"),), **fields)


def _built(*texts, reason=FinishReason.STOP, **fields):
    builder = ReplyBuilder(_request(**fields))
    handed_out = [builder.add_text(text) for text in texts]
    if reason is not None:
        builder.finish(reason)
    return "".join(handed_out), builder


def test_a_reply_has_all_that_was_given():
    """Text, reason, tokens, model, request id and omissions."""
    builder = ReplyBuilder(omitted=("seed",))
    assert (builder.add_text("Hel"), builder.add_text(""), builder.add_text("lo")) == ("Hel", "", "lo")
    builder.model, builder.request_id = "m", "r"
    builder.usage = Usage(input_tokens=1, output_tokens=2)
    builder.finish(FinishReason.STOP)
    reply = builder.build()
    assert (reply.text, reply.model, reply.request_id, reply.omitted) == ("Hello", "m", "r", ("seed",))
    assert (reply.usage, reply.finish_reason) == (builder.usage, FinishReason.STOP)


@given(st.text(alphabet="aEND. \U0001f600", max_size=20), st.lists(st.integers(0, 20)))
def test_text_is_the_same_in_any_split(text, cuts):
    """Whatever the pieces, what is handed out plus the last chunk is the text before the first stop text."""
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    handed_out, builder = _built(*pieces, stop=("END", "ED"))
    expected = min((text[: text.find(stop)] for stop in ("END", "ED") if stop in text), key=len, default=text)
    if not expected:
        with pytest.raises(InvalidReplyError):
            builder.build_last_chunk()
        return
    assert handed_out + builder.build_last_chunk().text == expected


def test_a_stop_text_is_a_stop_whatever_the_service_says():
    """A service that ignores stop texts may report that it reached its limit."""
    _, builder = _built("One. END Two.", reason=FinishReason.LENGTH, stop=("END",))
    assert builder.build().finish_reason is FinishReason.STOP


def test_empty_stop_texts_stop_nothing():
    """They would be found everywhere."""
    assert StopTexts(("",)).feed("abc") == "abc"


def test_characters_in_two_pieces_are_joined():
    """A lone half at the end becomes the replacement character."""
    handed_out, builder = _built("a\ud83d", "\ude00b\ud83d")
    last = builder.build_last_chunk()
    assert (handed_out, last.text) == ("a\U0001f600b", "\ufffd")


def test_an_answer_without_an_end_is_cut():
    """The bytes ended, but nobody said that the answer did."""
    with pytest.raises(InvalidReplyError, match="cut"):
        _built("Hel", reason=None)[1].build()


def test_text_after_the_finish_reason_is_kept():
    """Some services name the reason early; the builder then counts as unfinished again."""
    _, builder = _built("a")
    assert builder.is_finished
    builder.add_text("b")
    assert not builder.is_finished
    assert builder.build().text == "ab"


@pytest.mark.parametrize("reason", [FinishReason.STOP, FinishReason.LENGTH])
def test_an_empty_answer_is_an_error(reason):
    """An answer that the token limit left empty is due to the request, any other is not."""
    with pytest.raises(InvalidReplyError, match="empty") as caught:
        _built("", reason=reason)[1].build()
    assert caught.value.due_to_request is (reason is FinishReason.LENGTH)


def test_a_withheld_answer_is_an_error():
    """By its reason, or because the model refused and wrote nothing else."""
    with pytest.raises(ContentFilteredError):
        _built("part", reason=FinishReason.CONTENT_FILTER)[1].build()
    _, builder = _built("")
    builder.note_refusal()
    with pytest.raises(ContentFilteredError):
        builder.build()
    _, builder = _built("text all the same")
    builder.note_refusal()
    assert builder.build().text


def test_a_model_that_failed_has_not_answered():
    """Even when there is text."""
    with pytest.raises(InvalidReplyError, match="error"):
        _built("part", reason=FinishReason.ERROR)[1].build()


def test_calls_end_an_answer_as_calls():
    """Some services say stop; pieces and whole calls give the same."""
    for add in ("pieces", "whole"):
        _, builder = _built("")
        if add == "pieces":
            builder.add_call_piece(index=0, id="a", name="f", arguments='{"x"')
            builder.add_call_piece(index=0, arguments=": 1}")
        else:
            builder.add_call(id="a", name="f", arguments={"x": 1})
        builder.finish(FinishReason.STOP)
        reply = builder.build()
        assert reply.finish_reason is FinishReason.TOOL_CALL
        assert [(call.id, call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [("a", "f", {"x": 1})]


@pytest.mark.parametrize("ids", [("a", "a"), (None, None), ("", "b"), (0, 1)])
def test_whole_calls_are_never_merged(ids):
    """Each call is one, whatever its id, and each has an id of its own."""
    builder = ReplyBuilder()
    for call_id in ids:
        builder.add_call(id=call_id, name="f", arguments="{}")
    builder.finish(FinishReason.TOOL_CALL)
    calls = builder.build().tool_calls
    assert len(calls) == len({call.id for call in calls}) == 2


TOOL = Tool(name="f")


@pytest.mark.parametrize("choice", ["required", "f"])
def test_a_required_call_must_come(choice):
    """A service that ignores tool_choice has not done what was requested."""
    with pytest.raises(InvalidReplyError, match="no tool") as caught:
        _built("text", tools=(TOOL,), tool_choice=choice)[1].build()
    assert caught.value.due_to_request
    assert _built("text", tools=(TOOL,), tool_choice="auto")[1].build().text


SCHEMA = {"type": "object", "required": ["a"]}


def test_a_finished_answer_keeps_to_the_schema():
    """An answer that reached its token limit is not checked."""
    assert _built('{"a"', ": 1}", json_schema=SCHEMA)[1].build().text == '{"a": 1}'
    assert _built('{"a"', reason=FinishReason.LENGTH, json_schema=SCHEMA)[1].build().text
    with pytest.raises(InvalidReplyError) as caught:
        _built("{}", json_schema=SCHEMA)[1].build()
    assert caught.value.due_to_request


CHUNKS = (
    ReplyChunk(text="Hel", model="m"),
    ReplyChunk(text="", tool_calls=(ToolCall(id="a", name="f", arguments="{}"),), request_id="r"),
    ReplyChunk(text="lo", usage=Usage(input_tokens=1, output_tokens=2), omitted=("seed",)),
    ReplyChunk(tool_calls=(ToolCall(id="a", name="g", arguments="{}"),), finish_reason=FinishReason.STOP),
)


async def _stream(closed):
    try:
        for chunk in CHUNKS:
            yield chunk
    finally:
        closed.append(True)


@pytest.mark.parametrize("is_async", [False, True])
def test_chunks_make_up_a_reply(is_async):
    """Text and calls add up; of the rest the last that is set counts."""
    reply = asyncio.run(abuild_reply(_stream([]))) if is_async else build_reply(CHUNKS)
    assert (reply.text, reply.model, reply.request_id, reply.omitted) == ("Hello", "m", "r", ("seed",))
    assert [call.name for call in reply.tool_calls] == ["f", "g"]
    assert len({call.id for call in reply.tool_calls}) == 2
    assert reply.finish_reason is FinishReason.TOOL_CALL
    assert reply.usage == Usage(input_tokens=1, output_tokens=2)


def test_a_stream_is_closed_when_it_fails():
    """A generator gets to free its connection."""
    closed = []

    def broken():
        try:
            yield ReplyChunk(text="a")
            raise InvalidReplyError("cut")
        finally:
            closed.append(True)

    with pytest.raises(InvalidReplyError):
        build_reply(broken())
    assert closed
