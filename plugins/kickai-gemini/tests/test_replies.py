"""Replies from the service's JSON."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from gemini_service import USAGE, candidate
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import (
    ChatRequest,
    ContentFilteredError,
    FinishReason,
    InvalidReplyError,
    Message,
    ProviderError,
    Usage,
)

from kickai_gemini.replies import ReplyReader, read_usage
from kickai_gemini.requests import GeminiRequest

REQUEST = ChatRequest(messages=(Message(role="user", content="ping"),), max_tokens=64)
SENT = GeminiRequest(model="requested-model", body={}, omitted=("temperature",))


def read(response, **fields):
    """Return the reply of a whole answer."""
    return ReplyReader(evolve(REQUEST, **fields), SENT).build(response)


CALL = {"functionCall": {"name": "who", "args": {"day": "Saturday", "count": 7}}}


def test_whole_answer_becomes_a_reply():
    """A reply has the text, finish reason, usage, model, request id, and the omitted fields."""
    made = read(candidate("pong", "STOP", model="gemini-3.8-flash", usage=USAGE))
    assert (made.text, made.finish_reason, made.model) == ("pong", FinishReason.STOP, "gemini-3.8-flash")
    assert made.usage == Usage(input_tokens=3, output_tokens=7, reasoning_tokens=2)
    assert (made.request_id, made.omitted) == ("response-1", ("temperature",))


def test_requested_model_is_the_default():
    """A reply names the requested model when the service names none."""
    assert read(candidate("pong", "STOP", model="")).model == "requested-model"


def test_thoughts_are_not_part_of_the_answer():
    """Thoughts are kept apart, and those that are not text are left out."""
    parts = [{"text": "Hm.", "thought": True}, {"text": "po"}, {"thought": True, "inlineData": {}}, {"text": "ng"}]
    made = read(candidate(parts=parts, finish="STOP"))
    assert (made.text, made.reasoning) == ("pong", "Hm.")


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (USAGE, Usage(input_tokens=3, output_tokens=7, reasoning_tokens=2)),
        # Without the field for thoughts, as from some gateways: the total includes them.
        (
            {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 10},
            Usage(input_tokens=3, output_tokens=7, reasoning_tokens=2),
        ),
        ({"promptTokenCount": 3, "totalTokenCount": 63}, Usage(input_tokens=3, output_tokens=60, reasoning_tokens=60)),
        (
            {"promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 1, "totalTokenCount": 10},
            Usage(input_tokens=9, output_tokens=1, cached_tokens=4),
        ),
        (
            {"promptTokenCount": 3, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 1, "totalTokenCount": 8},
            Usage(input_tokens=7, output_tokens=1),
        ),
        ({"promptTokenCount": 3, "candidatesTokenCount": 5}, Usage(input_tokens=3, output_tokens=5)),
        ({}, None),
    ],
)
def test_thinking_is_counted_as_output(counted, expected):
    """Everything that is billed as output counts as output, whichever field is missing."""
    assert read_usage({"usageMetadata": counted}) == expected


def test_tool_calls_come_with_arguments_in_json():
    """Each call has a name, a JSON object, and an id that no other call of the answer has."""
    made = read(candidate(parts=[{"text": "I look."}, CALL, CALL], finish="STOP"))
    assert made.finish_reason is FinishReason.TOOL_CALL
    first, second = made.tool_calls
    assert first.id != second.id
    assert json.loads(made.tool_calls[0].arguments) == {"day": "Saturday", "count": 7}


def test_call_id_is_kept():
    """Gemini 3 names its calls."""
    named = {"functionCall": {**CALL["functionCall"], "id": "abc"}}
    assert read(candidate(parts=[named], finish="STOP")).tool_calls[0].id == "abc"


def test_answer_may_end_at_the_token_limit():
    """The finish reason of text that ends at the token limit is ``length``."""
    assert read(candidate("po", "MAX_TOKENS")).finish_reason is FinishReason.LENGTH


def test_thinking_that_used_all_tokens_is_named():
    """The error for an answer without text says that thinking used the tokens, and what to do."""
    counted = {"promptTokenCount": 3, "thoughtsTokenCount": 60, "totalTokenCount": 63}
    with pytest.raises(InvalidReplyError, match=r"thinking used all 60 tokens of max_tokens = 64; raise max_tokens"):
        read(candidate("", "MAX_TOKENS", usage=counted))


@pytest.mark.parametrize(
    ("stated", "reason"), [("SAFETY", "SAFETY"), ("BRAND_NEW", "BRAND_NEW"), ("a text", "UNKNOWN")]
)
@pytest.mark.parametrize("more", [{}, candidate("pong", "STOP")])
def test_refused_prompt_is_content_filtered(stated, reason, more):
    """The error for a refused prompt has the reason, if it is in the form of one."""
    with pytest.raises(ContentFilteredError) as caught:
        read({"promptFeedback": {"blockReason": stated}, **more})
    assert caught.value.reason == reason


@pytest.mark.parametrize("feedback", [{}, None, {"safetyRatings": []}, {"blockReason": "BLOCK_REASON_UNSPECIFIED"}])
def test_feedback_without_a_reason_refuses_nothing(feedback):
    """Feedback on the prompt without a reason does not refuse it."""
    assert read({"promptFeedback": feedback, **candidate("pong", "STOP")}).text == "pong"
    with pytest.raises(InvalidReplyError, match="neither an answer nor a reason"):
        read({"promptFeedback": feedback})


STATES = [
    (["STOP", "STOP", "STOP"], FinishReason.STOP),
    (["STOP", None, None], FinishReason.STOP),
    (["STOP", None, "MAX_TOKENS"], FinishReason.LENGTH),
    (["MAX_TOKENS", None, "STOP"], FinishReason.STOP),
    ([None, "FINISH_REASON_UNSPECIFIED", "STOP"], FinishReason.STOP),
    (["STOP", "FINISH_REASON_UNSPECIFIED", ""], FinishReason.STOP),
    ([0, 0, 1], FinishReason.STOP),
    (["OTHER", None, "STOP"], FinishReason.STOP),
]


@pytest.mark.parametrize(("reasons", "expected"), STATES)
def test_last_finish_reason_counts(reasons, expected):
    """A finish reason in an early response does not end the stream; the last one counts."""
    reader = ReplyReader(REQUEST, SENT)
    texts = [reader.add(candidate(text, reason)).text for text, reason in zip("abc", reasons, strict=True)]
    assert "".join(texts) == "abc"
    assert reader.build_last_chunk().finish_reason is expected


@pytest.mark.parametrize("reasons", [("STOP", "SAFETY"), ("SAFETY", "STOP"), ("STOP", 3)])
def test_block_counts_in_any_response(reasons):
    """An answer that is withheld in part is an error, whatever comes before and after."""
    reader = ReplyReader(REQUEST, SENT)
    with pytest.raises(ContentFilteredError):
        _ = [reader.add(candidate("a", reason)) for reason in reasons]


@pytest.mark.parametrize(
    "reasons", [("STOP", "MALFORMED_FUNCTION_CALL"), ("STOP", "BRAND_NEW"), ("STOP", 99), ("x y",)]
)
def test_other_finish_reasons_are_errors(reasons):
    """An answer with an unknown finish reason, or one that means failure, is an error."""
    reader = ReplyReader(REQUEST, SENT)
    for reason in reasons:
        reader.add(candidate("a", reason))
    with pytest.raises(InvalidReplyError, match="the model stopped with"):
        reader.build_last_chunk()


PARTS = {
    "inlineData": {"mimeType": "image/png", "data": "iVBORw=="},
    "fileData": {"fileUri": "https://x.test/a"},
    "executableCode": {"language": "PYTHON", "code": "print(1)"},
    "codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"},
    "functionResponse": {"name": "who", "response": {}},
    "brandNew": {"x": 1},
}


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("more", [{}, {"text": "a text as well"}])
@pytest.mark.parametrize("place", [0, 1])
def test_unknown_part_is_an_error(kind, more, place):
    """A part that is neither text nor a call is an invalid reply that names its kind."""
    parts = [{"text": "pong"}, {"text": "ping"}]
    parts.insert(place, {kind: PARTS[kind], **more})
    named = kind if kind != "brandNew" else "unknown"
    with pytest.raises(InvalidReplyError, match=f"a part that is not understood: {named}"):
        read(candidate(parts=parts, finish="STOP"))


@pytest.mark.parametrize(
    "answer",
    [
        {"candidates": {"content": {}}},
        {"candidates": ["pong"]},
        {"candidates": [{"content": "pong", "finishReason": "STOP"}]},
        {"candidates": [{"content": {"parts": "pong"}, "finishReason": "STOP"}]},
        {"candidates": [{"content": {"parts": ["pong"]}, "finishReason": "STOP"}]},
        candidate(parts=[{"text": 7}], finish="STOP"),
        candidate(parts=[{"functionCall": "who"}], finish="STOP"),
        candidate(parts=[{"functionCall": {"args": {}}}], finish="STOP"),
        candidate(parts=[{"functionCall": {"name": "", "args": {}}}], finish="STOP"),
        candidate(parts=[{"functionCall": {"name": "who", "args": [1]}}], finish="STOP"),
        candidate(parts=[{"functionCall": {"name": "who", "args": "{half"}}], finish="STOP"),
        candidate(parts=[{"functionCall": {"name": "who", "willContinue": True}}], finish="STOP"),
        candidate(parts=[{"functionCall": {"name": "who", "partialArgs": [{"x": 1}]}}], finish="STOP"),
        {"candidates": [candidate("a", "STOP")["candidates"][0]] * 2},
        {**candidate("pong", "STOP"), "promptFeedback": "fine"},
        {**candidate("pong", "STOP"), "responseId": 7},
    ],
)
def test_answer_of_another_form_is_an_error(answer):
    """An answer in another form than the documented one is an invalid reply."""
    with pytest.raises(InvalidReplyError):
        read(answer)


def test_only_the_first_candidate_is_the_answer():
    """Candidates with other indices are ignored, in any order."""
    (first,), (other,) = candidate("pong", "STOP")["candidates"], candidate("other", "SAFETY")["candidates"]
    assert read({"candidates": [{**other, "index": 1}, first]}).text == "pong"
    unnumbered = [{name: each[name] for name in each if name != "index"} for each in (first, other)]
    assert read({"candidates": unnumbered}).text == "pong"
    reader = ReplyReader(REQUEST, SENT)
    texts = [reader.add({"candidates": [each]}).text for each in (first, {**other, "index": 1})]
    assert texts == ["pong", ""]


def test_calls_have_unique_ids():
    """Each call of a stream has a unique id, whether the service gives ids or not."""
    for response_id in ("response-1", ""):
        reader = ReplyReader(REQUEST, SENT)
        named = {"functionCall": {**CALL["functionCall"], "id": "same"}}
        parts = [[CALL, named], [named, CALL], [{"functionCall": {"name": "who", "id": 7, "args": None}}]]
        for each in parts:
            reader.add({**candidate(parts=each), "responseId": response_id})
        reader.add(candidate(finish="STOP"))
        ids = [call.id for call in reader.build_last_chunk().tool_calls]
        assert len(set(ids)) == len(ids) == 5
        assert all(ids)


def test_arguments_may_be_the_text_of_an_object():
    """Some gateways send arguments as text."""
    call = {"functionCall": {"name": "who", "args": '{"day": "Saturday"}'}}
    assert read(candidate(parts=[call], finish="STOP")).tool_calls[0].arguments == '{"day":"Saturday"}'


def test_character_in_two_responses_is_joined():
    """Surrogates in two responses are joined, and a lone one is replaced."""
    reader = ReplyReader(REQUEST, SENT)
    texts = [reader.add(candidate(text)).text for text in ("a\ud83d", "\ude00b", "c\ud83d")]
    reader.add(candidate("", "STOP"))
    assert [*texts, reader.build_last_chunk().text] == ["a", "\U0001f600b", "c", "\ufffd"]
    assert read(candidate("a\ud83d", "STOP")).text == "a\ufffd"


@pytest.mark.parametrize("text", ['{"day": 7}', "pong", '{"day": "Sat'])
def test_answer_that_violates_its_schema_is_due_to_the_request(text):
    """An answer that violates its schema is an invalid reply with ``due_to_request``."""
    schema = {"type": "object", "properties": {"day": {"type": "string"}}}
    assert read(candidate('{"day": "Saturday"}', "STOP"), json_schema=schema).text
    with pytest.raises(InvalidReplyError) as caught:
        read(candidate(text, "STOP"), json_schema=schema)
    assert caught.value.due_to_request


def test_chunks_add_up():
    """Chunks have the text; the last one has the tool calls and the finish reason."""
    reader = ReplyReader(REQUEST, SENT)
    first = reader.add(candidate("po"))
    second = reader.add(candidate(parts=[{"text": "ng"}, CALL]))
    third = reader.add(candidate("", "STOP", usage=USAGE))
    last = reader.build_last_chunk()
    assert [each.text for each in (first, second, third, last)] == ["po", "ng", "", ""]
    assert [each.finish_reason for each in (first, second, third)] == [None] * 3
    (call,) = last.tool_calls
    assert (call.name, call.arguments) == ("who", '{"day":"Saturday","count":7}')
    assert (last.finish_reason, last.usage) == (FinishReason.TOOL_CALL, third.usage)


def test_response_that_only_counts_does_not_end_the_stream():
    """A response with token counts and without a candidate does not end the stream."""
    reader = ReplyReader(REQUEST, SENT)
    assert reader.add({"usageMetadata": USAGE}).usage is not None
    with pytest.raises(InvalidReplyError, match="cut"):
        reader.build_last_chunk()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["STOP", "SAFETY"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "candidates",
                        "content",
                        "parts",
                        "text",
                        "finishReason",
                        "usageMetadata",
                        "functionCall",
                        "args",
                        "name",
                        "promptFeedback",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
    ).filter(lambda value: isinstance(value, dict))
)
def test_any_json_is_a_reply_or_a_typed_error(response):
    """Any JSON object becomes a reply or a `ProviderError`."""
    try:
        made = read(response)
    except ProviderError:
        return
    assert made.text or made.tool_calls


def test_call_id_of_the_service_is_not_repeated():
    """A generated id differs from all ids that the service gives."""
    named = {"functionCall": {**CALL["functionCall"], "id": "response-1-1"}}
    made = read(candidate(parts=[named, CALL], finish="STOP"))
    assert len({call.id for call in made.tool_calls}) == 2


@pytest.mark.parametrize("counted", [{"promptTokenCount": "3", "totalTokenCount": -1}, {"promptTokenCount": 3.5}])
def test_invalid_counts_count_nothing(counted):
    """Counts that are not integers are ignored."""
    assert read_usage({"usageMetadata": counted}) == Usage(input_tokens=0, output_tokens=0)
