"""Answers of the real runtime and the real small model: their form, not their quality."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from attrs import evolve
from kickai_providers_core import (
    ContextLengthExceededError,
    FinishReason,
    Image,
    Message,
    ModelNotFoundError,
    ProviderTimeoutError,
    Tool,
    ToolCall,
    UnsupportedRequestError,
)

from kickai_local.settings import LocalSettings

pytestmark = pytest.mark.llama

MODES = ["invoke", "ainvoke", "stream", "astream"]
ECHO = "Repeat exactly: KICKAI-42"
STORY = "Tell a very long story about a football club."
SLACK_S = 1.25
"""How much later than its timeout a call may end here, on a busy machine; the limit is 0.25 s elsewhere."""

SOON_S = 5.0
"""Seconds within which an idle model must answer; it takes a tenth of that."""


@pytest.mark.parametrize("mode", MODES)
def test_the_model_repeats_a_text(call, provider, asking, mode):
    """Each mode returns the text, the finish reason, the tokens and the name of the model."""
    answer = call(mode, provider, asking(ECHO))
    assert "".join(part.text for part in answer) == "KICKAI-42"
    assert answer[-1].finish_reason is FinishReason.STOP
    assert answer[-1].usage.input_tokens > 10
    assert 4 <= answer[-1].usage.output_tokens <= 16
    assert answer[-1].model == "SmolLM2-135M-Instruct.Q4_1"
    assert answer[-1].request_id


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_a_stream_comes_in_pieces(call, provider, asking, mode):
    """A stream yields each piece as it arrives, and only its last chunk has a finish reason."""
    chunks = call(mode, provider, asking(STORY, max_tokens=12))
    assert len([chunk for chunk in chunks if chunk.text]) > 6
    assert [chunk.finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + [FinishReason.LENGTH]
    whole = call("invoke", provider, asking(STORY, max_tokens=12))[0]
    assert "".join(chunk.text for chunk in chunks) == whole.text


def test_a_stream_arrives_while_it_is_written(hook, provider, asking):
    """The first piece is there long before the last one."""
    began = time.monotonic()
    chunks = hook.kickai_stream_provider(provider=provider, request=asking(STORY, max_tokens=60), timeout_s=60.0)
    times = [time.monotonic() - began for _ in chunks]
    assert times[0] < times[-1] / 2


@pytest.mark.parametrize("mode", MODES)
def test_the_token_limit_holds(call, provider, asking, mode):
    """An answer that reached its token limit has that many tokens, and says so."""
    last = call(mode, provider, asking(STORY, max_tokens=5))[-1]
    assert (last.finish_reason, last.usage.output_tokens) == (FinishReason.LENGTH, 5)


@pytest.mark.slow
@pytest.mark.parametrize("wish", [None, 500])
@pytest.mark.parametrize("mode", MODES)
def test_no_answer_is_longer_than_the_settings_say(call, few, asking, mode, wish):
    """The settings limit every answer, and a reply to a request for more names max_tokens as omitted."""
    last = call(mode, few, asking(STORY, max_tokens=wish))[-1]
    assert (last.finish_reason, last.usage.output_tokens) == (FinishReason.LENGTH, 7)
    assert last.omitted == (("max_tokens",) if wish else ())


@pytest.fixture(scope="module")
def few(hook):
    """Return a provider that answers with seven tokens at most."""
    provider = hook.kickai_create_provider(settings=LocalSettings(context_window=256, max_tokens=7))
    yield provider
    hook.kickai_close_provider(provider=provider)


def test_stop_texts_end_the_answer(call, provider, asking):
    """The answer ends before a stop text, and the model has then stopped."""
    reply = call("invoke", provider, asking(ECHO, stop=("-", "never")))[0]
    assert (reply.text, reply.finish_reason) == ("KICKAI", FinishReason.STOP)


@pytest.mark.slow
def test_a_seed_repeats_the_answer(call, provider, asking):
    """The same seed gives the same answer, whatever was requested in between, and another seed another answer."""
    texts = []
    for seed in (1, 2, 1):
        texts.append(call("invoke", provider, asking(STORY, max_tokens=24, seed=seed, temperature=1.0))[0].text)
        call("invoke", provider, asking(ECHO, max_tokens=2))
    assert texts[0] == texts[2]
    assert texts[0] != texts[1]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_schema_binds_the_answer(call, provider, asking, mode):
    """With a JSON schema the answer is JSON of that form, whatever the model would have said."""
    schema = {
        "type": "object",
        "properties": {
            "player": {"enum": ["Ann", "Bob"], "default": None},
            "available": {"type": "boolean"},
            "shirt": {"type": "integer", "minimum": 1, "maximum": 99},
        },
        "required": ["player", "available", "shirt"],
        "additionalProperties": False,
    }
    parts = call(mode, provider, asking("Who can play on Saturday?", json_schema=schema, max_tokens=80))
    answer = json.loads("".join(part.text for part in parts))
    assert set(answer) == {"player", "available", "shirt"}
    assert answer["player"] in {"Ann", "Bob"}
    assert isinstance(answer["available"], bool)
    assert 1 <= answer["shirt"] <= 99


def test_an_invalid_schema_is_refused(call, provider, asking):
    """A schema that the runtime cannot enforce is refused; no answer ignores it."""
    with pytest.raises(UnsupportedRequestError, match="JSON schema"):
        call("invoke", provider, asking("hi", json_schema={"type": "nonsense"}))


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_that_is_too_long_is_refused(call, provider, asking, mode):
    """A prompt that does not fit the window is refused with the window's size, and none of its text."""
    with pytest.raises(ContextLengthExceededError) as caught:
        call(mode, provider, asking("canary " * 1500))
    assert caught.value.limit_tokens == 1024
    assert "canary" not in str(caught.value)


