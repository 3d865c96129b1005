"""Direct calls: what is sent, what comes back, and what CrewAI's hooks can do."""

from __future__ import annotations

import asyncio

import pytest
from crewai.events.types.llm_events import LLMCallFailedEvent
from crewai.hooks import HookAborted
from crewai.hooks.dispatch import InterceptionPoint, register_scoped, scoped_hooks
from crewai.llms.base_llm import call_stop_override
from kickai_providers_core import FinishReason, Reply


def test_a_call_returns_the_text_of_the_first_target(vendors, call):
    """The answer is the chain's, and the request has the role's temperature and token limit."""
    made = vendors("five")
    assert call(made.llm(), "How many?") == "five"
    (request,) = made.requests
    assert (request.messages[0].content, request.temperature, request.max_tokens) == ("How many?", 0.1, 500)


def test_the_llms_own_values_override_the_roles(vendors, call):
    """They have the names that CrewAI's LLMs use."""
    made = vendors()
    call(made.llm(temperature=0.9, max_tokens=40.0, top_p=0.5, seed=3, stop="END"), "hi")
    (request,) = made.requests
    values = (request.temperature, request.max_tokens, request.top_p, request.seed, request.stop)
    assert values == (0.9, 40, 0.5, 3, ("END",))


def test_a_whole_conversation_arrives(vendors, call):
    """CrewAI's messages become ours; what only CrewAI reads is left out."""
    made = vendors()
    calls = [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"day": "Saturday"}'}}]
    conversation = [
        {"role": "system", "content": "Be short.", "cache_breakpoint": True},
        {"role": "user", "content": [{"type": "text", "text": "Who plays?"}]},
        {"role": "assistant", "content": None, "tool_calls": calls, "raw_tool_call_parts": [object()]},
        {"role": "tool", "content": None, "tool_call_id": "c1", "name": "find"},
        {"role": "assistant", "content": None},
    ]
    call(made.llm(), conversation)
    messages = made.requests[0].messages
    assert [message.role for message in messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert [message.content for message in messages] == ["Be short.", "Who plays?", "", "", ""]
    assert (messages[2].tool_calls[0].name, messages[3].tool_call_id) == ("find", "c1")
    assert "raw_tool_call_parts" in conversation[2]


def test_images_are_sent(vendors, call):
    """Every target of the mock takes images, and content parts have the form of OpenAI's API."""
    made = vendors()
    llm = made.llm()
    parts = [{"type": "text", "text": "Who?"}, {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]
    call(llm, [{"role": "user", "content": parts}])
    assert llm.supports_multimodal()
    assert llm._multimodal_formatter_name() == "openai"  # CrewAI gives files this form
    assert made.requests[0].messages[0].images[0].url == "https://x.test/a.png"


def test_stop_words_end_the_answer_even_where_a_target_ignores_them(vendors, call):
    """They are part of the request, and the answer is cut at them."""
    whole = Reply(text="Action: find\nObservation: I made it up", finish_reason=FinishReason.STOP)
    made = vendors(lambda _request: whole)
    llm = made.llm(stop=["never"])
    with call_stop_override(llm, ["\nObservation:", ""]):
        assert call(llm, "hi") == "Action: find"
    assert made.requests[0].stop == ("\nObservation:",)
    assert llm.supports_stop_words()


def test_a_hook_may_change_the_messages_and_the_answer(vendors, call):
    """A direct call runs the application's hooks as CrewAI's own LLMs do."""
    made = vendors("five")

    def before(context) -> None:
        context.messages.append({"role": "user", "content": "Answer in words."})

    with scoped_hooks():
        register_scoped(InterceptionPoint.PRE_MODEL_CALL, before)
        register_scoped(InterceptionPoint.POST_MODEL_CALL, lambda context: context.response.upper())
        assert call(made.llm(), [{"role": "user", "content": "How many?"}]) == "FIVE"
    assert made.requests[0].messages[-1].content == "Answer in words."


def test_a_hook_may_deny_the_call(vendors, call, events):
    """Nothing is sent, and the denial is not a failure of the chain."""
    made, failed = vendors(), events(LLMCallFailedEvent)

    def deny(_context) -> None:
        raise HookAborted("not on Sundays")

    with scoped_hooks():
        register_scoped(InterceptionPoint.PRE_MODEL_CALL, deny)
        with pytest.raises(HookAborted, match="not on Sundays") as raised:
            call(made.llm(), "hi")
    assert type(raised.value) is HookAborted
    assert made.calls == []
    events.settle()
    assert ["not on Sundays" in event.error for event in failed] == [True]


def test_a_cancelled_call_ends_its_events(vendors, events):
    """The cancellation goes on, and CrewAI's listeners see an end."""
    made, failed = vendors(latency_s=30.0), events(LLMCallFailedEvent)

    async def cancel() -> None:
        task = asyncio.create_task(made.llm().acall("hi"))
        while not made.calls:  # noqa: ASYNC110  the mock's record is a list
            await asyncio.sleep(0.001)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    events.settle()
    assert [event.error for event in failed] == ["CancelledError"]
