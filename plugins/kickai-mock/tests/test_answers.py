"""What the mock answers, in each of the four modes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import (
    ContentFilteredError,
    FinishReason,
    Image,
    Message,
    Reply,
    Tool,
    UnsupportedRequestError,
    Usage,
)

from kickai_mock.answers import split_reply, split_words

LINE_UP = Tool(
    name="line_up",
    parameters={
        "type": "object",
        "properties": {"players": {"type": "integer", "minimum": 7}},
        "required": ["players"],
    },
)
NOTES = Tool(name="take_notes")


def test_reasoning_is_streamed_before_the_text():
    """Each word of it is a chunk without text."""
    reply = Reply(text="Ann can.", finish_reason="stop", reasoning="Two forwards.")
    chunks = [(chunk.reasoning, chunk.text) for chunk in split_reply(reply)]
    assert chunks == [("Two ", ""), ("forwards.", ""), ("", "Ann "), ("", "can."), ("", "")]


def test_a_call_can_state_its_reply(mode, make, outcome):
    """The option of one call outranks the setting."""
    assert outcome(mode, make(reply="usual"), options={"mock": {"reply": "Ann."}}).text == "Ann."


def test_it_echoes_the_last_message_of_the_user(mode, make, outcome):
    """Without a reply the mock returns the user's last message."""
    prompt = [
        {"role": "system", "content": "You are a coach."},
        {"role": "user", "content": "first"},
        {"role": "user", "content": "Who can play?"},
        {"role": "assistant", "content": "Eleven."},
    ]

    assert outcome(mode, make(), prompt).text == "Who can play?"


def test_an_echo_of_nothing_is_not_empty(mode, make, outcome):
    """An empty answer would count as a failure."""
    assert outcome(mode, make(), [{"role": "system", "content": "Be brief."}]).text == "(nothing was said)"
    assert outcome(mode, make(), "").text == "(nothing was said)"


def test_a_reply_is_always_the_same(mode, make, outcome):
    """A fixed reply answers every call."""
    mock = make(reply="pong")

    assert [outcome(mode, mock).text for _ in range(3)] == ["pong"] * 3


def test_a_cycle_starts_over(mode, make, outcome):
    """Each call gets the next text, and the first one again after the last."""
    mock = make(cycle=("goal", "miss"))

    assert [outcome(mode, mock).text for _ in range(5)] == ["goal", "miss", "goal", "miss", "goal"]


def test_each_model_has_its_own_cycle(mode, make, outcome):
    """The calls of one model do not advance the cycle of another."""
    mock = make(cycle=("goal", "miss"))

    assert [outcome(mode, mock, model=model).text for model in "abba"] == ["goal", "goal", "miss", "miss"]


def test_a_seed_selects_the_same_text_each_time(mode, make, outcome):
    """Requests with the same seed get the same answer, at any point of the cycle."""
    mock = make(cycle=("goal", "miss", "post"))

    assert {outcome(mode, mock, seed=5).text for _ in range(4)} == {"post"}


def test_a_computed_answer_sees_the_request(mode, make, outcome):
    """A function in code takes precedence over a fixed reply."""
    mock = make(reply="pong", answer=lambda request: f"{len(request.messages)} at {request.temperature}")

    assert outcome(mode, mock, temperature=0.3).text == "1 at 0.3"


def test_a_computed_reply_is_returned_unchanged(mode, make, outcome):
    """A function may return a whole reply, with any finish reason and usage."""
    given = Reply(
        text="two words",
        finish_reason=FinishReason.LENGTH,
        usage=Usage(input_tokens=9, output_tokens=8),
        model="tiny",
        request_id="r-1",
        omitted=("temperature",),
    )

    last = outcome(mode, make(answer=lambda _request: given)).last

    for field in ("finish_reason", "usage", "model", "request_id", "omitted"):
        assert getattr(last, field) == getattr(given, field)


def test_a_call_raises_what_its_function_raises(mode, make, outcome):
    """A function may decide that the call fails."""

    def refuse(_request):
        raise ContentFilteredError("not in this house", reason="SAFETY")

    ended = outcome(mode, make(answer=refuse))

    assert isinstance(ended.error, ContentFilteredError)
    assert ended.error.reason == "SAFETY"


def test_usage_counts_words(mode, make, outcome):
    """A token is a word, an image counts as one token, and the whole conversation is input."""
    image = Image(media_type="image/png", data=b"x")
    prompt = [Message(role="system", content="Be  brief."), Message(role="user", content="Who?\n", images=(image,))]

    last = outcome(mode, make(reply=" eleven good\tplayers "), prompt).last

    assert last.usage == Usage(input_tokens=4, output_tokens=3)
    assert last.finish_reason is FinishReason.STOP


def test_a_reply_names_its_model_and_the_number_of_the_call(mode, make, outcome):
    """The model is that of the request, the instance, or ``mock``; the request id contains the number of the call."""
    mock = make(model="own")

    assert [
        (last.model, last.request_id) for last in (outcome(mode, mock, model="a").last, outcome(mode, mock).last)
    ] == [
        ("a", "a-0"),
        ("own", "own-0"),
    ]
    assert outcome(mode, make()).last.model == "mock"


