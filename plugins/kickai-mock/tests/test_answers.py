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

from kickai_mock.mapping import pieces

LINE_UP = Tool(
    name="line_up",
    parameters={
        "type": "object",
        "properties": {"players": {"type": "integer", "minimum": 7}},
        "required": ["players"],
    },
)
NOTES = Tool(name="take_notes")


def test_it_echoes_the_last_message_of_the_user(mode, make, tell):
    """Told nothing, the mock gives back what it was asked."""
    prompt = [
        {"role": "system", "content": "You are a coach."},
        {"role": "user", "content": "first"},
        {"role": "user", "content": "Who can play?"},
        {"role": "assistant", "content": "Eleven."},
    ]

    assert tell(mode, make(), prompt).text == "Who can play?"


def test_an_echo_of_nothing_is_not_empty(mode, make, tell):
    """An empty answer would count as a failure, which nobody asked for."""
    assert tell(mode, make(), [{"role": "system", "content": "Be brief."}]).text == "(nothing was said)"
    assert tell(mode, make(), "").text == "(nothing was said)"


def test_a_reply_is_always_the_same(mode, make, tell):
    """A fixed reply answers every call."""
    mock = make(reply="pong")

    assert [tell(mode, mock).text for _ in range(3)] == ["pong"] * 3


def test_a_cycle_goes_round(mode, make, tell):
    """Each call gets the next text, and the first again after the last."""
    mock = make(cycle=("goal", "miss"))

    assert [tell(mode, mock).text for _ in range(5)] == ["goal", "miss", "goal", "miss", "goal"]


def test_each_model_goes_its_own_round(mode, make, tell):
    """The calls of one model do not move the cycle of another."""
    mock = make(cycle=("goal", "miss"))

    assert [tell(mode, mock, model=model).text for model in "abba"] == ["goal", "goal", "miss", "miss"]


def test_a_seed_picks_the_same_text_each_time(mode, make, tell):
    """A request that asks for the same answer gets it, wherever the cycle stands."""
    mock = make(cycle=("goal", "miss", "post"))

    assert {tell(mode, mock, seed=5).text for _ in range(4)} == {"post"}


def test_a_computed_answer_sees_the_request(mode, make, tell):
    """A function given in code answers, before any fixed reply."""
    mock = make(reply="pong", answer=lambda request: f"{len(request.messages)} at {request.temperature}")

    assert tell(mode, mock, temperature=0.3).text == "1 at 0.3"


def test_a_computed_reply_is_handed_on_as_it_is(mode, make, tell):
    """A function may give the whole reply, with any finish reason and usage."""
    told = Reply(
        text="two words",
        finish_reason=FinishReason.LENGTH,
        usage=Usage(input_tokens=9, output_tokens=8),
        model="tiny",
        request_id="r-1",
        omitted=("temperature",),
    )

    last = tell(mode, make(answer=lambda _request: told)).last

    for field in ("finish_reason", "usage", "model", "request_id", "omitted"):
        assert getattr(last, field) == getattr(told, field)


def test_what_a_computed_answer_raises_is_what_the_call_raises(mode, make, tell):
    """A function may decide from the request that the call fails."""

    def refuse(_request):
        raise ContentFilteredError("not in this house", reason="SAFETY")

    ended = tell(mode, make(answer=refuse))

    assert isinstance(ended.error, ContentFilteredError)
    assert ended.error.reason == "SAFETY"


def test_usage_counts_the_words(mode, make, tell):
    """A token is a word, an image counts as one, and the whole conversation is input."""
    image = Image(media_type="image/png", data=b"x")
    prompt = [Message(role="system", content="Be  brief."), Message(role="user", content="Who?\n", images=(image,))]

    last = tell(mode, make(reply=" eleven good\tplayers "), prompt).last

    assert last.usage == Usage(input_tokens=4, output_tokens=3)
    assert last.finish_reason is FinishReason.STOP


def test_an_answer_says_which_model_gave_it_and_which_call_it_was(mode, make, tell):
    """The model is the request's, else the instance's own, else the mock's; the request id counts its calls."""
    mock = make(model="own")

    assert [(last.model, last.request_id) for last in (tell(mode, mock, model="a").last, tell(mode, mock).last)] == [
        ("a", "a-0"),
        ("own", "own-0"),
    ]
    assert tell(mode, make()).last.model == "mock"


def test_the_token_limit_cuts_the_answer_and_says_so(mode, make, tell):
    """An answer of more words than allowed ends after so many, with the finish reason ``length``."""
    ended = tell(mode, make(reply="one two three four"), max_tokens=2)

    assert ended.text == "one two"
    assert ended.last.finish_reason is FinishReason.LENGTH
    assert ended.last.usage.output_tokens == 2
    assert tell(mode, make(reply="one two"), max_tokens=2).last.finish_reason is FinishReason.STOP


