"""What the service's JSON becomes."""

from __future__ import annotations

import json

import pytest
from gemini_service import USAGE, candidate
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core.errors import ContentFilteredError, InvalidReplyError, ProviderError
from kickai_providers_core.messages import FinishReason, ToolCall, Usage

from kickai_gemini.mapping import Asked
from kickai_gemini.replies import Gathering, reply, usage

ASKED = Asked(model="asked-model", body={}, omitted=("temperature",), max_tokens=64)
CALL = {"functionCall": {"name": "who", "args": {"day": "Saturday", "count": 7}}}


def test_a_whole_answer_becomes_a_reply():
    """Text, finish reason, tokens, the model that answered, the response's id, and what was left out."""
    made = reply(candidate("pong", "STOP", model="gemini-3.8-flash", usage=USAGE), ASKED)
    assert (made.text, made.finish_reason, made.model) == ("pong", FinishReason.STOP, "gemini-3.8-flash")
    assert made.usage == Usage(input_tokens=3, output_tokens=7, reasoning_tokens=2)
    assert (made.request_id, made.omitted) == ("response-1", ("temperature",))


def test_the_model_asked_is_named_when_the_service_names_none():
    """A reply always names a model."""
    assert reply(candidate("pong", "STOP", model=""), ASKED).model == "asked-model"


def test_thoughts_are_not_part_of_the_answer():
    """Parts that are thoughts are passed over."""
    parts = [{"text": "Hm.", "thought": True}, {"text": "po"}, {"text": "ng"}]
    assert reply(candidate(parts=parts, finish="STOP"), ASKED).text == "pong"


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (USAGE, Usage(input_tokens=3, output_tokens=7, reasoning_tokens=2)),
        # Without the field for thoughts, as the old client has it: the total tells.
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
    """What is billed as output is output, whichever client dropped whichever field."""
    assert usage({"usageMetadata": counted}) == expected


def test_tool_calls_come_with_arguments_in_json():
    """Each call has a name, a JSON object, and an id that no other call of the answer has."""
    made = reply(candidate(parts=[{"text": "I look."}, CALL, CALL], finish="STOP"), ASKED)
    assert made.finish_reason is FinishReason.TOOL_CALL
    assert [call.id for call in made.tool_calls] == ["response-1-0", "response-1-1"]
    assert json.loads(made.tool_calls[0].arguments) == {"day": "Saturday", "count": 7}


def test_the_service_s_own_id_of_a_call_is_kept():
    """Gemini 3 names its calls."""
    named = {"functionCall": {**CALL["functionCall"], "id": "abc"}}
    assert reply(candidate(parts=[named], finish="STOP"), ASKED).tool_calls[0].id == "abc"


def test_an_answer_cut_by_its_limit_is_an_answer():
    """Text that ran into the token limit is told as such."""
    assert reply(candidate("po", "MAX_TOKENS"), ASKED).finish_reason is FinishReason.LENGTH


def test_thinking_that_used_all_tokens_is_told():
    """An answer that is empty because thinking took every token says so, and what to do."""
    counted = {"promptTokenCount": 3, "thoughtsTokenCount": 60, "totalTokenCount": 63}
    with pytest.raises(InvalidReplyError, match=r"thinking used all 60 tokens of max_tokens = 64; raise max_tokens"):
        reply(candidate("", "MAX_TOKENS", usage=counted), ASKED)


@pytest.mark.parametrize("feedback", [{"blockReason": "SAFETY"}, {"blockReason": "BRAND_NEW"}, {}])
def test_a_refused_prompt_is_content_filtered(feedback):
    """A prompt that the service refuses is a refusal, with its reason, also when the client lost the word for it."""
    with pytest.raises(ContentFilteredError) as caught:
        reply({"promptFeedback": feedback}, ASKED)
    assert caught.value.reason == feedback.get("blockReason", "BLOCK_REASON_UNSPECIFIED")


def test_a_stream_s_chunks_add_up():
    """Text comes as it is, calls whole, and the last chunk says why the model stopped."""
    gathering = Gathering(ASKED)
    first = gathering.add(candidate("po"))
    second = gathering.add(candidate(parts=[{"text": "ng"}, CALL]))
    last = gathering.add(candidate("", "STOP", usage=USAGE))
    assert [first.text, second.text, last.text] == ["po", "ng", ""]
    assert second.tool_calls == (ToolCall(id="response-1-0", name="who", arguments='{"day": "Saturday", "count": 7}'),)
    assert [first.finish_reason, second.finish_reason, last.finish_reason] == [None, None, FinishReason.TOOL_CALL]
    assert gathering.whole() is FinishReason.TOOL_CALL


def test_a_chunk_that_only_counts_is_no_end():
    """A chunk with tokens and no candidate is passed on."""
    gathering = Gathering(ASKED)
    assert gathering.add({"usageMetadata": USAGE}).usage is not None
    with pytest.raises(InvalidReplyError, match="cut"):
        gathering.whole()


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
    """However odd the service's answer is, nothing but a reply or a `ProviderError` comes of it."""
    try:
        made = reply(response, ASKED)
    except ProviderError:
        return
    assert made.text or made.tool_calls
