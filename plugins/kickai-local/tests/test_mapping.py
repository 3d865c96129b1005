"""What is sent to llama.cpp, and how its answers are read."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from kickai_providers_core import (
    ChatRequest,
    ContextLengthExceededError,
    FinishReason,
    InvalidReplyError,
    Message,
    ProviderUnavailableError,
    ToolCall,
    UnsupportedRequestError,
    Usage,
)
from kickai_providers_core.authoring import EventStreamDecoder

from kickai_local import mapping

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}


def _event(delta=None, finish=None, **fields):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return json.dumps({"choices": choices, "id": "chatcmpl-1", **fields}).encode()


def _request(**fields):
    return ChatRequest(messages=(Message(role="user", content="hi"),), **fields)


def _read(*events, max_tokens=3, **fields):
    """Return the texts of a stream that are not empty, or show the model at work, and its last chunk."""
    answer = mapping.ReplyReader(_request(**fields), "small", max_tokens)
    decoder = EventStreamDecoder()
    read = [event for data in events for event in decoder.feed(b"data: " + data + b"\n\n")]
    return [chunk.text for chunk in answer.read(read)], answer.finish()


def test_only_what_was_requested_is_sent():
    """A request that leaves everything to the provider has the messages and a token limit."""
    sent = json.loads(mapping.encode(ChatRequest.of("hi"), 9))
    assert sent == {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_every_parameter_is_sent():
    """Zero is a value, the stop texts keep their order, and a schema keeps its nulls and may be any mapping."""
    schema = MappingProxyType({"properties": MappingProxyType({"a": {"default": None}})})
    request = ChatRequest(
        messages=ChatRequest.of("hi").messages, temperature=0.0, top_p=0.5, stop=("b", "a"), seed=0, json_schema=schema
    )
    sent = json.loads(mapping.encode(request, 9))
    assert (sent["temperature"], sent["top_p"], sent["stop"], sent["seed"]) == (0.0, 0.5, ["b", "a"], 0)
    assert sent["json_schema"] == {"properties": {"a": {"default": None}}}
    assert sent["cache_prompt"] is False


def test_an_answer_is_read():
    """Texts come in order; end, tokens and name come with the last chunk."""
    opening = _event({"role": "assistant", "content": None})
    texts, last = _read(
        opening, _event({"content": "Hel"}), _event({"content": "lo"}), _event({}, "stop"), _event(usage=USAGE)
    )
    assert texts == ["Hel", "lo", ""]
    assert (last.finish_reason, last.text, last.model) == (FinishReason.STOP, "", "small")
    assert last.usage == Usage(input_tokens=7, output_tokens=3, cached_tokens=2)
    assert last.request_id == "chatcmpl-1"


def test_reasoning_shows_that_the_model_is_at_work():
    """While the model reasons there are chunks without text, and the reasoning is not part of the answer."""
    assert _read(_event({"reasoning_content": "hm"}), _event({"content": "5"}, "stop"))[0] == ["", "5"]


def test_the_end_of_the_stream_adds_nothing():
    """``[DONE]`` gives no chunk."""
    assert _read(_event({"content": "a"}, "stop"), b"[DONE]")[0] == ["a"]


def test_a_limit_that_was_reached_is_an_end():
    """An answer with as many tokens as its limit allows ended there."""
    _, last = _read(_event({"content": "a"}, "length"), _event(usage=USAGE), max_tokens=3)
    assert last.finish_reason is FinishReason.LENGTH


def test_a_window_that_was_full_is_no_end():
    """An answer with fewer tokens than its limit, that the model did not end, filled the context window."""
    with pytest.raises(ContextLengthExceededError) as caught:
        _read(_event({}, "length"), _event(usage=USAGE), max_tokens=4)
    assert caught.value.limit_tokens == 10


def test_a_cut_answer_is_no_answer():
    """A stream that ends without a finish reason was cut."""
    with pytest.raises(InvalidReplyError, match="cut"):
        _read(_event({"content": "Hel"}))


@pytest.mark.parametrize(
    "event",
    [
        *(b"", b"{", b"[]", b"7", b'"x"', b"null", b"{}", b"\xff"),
        *(b'{"choices": 7}', b'{"choices": [7]}', b'{"choices": [{"finish_reason": "tired"}]}'),
        *(b'{"choices": [], "usage": {"prompt_tokens": 1}}', b'{"error": 7}', b'{"error": {}}'),
    ],
)
def test_strange_events_are_no_answer(event):
    """What llama.cpp never writes is an error, and the error's context does not show it."""
    with pytest.raises(InvalidReplyError) as caught:
        _read(event)
    assert caught.value.__suppress_context__


def test_an_error_within_a_stream_is_raised():
    """An event that reports an error raises it."""
    with pytest.raises(ProviderUnavailableError) as caught:
        _read(_event({"content": "Hel"}), b'{"error": {"code": 500, "message": "canary", "type": "server_error"}}')
    assert (caught.value.status_code, "canary" in str(caught.value)) == (500, False)


