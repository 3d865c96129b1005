"""Calls: what is sent, what comes back, and how it falls back."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from kickai_providers_core import (
    ChainExhaustedError,
    DeadlineExceededError,
    FinishReason,
    RejectedRequestError,
    Reply,
    ToolCall,
    Usage,
)
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage


@pytest.fixture(params=["invoke", "ainvoke"])
def invoke(request: pytest.FixtureRequest) -> Any:
    """Call a model, blocking and on an event loop."""

    def run(model: Any, *arguments: Any, **keywords: Any) -> Any:
        if request.param == "invoke":
            return model.invoke(*arguments, **keywords)
        return asyncio.run(model.ainvoke(*arguments, **keywords))

    return run


def test_the_answer_says_who_gave_it(vendors, invoke):
    """A fallback is visible in the message."""
    made = vendors("Ada and Bo", script=("unavailable",))
    message = invoke(made.chat(), "Who can play?")
    assert (message.text, made.models) == ("Ada and Bo", ["first", "second"])
    assert message.response_metadata == {
        "model_name": "second",
        "model_provider": "kickai",
        "provider": "mock",
        "finish_reason": "stop",
        "request_id": "second-0",
        "fell_back": True,
        "attempts": 2,
    }
    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}


def test_usage_has_its_details(vendors, invoke):
    """Cached and reasoning tokens have LangChain's names, and callbacks add them up by model."""
    usage = Usage(input_tokens=10, output_tokens=6, cached_tokens=4, reasoning_tokens=2)
    made = vendors(lambda _request: Reply(text="Ada", finish_reason=FinishReason.STOP, usage=usage, model="big"))
    counted = UsageMetadataCallbackHandler()
    message = invoke(made.chat(), "Who?", {"callbacks": [counted]})
    assert counted.usage_metadata == {"big": message.usage_metadata}
    assert message.usage_metadata == {
        "input_tokens": 10,
        "output_tokens": 6,
        "total_tokens": 16,
        "input_token_details": {"cache_read": 4},
        "output_token_details": {"reasoning": 2},
    }


def test_reasoning_is_a_block_of_its_own(vendors, invoke):
    """It is not part of the text, and it is not sent back to the model."""
    made = vendors(lambda _request: Reply(text="Ada", finish_reason=FinishReason.STOP, reasoning="Who is free?"))
    message = invoke(made.chat(), "Who?")
    assert message.text == "Ada"
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    invoke(made.chat(output_version="v1"), [HumanMessage("Who?"), message, HumanMessage("And who else?")])
    assert [each.content for each in made.request.messages] == ["Who?", "Ada", "And who else?"]
    rich = invoke(made.chat(output_version="v1"), "Who?")
    invoke(made.chat(), [HumanMessage("Who?"), rich, HumanMessage("And who else?")])
    assert [each.content for each in made.request.messages] == ["Who?", "Ada", "And who else?"]


def test_fields_and_keywords_override_the_role(vendors, invoke):
    """A keyword of the call overrides a field of the model, and that the role's value."""
    made = vendors()
    invoke(made.chat(max_tokens=9, stop=["END"]), "Who?", temperature=0.7, top_p=0.5, seed=3)
    request = made.request
    assert (request.temperature, request.max_tokens, request.stop) == (0.7, 9, ("END",))
    assert (request.top_p, request.seed) == (0.5, 3)
    invoke(made.chat(temperature=0.3), "Who?", stop=["."])
    request = made.request
    assert (request.temperature, request.max_tokens, request.stop) == (0.3, 500, (".",))


def test_messages_are_converted_exactly(vendors, invoke):
    """Text, images, tool calls and their results."""
    made = vendors()
    call = {"name": "find_players", "args": {"day": "Saturday"}, "id": "1", "type": "tool_call"}
    pixels = [{"type": "text", "text": "Who is this?"}, {"type": "image", "base64": "aGk=", "mime_type": "image/png"}]
    address = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    history = [
        SystemMessage("Be brief."),
        HumanMessage(pixels),
        HumanMessage(address),
        AIMessage("Let me see.", tool_calls=[call], name="agent"),
        ToolMessage("Ada", tool_call_id="1", name="find_players"),
        HumanMessage("And who else?", name="bo"),
    ]
    invoke(made.chat(), history)
    system, first, second, assistant, result, last = made.request.messages
    assert (system.role, system.content) == ("system", "Be brief.")
    assert (first.content, first.images[0].data, first.images[0].media_type) == ("Who is this?", b"hi", "image/png")
    assert second.images[0].url == "https://example.org/a.png"
    assert assistant.tool_calls == (ToolCall(id="1", name="find_players", arguments='{"day": "Saturday"}'),)
    assert (result.role, result.content, result.tool_call_id) == ("tool", "Ada", "1")
    assert last.content == "bo: And who else?"