@pytest.mark.slow
def test_an_answer_that_fills_the_window_is_told(call, created, asking):
    """An answer that the window cut short before its token limit does not pass for a whole one."""
    small = created(context_window=256)
    with pytest.raises(ContextLengthExceededError) as caught:
        call("invoke", small, asking("Count: " + "one two three " * 60, max_tokens=250, json_schema=ENDLESS))
    assert caught.value.limit_tokens == 256


ENDLESS = {"type": "array", "items": {"enum": ["one", "two"]}, "minItems": 500}
"""A schema that no short answer satisfies."""


def test_conversations_of_any_shape_are_taken(call, provider, asking):
    """System, assistant and tool messages reach the model's chat template."""
    turns = (
        Message(role="system", content="You are brief."),
        Message(role="user", content="Who plays?"),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="players", arguments="{}"),)),
        Message(role="tool", content="Ann", tool_call_id="1"),
        Message(role="user", content="So?"),
    )
    assert call("invoke", provider, evolve(asking("x"), messages=turns))[0].text


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": (Tool(name="players"),)},
        {"messages": (Message(role="user", content="x", images=(Image(media_type="image/png", data=b"x"),)),)},
    ],
    ids=["tools", "images"],
)
def test_what_it_cannot_do_is_refused(call, provider, asking, fields):
    """Tools and images are refused rather than left out."""
    with pytest.raises(UnsupportedRequestError):
        call("invoke", provider, evolve(asking("x"), **fields))