@pytest.mark.parametrize(
    ("status", "error", "kind", "words"),
    [
        (
            400,
            {"type": "exceed_context_size_error", "n_ctx": 9, "n_prompt_tokens": 12},
            ContextLengthExceededError,
            "12",
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "JSON schema error canary"},
            UnsupportedRequestError,
            "schema",
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "Template canary"},
            UnsupportedRequestError,
            "chat template",
        ),
        (400, {"type": "invalid_request_error", "message": "canary"}, UnsupportedRequestError, "refused"),
        (400, "canary", UnsupportedRequestError, "refused"),
        (401, {"message": "canary"}, ProviderUnavailableError, "failed"),
        (503, {"message": "canary"}, ProviderUnavailableError, "failed"),
    ],
)
def test_errors_have_our_own_words(status, error, kind, words):
    """Each is typed, has its status, and repeats nothing that may quote the prompt."""
    found = mapping.build_error(status, {"error": error})
    assert type(found) is kind
    assert found.status_code == status
    assert words in str(found)
    assert "canary" not in str(found)


@pytest.mark.parametrize("read", [None, [], "x", {}, {"error": None}])
def test_an_error_of_any_form_is_typed(read):
    """One that is not JSON, or of another form, is a failure of the service."""
    assert type(mapping.build_error(500, read)) is ProviderUnavailableError


def _history(*arguments, ids=("a", "b")):
    calls = tuple(ToolCall(id=id_, name="f", arguments=text) for id_, text in zip(ids, arguments, strict=False))
    return ChatRequest(
        messages=(
            Message(role="user", content="hi"),
            Message(role="assistant", content="", tool_calls=calls),
            Message(role="tool", content="1", tool_call_id=ids[0]),
        )
    )


def test_the_tool_calls_of_another_target_are_sent_as_history():
    """Their arguments are JSON text again, whatever its form was."""
    sent = json.loads(mapping.encode(_history('{ "x": 1 }', ""), 9))
    calls = sent["messages"][1]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"x": 1}, {}]


@pytest.mark.parametrize("arguments", ['{"x": ', "nonsense", "[1]", '{"x": NaN}', "[" * 5000])
def test_arguments_that_are_no_object_are_refused_by_this_target(arguments):
    """llama.cpp would fail on them; the next target may take them."""
    with pytest.raises(UnsupportedRequestError):
        mapping.encode(_history(arguments), 9)


def test_half_characters_are_never_sent():
    """A lone half becomes the replacement character, and two halves one character."""
    body = bytes(mapping.encode(ChatRequest(messages=(Message(role="user", content="\ud83d\ude00 \ud83d"),)), 9))
    assert json.loads(body)["messages"][0]["content"] == "\U0001f600 \ufffd"


def test_a_character_that_is_split_between_events_is_joined():
    """Both halves come as one character, and half of one at the end as the replacement character."""
    events = [json.dumps({"choices": [{"delta": {"content": text}}]}).encode() for text in ("a\ud83d", "\ude00")]
    texts, _ = _read(*events, _event({}, "stop"))
    assert "".join(texts) == "a\U0001f600"
    texts, last = _read(events[0], _event({}, "stop"))
    assert "".join(texts) + last.text == "a\ufffd"


def test_text_after_the_finish_reason_is_read():
    """An early finish reason does not end the answer."""
    assert _read(_event({"content": "a"}, "stop"), _event({"content": "b"}))[0] == ["a", "b"]


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices": [{"delta": {"content": ["a"]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{}]}}]}',
        b'{"choices": [{"index": 1, "delta": {"content": "a"}}]}',
        b'{"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]}',
        b'{"choices": [], "x": NaN}',
    ],
)
def test_what_is_not_understood_is_never_skipped(event):
    """A part of the answer that cannot be read makes the whole unusable."""
    with pytest.raises(InvalidReplyError):
        _read(event)


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "x-unknown": True}


def _read_with_schema(text, finish="stop"):
    events = (_event({"content": text}), _event({}, finish), _event(usage=USAGE))
    return _read(*events, json_schema=SCHEMA)[1]


def test_an_answer_that_keeps_to_its_schema_passes():
    """Unknown keywords do not matter, and an answer that reached its limit is not checked."""
    assert _read_with_schema('{"a": 1}').finish_reason is FinishReason.STOP
    assert _read_with_schema('{"a": ', "length").finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("text", ['{"a": "canary"}', "{}", "canary", '{"a": 1'])
def test_an_answer_that_breaks_its_schema_is_due_to_the_request(text):
    """It counts against no health, and is not repeated in the error."""
    with pytest.raises(InvalidReplyError) as caught:
        _read_with_schema(text)
    assert caught.value.due_to_request
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_unexplained_refusal_is_of_this_target_alone(status):
    """Another target may accept the same request."""
    assert type(mapping.build_error(status, {})) is UnsupportedRequestError


def test_options_are_sampling_parameters():
    """Options for this provider are sent as they are."""
    sent = json.loads(mapping.encode(_request(options={"local": {"top_k": 40, "logit_bias": {"7": -1}}}), 9))
    assert (sent["top_k"], sent["logit_bias"], sent["max_tokens"]) == (40, {"7": -1}, 9)
