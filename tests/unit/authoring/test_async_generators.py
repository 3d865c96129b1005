"""Reading a client's asynchronous generators without the event loop's knowledge."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing

import pytest

from kickai_providers_core.authoring import Untracked


class Client:
    """A client whose generators read from one another, as those of HTTP clients do."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    async def bytes(self):
        """Yield bytes."""
        try:
            while True:
                await asyncio.sleep(0)
                yield b"x"
        finally:
            await asyncio.sleep(0)
            self.closed.append("bytes")

    async def lines(self):
        """Yield lines."""
        await asyncio.sleep(0)
        async with aclosing(self.bytes()) as chunks:
            async for chunk in chunks:
                yield chunk.decode()
        self.closed.append("lines")

    async def answer(self):
        """Yield the answer; the client's own generators are not tracked."""
        async with aclosing(Untracked(self.lines())) as lines:
            async for line in lines:
                yield line


def test_a_reader_that_stops_early_leaves_no_message(capsys):
    """A loop that ends right after the reader stopped closes each generator once, and prints nothing."""
    client = Client()

    async def read():
        async for _ in client.answer():
            break

    asyncio.run(read())
    gc.collect()
    assert client.closed == ["bytes"]
    assert capsys.readouterr().err == ""


async def test_only_the_outermost_generator_is_known_to_the_loop():
    """The loop knows the plugin's own generator, and none of those that it reads from."""
    known = asyncio.get_running_loop()._asyncgens
    before = len(known)
    async with aclosing(Client().answer()) as answer:
        assert await anext(answer) == "x"
        assert len(known) == before + 1


async def test_items_errors_and_the_end_pass_through():
    """Iteration, an exception and the end are those of the generator."""

    async def two():
        yield 1
        await asyncio.sleep(0)
        yield 2

    async def failing():
        yield 1
        await asyncio.sleep(0)
        raise ValueError("broken")

    assert [item async for item in Untracked(two())] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        [item async for item in Untracked(failing())]


async def test_a_cancellation_reaches_the_generator():
    """A task that is cancelled while it waits for an item ends the wait, and the generator cleans up."""
    client = Client()

    async def read():
        async with aclosing(Untracked(client.lines())) as lines:
            async for _ in lines:
                await asyncio.sleep(0)

    task = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.closed == ["bytes"]