def test_another_model_is_not_found(call, provider, asking):
    """An instance serves one model."""
    assert call("invoke", provider, asking(ECHO, model="SmolLM2-135M-Instruct.Q4_1"))[0].text
    with pytest.raises(ModelNotFoundError, match=r"SmolLM2-135M-Instruct\.Q4_1"):
        call("invoke", provider, asking(ECHO, model="another"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_timeouts_hold_while_the_model_writes(call, provider, asking, mode):
    """A call ends at its timeout, and the model is free again at once."""
    began = time.monotonic()
    with pytest.raises(ProviderTimeoutError) as caught:
        call(mode, provider, asking(STORY, max_tokens=900, json_schema=ENDLESS), timeout_s=1.0)
    assert caught.value.phase == "total"
    assert time.monotonic() - began < 1.0 + SLACK_S
    _is_free(call, provider, asking)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["invoke", "astream"])
def test_timeouts_hold_while_the_model_reads(call, provider, asking, mode):
    """A call whose long prompt is still being read ends at its timeout, and the model is free again soon."""
    long = asking("Count: " + " ".join(str(n) for n in range(120)), seed=int(time.monotonic()))
    began = time.monotonic()
    with pytest.raises(ProviderTimeoutError):
        call(mode, provider, long, timeout_s=0.3)
    assert time.monotonic() - began < 0.3 + SLACK_S
    _is_free(call, provider, asking)


async def test_cancelling_stops_the_model(hook, provider, asking, call):
    """A cancelled call stops the model's work, and the next call is answered at once."""
    busy = asking(STORY, max_tokens=900, json_schema=ENDLESS)
    task = asyncio.create_task(hook.kickai_ainvoke_provider(provider=provider, request=busy, timeout_s=60.0))
    await asyncio.sleep(0.7)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(_is_free, call, provider, asking)


def test_an_abandoned_stream_stops_the_model(hook, provider, asking, call):
    """A stream that is closed half-way stops the model's work, and the next call is answered at once."""
    busy = asking(STORY, max_tokens=900, json_schema=ENDLESS)
    with closing(hook.kickai_stream_provider(provider=provider, request=busy, timeout_s=60.0)) as chunks:
        assert next(chunks).text
    _is_free(call, provider, asking)


async def test_an_abandoned_async_stream_stops_the_model(hook, provider, asking, call):
    """An async stream that is closed half-way stops the model's work, and the next call is answered at once."""
    busy = asking(STORY, max_tokens=900, json_schema=ENDLESS)
    chunks = hook.kickai_astream_provider(provider=provider, request=busy, timeout_s=60.0)
    assert (await anext(chunks)).text
    await chunks.aclose()
    await asyncio.to_thread(_is_free, call, provider, asking)


@pytest.mark.slow
def test_many_threads_and_loops_share_it(call, provider, asking):
    """Calls from several threads, and from an event loop in each, wait their turn and are all answered."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda mode: call(mode, provider, asking(ECHO)), MODES * 2))
    assert ["".join(part.text for part in answer) for answer in answers] == ["KICKAI-42"] * 8


@pytest.mark.slow
def test_instances_are_apart(call, created, provider, asking):
    """Closing one instance leaves another of the same model alone."""
    other = created(context_window=256)
    assert call("invoke", other, asking(ECHO))[0].text
    other.close()
    assert call("invoke", provider, asking(ECHO))[0].text


@pytest.mark.slow
def test_loading_counts_as_connecting(created, call, asking):
    """A call that waits too long for loading fails in the phase connect, and loading goes on for the next call."""
    hasty = created(connect_timeout_s=0.01)
    with pytest.raises(ProviderTimeoutError) as caught:
        call("invoke", hasty, asking(ECHO))
    assert caught.value.phase == "connect"
    ends = time.monotonic() + 30.0
    while True:
        try:
            assert call("invoke", hasty, asking(ECHO))[0].text
        except ProviderTimeoutError:
            assert time.monotonic() < ends
        else:
            break


@pytest.mark.slow
def test_a_late_first_token_is_a_timeout(created, call, asking):
    """The limit for the first token is for streams; a whole answer has none."""
    hasty = created(context_window=1024, first_token_timeout_s=0.5)
    call("invoke", hasty, asking(ECHO))
    long = asking("Count: " + " ".join(str(n) for n in range(120)), max_tokens=1)
    with pytest.raises(ProviderTimeoutError) as caught:
        call("stream", hasty, long)
    assert caught.value.phase == "first_token"
    assert call("invoke", hasty, long)[0].usage.output_tokens == 1


def _is_free(call, provider, asking):
    began = time.monotonic()
    assert call("invoke", provider, asking(ECHO))[0].text == "KICKAI-42"
    assert time.monotonic() - began < SOON_S
