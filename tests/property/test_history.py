"""A conversation survives its own replies: whatever a target returned can go into the next request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kickai_providers_core import (
    ChatRequest,
    FinishReason,
    Message,
    ProviderInfo,
    Reply,
    ReplyChunk,
    Resolver,
    ToolCall,
    hookimpl,
)

ODD_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
calls = st.builds(
    ToolCall,
    id=st.sampled_from(["", "1", "2", None, 0]) | ODD_TEXT,
    name=st.sampled_from(["f", "g"]) | ODD_TEXT.filter(bool),
    arguments=st.sampled_from(["", "{}", '{"a": NaN}', '{"cut', "[1]", "null", '"text"']) | ODD_TEXT,
)
replies = st.builds(
    Reply,
    text=ODD_TEXT,
    finish_reason=st.sampled_from([FinishReason.STOP, "length", FinishReason.TOOL_CALL]),
    tool_calls=st.lists(calls, max_size=3),
    request_id=st.none() | ODD_TEXT,
    model=ODD_TEXT,
).filter(lambda reply: reply.text or reply.tool_calls)


class Odd:
    """A provider that returns one reply, whole or split anywhere, and keeps the requests it gets."""

    def __init__(self, reply: Reply, cut: int) -> None:
        self.reply, self.cut = reply, cut
        self.requests: list[ChatRequest] = []

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="odd", summary="", holds_timeouts=True)

    @hookimpl
    def kickai_create_provider(self, settings: Any) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self, provider: object, request: ChatRequest, timeout_s: float) -> Reply:
        self.requests.append(request)
        return self.reply

    @hookimpl
    def kickai_stream_provider(self, provider: object, request: ChatRequest, timeout_s: float) -> Any:
        self.requests.append(request)
        pairs = self.reply.text.encode("utf-16-le")
        units = [pairs[place : place + 2].decode("utf-16-le", "surrogatepass") for place in range(0, len(pairs), 2)]
        yield ReplyChunk(text="".join(units[: self.cut]), tool_calls=self.reply.tool_calls[:1])
        yield ReplyChunk(text="".join(units[self.cut :]), tool_calls=self.reply.tool_calls[1:])
        yield ReplyChunk(finish_reason=self.reply.finish_reason)


def ask(chain: Any, mode: str) -> tuple[Reply, str]:
    """Return the reply in one of the four modes, and the text that was handed out."""
    if mode == "invoke":
        reply = chain.invoke("?")
        return reply, reply.text
    if mode == "ainvoke":
        reply = asyncio.run(chain.ainvoke("?"))
        return reply, reply.text
    if mode == "stream":
        stream = chain.stream("?")
        text = "".join(chunk.text for chunk in stream)
        assert stream.reply is not None
        return stream.reply, text

    async def read() -> tuple[Reply, str]:
        stream = chain.astream("?")
        text = "".join([chunk.text async for chunk in stream])
        assert stream.reply is not None
        return stream.reply, text

    return asyncio.run(read())


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
@settings(max_examples=count_examples(15), deadline=None)
@given(reply=replies, cut=st.integers(0, 12))
def test_a_reply_can_go_into_the_next_request(mode: str, reply: Reply, cut: int) -> None:
    """Any text and any calls come out encodable and with ids of their own, and another provider takes them."""
    odd = Odd(reply, cut)
    with Resolver.from_settings({"providers": {"mock": {"reply": "ok"}}}, env={}, plugins={"odd": odd}) as resolver:
        answer, text = ask(resolver.chain("odd:m"), mode)
        assert (answer.text, text) == (reply.text, reply.text)
        assert [(call.name, call.arguments) for call in answer.tool_calls] == [
            (call.name, call.arguments) for call in reply.tool_calls
        ]
        ids = [call.id for call in answer.tool_calls]
        assert len(set(ids)) == len(ids)
        assert all(ids)
        json.dumps(answer.as_dict(), allow_nan=False, ensure_ascii=False).encode()
        history = ChatRequest(
            messages=[
                Message(role="user", content="?"),
                Message(role="assistant", content=answer.text, tool_calls=answer.tool_calls),
                *(Message(role="tool", tool_call_id=call.id, content="7") for call in answer.tool_calls),
                Message(role="user", content="And now?"),
            ]
        )
        assert resolver.chain("mock:a").invoke(history).text == "ok"
        assert resolver.chain("odd:m").invoke(history).text == reply.text
        assert odd.requests[-1].messages == history.messages
