"""The translations, for arbitrary bodies and arbitrary chunks."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import FinishReason, Reply, ReplyChunk, ToolCall, Usage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from kickai_gateway.errors import ApiError
from kickai_gateway.http import dump, encode_header
from kickai_gateway.replies import ChunkEncoder, encode_reply
from kickai_gateway.requests import FIELDS, ChatCall, parse_chat, parse_json_object

PLAIN = st.none() | st.booleans() | st.integers(-5, 10**25) | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "developer"]) | JSON},
        optional={"content": JSON, "tool_calls": JSON, "tool_call_id": JSON, "reasoning_content": JSON},
    ),
    max_size=3,
)
BODIES = st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(max_size=8), JSON, max_size=6).flatmap(
    lambda others: st.fixed_dictionaries(
        {}, optional={"model": st.just("one") | JSON, "messages": MESSAGES | JSON}
    ).map(lambda own: {**others, **own})
)
TEXTS = st.text(max_size=5)
USAGES = st.builds(Usage, input_tokens=st.integers(0, 10**6), output_tokens=st.integers(0, 10**6))
CALLS = st.lists(st.builds(ToolCall, id=st.uuids().map(str), name=st.just("find"), arguments=st.just("{}")), max_size=3)


@given(body=BODIES)
def test_a_body_is_parsed_or_refused(body):
    """Nothing else is raised, and no text of the body is in the error but names."""
    try:
        call = parse_chat(body)
    except ApiError as error:
        reply = error.reply
        assert (reply.status, reply.type) == (400, "invalid_request_error")
        assert reply.message
        json.dumps(reply.as_dict())
    else:
        assert isinstance(call, ChatCall)
        assert call.model
        assert call.request.messages


@given(data=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_are_an_object_or_refused(data):
    """Whatever they are."""
    with contextlib.suppress(ApiError):
        assert isinstance(parse_json_object(data), dict)


@given(
    text=TEXTS,
    reasoning=TEXTS,
    calls=CALLS,
    usage=st.none() | USAGES,
    reason=st.sampled_from(FinishReason),
    model=TEXTS,
    several=st.booleans(),
)
def test_every_reply_has_the_form_of_the_reference(*, text, reasoning, calls, usage, reason, model, several):
    """OpenAI's type accepts it as JSON."""
    reply = Reply(text=text, reasoning=reasoning, tool_calls=calls, usage=usage, finish_reason=reason, model=model)
    body = encode_reply(reply, id="chatcmpl-1", model="asked", created=5, parallel_tool_calls=several)
    answer = ChatCompletion.model_validate_json(dump(body), strict=True)
    message = answer.choices[0].message
    assert answer.model
    assert (message.content or "") == reply.text
    assert len(message.tool_calls or ()) == (len(calls) if several else min(1, len(calls)))
    assert answer.choices[0].finish_reason


CHUNKS = st.lists(
    st.builds(ReplyChunk, text=TEXTS, reasoning=TEXTS, tool_calls=CALLS, usage=st.none() | USAGES, model=TEXTS),
    max_size=6,
)


@given(chunks=CHUNKS, reason=st.sampled_from(FinishReason), include_usage=st.booleans(), several=st.booleans())
def test_every_stream_has_the_form_of_the_reference(chunks, reason, include_usage, several):
    """The role first, one finish reason, the counts at the end if asked for, calls numbered without a gap."""
    encoder = ChunkEncoder(
        id="chatcmpl-1", model="asked", created=5, include_usage=include_usage, parallel_tool_calls=several
    )
    events = encoder.start()
    for chunk in (*chunks, ReplyChunk(finish_reason=reason)):
        events += encoder.add(chunk)
    events += encoder.finish()
    lines = events.decode().split("\n\n")
    assert lines.pop() == ""
    sent = [json.loads(line.removeprefix("data: ")) for line in lines]
    parsed = [ChatCompletionChunk.model_validate_json(json.dumps(each), strict=True) for each in sent]
    choices = [each.choices[0] for each in parsed if each.choices]
    assert [choice.delta.role for choice in choices] == ["assistant", *[None] * (len(choices) - 1)]
    assert [bool(choice.finish_reason) for choice in choices] == [*[False] * (len(choices) - 1), True]
    assert "".join(choice.delta.content or "" for choice in choices) == "".join(chunk.text for chunk in chunks)
    assert [bool(each.choices) for each in parsed] == [True] * len(choices) + [False] * include_usage
    assert all(("usage" in each) == include_usage for each in sent)
    calls = [call.index for choice in choices for call in choice.delta.tool_calls or ()]
    made = sum(len(chunk.tool_calls) for chunk in chunks)
    assert calls == list(range(made if several else min(1, made)))


@given(value=st.text())
def test_every_header_is_one_line_of_ascii(value):
    """So that no value can add a header."""
    assert encode_header(value).isascii()
    assert not {*encode_header(value)} & {*b"\r\n\0"}