def test_stop_texts_end_the_answer_without_being_part_of_it(mode, make, tell):
    """The stop text that comes first in the answer counts."""
    ended = tell(mode, make(reply="one, two; three"), stop=(";", ","))

    assert ended.text == "one"
    assert ended.last.finish_reason is FinishReason.STOP


def test_a_json_schema_gets_json_that_it_admits(mode, make, tell):
    """Without a reply of its own, the mock makes up a value; a fixed reply stays what it is."""
    schema = LINE_UP.parameters

    assert json.loads(tell(mode, make(), json_schema=schema).text) == {"players": 7}
    assert tell(mode, make(reply='{"players": 11}'), json_schema=schema).text == '{"players": 11}'


def test_a_json_schema_that_it_cannot_serve_is_one_that_another_target_may(mode, make, tell):
    """Rather than answer with something invalid, the mock says which keyword it does not follow."""
    error = tell(mode, make(), json_schema={"type": "string", "pattern": "^a$"}).error

    assert isinstance(error, UnsupportedRequestError)
    assert "the keyword 'pattern' is not followed; give it a reply" in str(error)


@pytest.mark.parametrize(
    ("choice", "called"),
    [("required", "line_up"), ("take_notes", "take_notes"), ("auto", None), ("none", None), (None, None)],
)
def test_it_calls_a_tool_when_the_request_insists(mode, make, tell, choice, called):
    """A tool that must be called is, with arguments that its schema admits; otherwise the mock prefers to talk."""
    last = tell(mode, make(reply="pong"), tools=(LINE_UP, NOTES), tool_choice=choice).last

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
def test_a_script_calls_a_tool(mode, make, tell, entry, *, called, arguments):
    """A scripted tool call is made although the model may choose, even of a tool that nobody offered."""
    mock = make(script=(entry,), answer=lambda _request: "pong")

    ended = tell(mode, mock, tools=(LINE_UP, NOTES))

    assert ended.text == ""
    assert [(call.name, json.loads(call.arguments)) for call in ended.last.tool_calls] == [(called, arguments)]
    assert tell(mode, mock, tools=(LINE_UP, NOTES)).text == "pong"


@pytest.mark.parametrize("entry", ["same_ids", "no_ids"])
def test_two_calls_whose_ids_do_not_tell_them_apart(mode, make, tell, entry):
    """A provider may name its calls badly; through a resolver every call has an id of its own."""
    calls = tell(mode, make(script=(entry,)), tools=(LINE_UP,)).last.tool_calls

    assert [call.name for call in calls] == ["line_up", "line_up"]
    if entry == "same_ids":
        assert calls[0].id == calls[1].id


def test_arguments_that_are_cut_off(mode, make, tell):
    """A model may be stopped while it writes the arguments of a call."""
    (call,) = tell(mode, make(script=("cut_arguments",)), tools=(LINE_UP,)).last.tool_calls

    with pytest.raises(ValueError, match=r"."):
        json.loads(call.arguments)


def test_halves_of_a_character(mode, make, tell):
    """A stream hands the two halves of a character out in two pieces, and nothing is lost."""
    ended = tell(mode, make(reply="goal", script=("halves",)))

    assert ended.text.encode("utf-16", "surrogatepass").decode("utf-16") == "goal \N{GRINNING FACE}"
    if "stream" in mode:
        assert ended.pieces == ("goal ", "\ud83d", "\ude00")


def test_a_scripted_tool_call_without_any_tool_is_an_ordinary_answer(mode, make, tell):
    """There is nothing to call, so the mock talks."""
    assert tell(mode, make(reply="pong", script=("tool_call",))).text == "pong"


@given(st.text())
def test_the_pieces_of_a_text_are_the_text(text):
    """Nothing is lost between the pieces, and none holds more than one word."""
    assert "".join(pieces(text)) == text
    assert all(len(piece.split()) <= 1 for piece in pieces(text))


def test_a_stream_has_a_chunk_for_each_word_and_a_last_one_that_says_why_it_ends(make, tell):
    """Usage, finish reason and request id come with the last chunk, the model with every one."""
    for mode in ("stream", "astream"):
        ended = tell(mode, make(reply="one two  three"))

        assert ended.pieces == ("one ", "two  ", "three")
        assert (ended.last.text, ended.last.finish_reason) == ("", FinishReason.STOP)
        assert ended.last.usage == Usage(input_tokens=5, output_tokens=3)
