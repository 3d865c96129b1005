"""Streams: what arrives, and how they fall back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kickai_providers_core import FinishReason, ProviderError, Reply
from langchain_core.callbacks import BaseCallbackHandler


@pytest.fixture(params=["stream", "astream"])
def read(request: pytest.FixtureRequest) -> Any:
    """Read a stream to its end, blocking and on an event loop; chunks go into a list as they arrive."""

    def run(model: Any, prompt: Any, seen: list[Any] | None = None, **keywords: Any) -> list[Any]:
        chunks = [] if seen is None else seen
        if request.param == "stream":
            for chunk in model.stream(prompt, **keywords):
                chunks.append(chunk)
            return chunks

        async def collect() -> list[Any]:
            async for chunk in model.astream(prompt, **keywords):
                chunks.append(chunk)
            return chunks

        return asyncio.run(collect())

    return run


def add(chunks: list[Any]) -> Any:
    """Return the whole message."""
    first, *others = chunks
    return sum(others, first)


def test_the_pieces_are_the_vendors(vendors, read):
    """The last one has the metadata and the usage."""
    made = vendors("Ada and Bo")
    *pieces, last = read(made.chat(), "Who?")
    assert [piece.text for piece in pieces] == ["Ada ", "and ", "Bo"]
    assert (last.text, last.chunk_position) == ("", "last")
    assert last.response_metadata["model_name"] == "first"
    assert last.usage_metadata["output_tokens"] == 3
    assert all(piece.usage_metadata is None for piece in pieces)
    assert made.calls[0].mode in {"stream", "astream"}


@pytest.mark.parametrize(("fields", "keywords"), [({"stream_usage": False}, {}), ({}, {"stream_usage": False})])
def test_usage_can_be_left_out(vendors, read, fields, keywords):
    """By the model or by the call."""
    assert add(read(vendors().chat(**fields), "Who?", **keywords)).usage_metadata is None


@pytest.mark.parametrize("mode", ["live", "buffered"])
def test_a_stream_falls_back_before_its_first_piece(vendors, read, mode):
    """Nothing has been shown yet."""
    made = vendors("Ada", script=("unavailable",))
    message = add(read(made.chat(stream_mode=mode), "Who?"))
    assert (message.text, made.models) == ("Ada", ["first", "second"])
    assert message.response_metadata["fell_back"] is True


def test_a_live_stream_that_breaks_off_is_an_error(vendors, read):
    """What was shown cannot be taken back. The part that arrived is on the error."""
    made, seen, failures = vendors("Ada and Bo", script=("cut",)), [], Failures()
    with pytest.raises(ProviderError) as raised:
        read(made.chat(), "Who?", seen, config={"callbacks": [failures]})
    assert raised.value.partial_text == "".join(chunk.text for chunk in seen) != ""
    assert failures.errors == [raised.value]
    assert made.models == ["first"]


@pytest.mark.parametrize(("fields", "keywords"), [({"stream_mode": "buffered"}, {}), ({}, {"stream_mode": "buffered"})])
def test_a_buffered_stream_falls_back_at_any_time(vendors, read, fields, keywords):
    """Its pieces come when the answer is complete."""
    made = vendors("Ada and Bo", script=("cut",))
    message = add(read(made.chat(**fields), "Who?", **keywords))
    assert (message.text, made.models) == ("Ada and Bo", ["first", "second"])


def test_reasoning_is_streamed_apart_from_the_answer(vendors, read):
    """Its pieces become one block."""
    thoughtful = Reply(text="Ada", finish_reason=FinishReason.STOP, reasoning="Who is free?")
    message = add(read(vendors(lambda _request: thoughtful).chat(), "Who?"))
    assert (message.text, message.additional_kwargs) == ("Ada", {"reasoning_content": "Who is free?"})
    assert message.content_blocks[0] == {"type": "reasoning", "reasoning": "Who is free?"}


def test_a_stream_that_is_closed_ends_its_call(vendors):
    """The vendor's stream ends too."""
    made = vendors("one two three four", pause_s=0.0)
    stream = made.chat().stream("Who?")
    assert next(stream).text == "one "
    stream.close()
    assert list(stream) == []
    assert made.models == ["first"]


async def test_cancelling_ends_a_stream(vendors):
    """The attempt is cancelled, and no other target is called."""
    made = vendors("one two", pause_s=600.0)
    seen: list[str] = []
    started = asyncio.Event()

    async def read_all() -> None:
        async for chunk in made.chat().astream("Who?"):
            seen.append(chunk.text)
            started.set()

    task = asyncio.create_task(read_all())
    await asyncio.wait_for(started.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 60)
    assert (seen, made.models) == (["one "], ["first"])


class Failures(BaseCallbackHandler):
    """Records errors."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def on_llm_error(self, error: BaseException, **_fields: Any) -> None:
        """Record an error."""
        self.errors.append(error)