def test_the_token_limit_cuts_the_answer(mode, make, outcome):
    """An answer with too many words is cut, with the finish reason ``length``."""
    ended = outcome(mode, make(reply="one two three four"), max_tokens=2)

    assert ended.text == "one two"
    assert ended.last.finish_reason is FinishReason.LENGTH
    assert ended.last.usage.output_tokens == 2
    assert outcome(mode, make(reply="one two"), max_tokens=2).last.finish_reason is FinishReason.STOP


def test_stop_texts_end_the_answer(mode, make, outcome):
    """The answer ends before the first stop text."""
    ended = outcome(mode, make(reply="one, two; three"), stop=(";", ","))

    assert ended.text == "one"
    assert ended.last.finish_reason is FinishReason.STOP


def test_a_json_schema_gets_json_that_it_allows(mode, make, outcome):
    """Without a reply the mock builds a value; a fixed reply is returned unchanged."""
    schema = LINE_UP.parameters

    assert json.loads(outcome(mode, make(), json_schema=schema).text) == {"players": 7}
    assert outcome(mode, make(reply='{"players": 11}'), json_schema=schema).text == '{"players": 11}'


def test_a_json_schema_that_the_mock_cannot_follow_is_unsupported(mode, make, outcome):
    """The mock raises an error that names the keyword, so that the next target is called."""
    error = outcome(mode, make(), json_schema={"type": "string", "pattern": "^a$"}).error

    assert isinstance(error, UnsupportedRequestError)
    assert "violates pattern): give it a reply" in str(error)


@pytest.mark.parametrize(
    ("choice", "called"),
    [("required", "line_up"), ("take_notes", "take_notes"), ("auto", None), ("none", None), (None, None)],
)
def test_it_calls_a_tool_when_the_request_requires_it(mode, make, outcome, choice, called):
    """A required tool is called with arguments that its schema allows; otherwise the mock answers with text."""
    last = outcome(mode, make(reply="pong"), tools=(LINE_UP, NOTES), tool_choice=choice).last

    assert [call.name for call in last.tool_calls] == ([called] if called else [])
    assert last.finish_reason is (FinishReason.TOOL_CALL if called else FinishReason.STOP)
    if called == "line_up":
        assert json.loads(last.tool_calls[0].arguments) == {"players": 7}


@pytest.mark.parametrize(
    ("entry", "called", "arguments"),
    [
        ("tool_call", "line_up", {"players": 7}),
        ("tool_call:take_notes", "take_notes", {}),
        ("tool_call:hallucinated", "hallucinated", {}),
    ],
)
def test_a_script_calls_a_tool(mode, make, outcome, entry, *, called, arguments):
    """A scripted call is made although the model may choose, even of a tool that the request does not offer."""
    mock = make(script=(entry,), answer=lambda _request: "pong")

    ended = outcome(mode, mock, tools=(LINE_UP, NOTES))

    assert ended.text == ""
    assert [(call.name, json.loads(call.arguments)) for call in ended.last.tool_calls] == [(called, arguments)]
    assert outcome(mode, mock, tools=(LINE_UP, NOTES)).text == "pong"


@pytest.mark.parametrize("entry", ["same_ids", "no_ids"])
def test_two_calls_with_ids_that_do_not_differ(mode, make, outcome, entry):
    """A provider may give two calls one id or none; the core gives every call an id of its own."""
    calls = outcome(mode, make(script=(entry,)), tools=(LINE_UP,)).last.tool_calls

    assert [call.name for call in calls] == ["line_up", "line_up"]
    if entry == "same_ids":
        assert calls[0].id == calls[1].id


def test_arguments_that_are_cut(mode, make, outcome):
    """A model may stop within the arguments of a call."""
    (call,) = outcome(mode, make(script=("cut_arguments",)), tools=(LINE_UP,)).last.tool_calls

    with pytest.raises(ValueError, match=r"."):
        json.loads(call.arguments)


def test_halves_of_a_character(mode, make, outcome):
    """A stream yields the two halves of a character in two pieces, and loses nothing."""
    ended = outcome(mode, make(reply="goal", script=("halves",)))

    assert ended.text.encode("utf-16", "surrogatepass").decode("utf-16") == "goal \N{GRINNING FACE}"
    if "stream" in mode:
        assert ended.pieces == ("goal ", "\ud83d", "\ude00")


def test_a_scripted_tool_call_without_any_tool_is_an_ordinary_answer(mode, make, outcome):
    """Without a tool to call the mock answers with text."""
    assert outcome(mode, make(reply="pong", script=("tool_call",))).text == "pong"


@given(st.text())
def test_the_pieces_of_a_text_make_up_the_text(text):
    """Nothing is lost between the pieces, and no piece has more than one word."""
    assert "".join(split_words(text)) == text
    assert all(len(piece.split()) <= 1 for piece in split_words(text))


def test_a_stream_has_a_chunk_for_each_word_and_a_last_one_with_the_finish_reason(make, outcome):
    """Usage, finish reason and request id come with the last chunk, the model with every chunk."""
    for mode in ("stream", "astream"):
        ended = outcome(mode, make(reply="one two  three"))

        assert ended.pieces == ("one ", "two  ", "three")
        assert (ended.last.text, ended.last.finish_reason) == ("", FinishReason.STOP)
        assert ended.last.usage == Usage(input_tokens=5, output_tokens=3)