@pytest.mark.parametrize(
    "content",
    [
        "Who?",
        ["Who?"],
        [{"type": "image", "url": "https://example.org/a.png"}, {"type": "text", "text": "Who?"}],
        [{"type": "text", "text": "Who?"}, {"type": "image", "url": "https://example.org/a.png"}],
    ],
)
def test_a_users_name_begins_the_text(vendors, content):
    """Not every vendor takes names."""
    made = vendors()
    made.chat().invoke([HumanMessage(content, name="ada")])
    assert made.request.messages[0].content == "ada: Who?"


def test_a_users_name_is_the_text_of_an_image(vendors):
    """If the message has no other text."""
    made = vendors()
    made.chat().invoke([HumanMessage([{"type": "image", "url": "https://example.org/a.png"}], name="ada")])
    assert made.request.messages[0].content == "ada: "


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (HumanMessage([{"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"}]), r"messages\[1\].*audio"),
        (HumanMessage([{"type": "text", "text": "secret", "cache_control": {"type": "ephemeral"}}]), "cache_control"),
        (SystemMessage("secret", name="example"), r"messages\[1\]\.name must be absent"),
    ],
)
def test_what_cannot_be_sent_is_refused(vendors, invoke, message, words):
    """The error says which message and why, and quotes nothing of it. Nothing is sent."""
    made = vendors()
    with pytest.raises(ValueError, match=words) as raised:
        invoke(made.chat(), [HumanMessage("hi"), message])
    assert "secret" not in str(raised.value)
    assert made.calls == []


def test_an_unknown_keyword_is_refused(vendors, invoke):
    """It would have no effect."""
    with pytest.raises(TypeError, match=r"unknown keyword argument 'temprature' \(did you mean 'temperature'\?\)"):
        invoke(vendors().chat(), "hi", temprature=0.1)


@pytest.mark.parametrize(
    ("fault", "kind", "attempts"),
    [("unavailable", ChainExhaustedError, 2), ("content_filtered", RejectedRequestError, 1)],
)
def test_the_chains_error_reaches_the_caller(vendors, invoke, fault, kind, attempts):
    """Unchanged, with its trace, and callbacks see it too."""
    made, seen = vendors("never", script=(fault,), both=True), Recorder()
    with pytest.raises(kind) as raised:
        invoke(made.chat(), "hi", {"callbacks": [seen]})
    assert len(raised.value.trace.attempts) == attempts
    assert seen.errors == [raised.value]


def test_the_timeout_is_for_all_attempts(vendors, invoke):
    """It is the deadline of the walk."""
    made = vendors("late", latency_s=60.0)
    with pytest.raises(DeadlineExceededError):
        invoke(made.chat(timeout=0.2), "hi")
    with pytest.raises(DeadlineExceededError):
        invoke(made.chat(), "hi", timeout=0.2)


def test_a_batch_has_an_answer_for_each_prompt(vendors):
    """In their order, with the errors where LangChain puts them."""

    def answer(request: Any) -> str:
        text = request.messages[-1].content
        if text == "2":
            raise RejectedRequestError("no")
        return f"{text}!"

    model = vendors(answer).chat()
    done = model.batch(["1", "2", "3"], return_exceptions=True)
    assert [getattr(each, "text", type(each)) for each in done] == ["1!", RejectedRequestError, "3!"]
    done = asyncio.run(model.abatch(["1", "2", "3"], return_exceptions=True))
    assert [getattr(each, "text", type(each)) for each in done] == ["1!", RejectedRequestError, "3!"]


def test_async_calls_use_no_thread(vendors):
    """The vendor is called on the event loop."""
    threads: list[threading.Thread] = []

    def answer(_request: Any) -> str:
        threads.append(threading.current_thread())
        return "ready"

    made = vendors(answer)
    asyncio.run(made.chat().ainvoke("hi"))
    assert threads == [threading.current_thread()]
    assert made.calls[0].mode == "ainvoke"


async def test_cancelling_ends_the_call(vendors):
    """The attempt is cancelled, and no other target is called."""
    began = asyncio.Event()

    class Calls(list[Any]):
        def append(self, call: Any) -> None:
            super().append(call)
            began.set()

    made = vendors("late", latency_s=600.0, calls=Calls())
    task = asyncio.create_task(made.chat().ainvoke("hi"))
    await asyncio.wait_for(began.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 60)
    assert made.models == ["first"]


class Recorder(BaseCallbackHandler):
    """Records tokens and errors."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.errors: list[BaseException] = []

    def on_llm_new_token(self, token: Any, **_fields: Any) -> None:
        """Record a token."""
        self.tokens.append(token)

    def on_llm_error(self, error: BaseException, **_fields: Any) -> None:
        """Record an error."""
        self.errors.append(error)


def test_streaming_calls_pass_tokens_to_callbacks(vendors, invoke):
    """``streaming=True`` streams within `invoke`."""
    made, seen = vendors("Ada and Bo"), Recorder()
    message = invoke(made.chat(streaming=True), "Who?", {"callbacks": [seen]})
    assert "".join(seen.tokens) == message.text == "Ada and Bo"
    assert len(seen.tokens) > 2
    assert message.response_metadata["model_name"] == "first"
