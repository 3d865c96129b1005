"""One object for each event loop, closed with its loop."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from kickai_providers_core.authoring import PerLoop, Untracked


class Client:
    """A client that records its loop and the loop that closed it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed_in: list[object] = []

    async def aclose(self) -> None:
        """Close."""
        await asyncio.sleep(0)
        self.closed_in.append(asyncio.get_running_loop())


@pytest.fixture
def clients() -> list[Client]:
    """Return the clients that were made."""
    return []


@pytest.fixture
def per_loop(clients: list[Client]) -> PerLoop[Client]:
    """Return a PerLoop of clients, which is empty."""

    def make() -> Client:
        clients.append(Client())
        return clients[-1]

    return PerLoop(make, Client.aclose)


def test_each_loop_has_its_own(per_loop: PerLoop[Client], clients: list[Client]) -> None:
    """All tasks of a loop share one object, each loop has another, and it is closed in its loop before that ends."""

    async def use() -> None:
        found = await asyncio.gather(*(per_loop.current() for _ in range(10)))
        assert all(client is found[0] for client in found)
        assert found[0].loop is asyncio.get_running_loop()

    asyncio.run(use())
    asyncio.run(use())
    assert len(clients) == 2
    assert [client.closed_in for client in clients] == [[client.loop] for client in clients]


def test_aclose(per_loop: PerLoop[Client], clients: list[Client]) -> None:
    """`aclose` closes the running loop's object at once; the next call makes another."""

    async def use() -> None:
        await per_loop.current()
        await per_loop.aclose()
        assert clients[0].closed_in == [clients[0].loop]
        await per_loop.current()
        assert len(clients) == 2

    asyncio.run(use())


@pytest.mark.parametrize("how", ["close", "aclose"])
def test_a_loop_in_another_thread(per_loop: PerLoop[Client], clients: list[Client], how: str) -> None:
    """Its object is closed in that thread, before the call returns."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(per_loop.current(), loop).result(30)
        if how == "close":
            per_loop.close()
        else:
            asyncio.run(per_loop.aclose())
        assert clients[0].closed_in == [loop]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_loop_that_does_not_run(per_loop: PerLoop[Client], clients: list[Client]) -> None:
    """The object of a loop that is between two runs is closed by `close`."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(per_loop.current())
    per_loop.close()
    assert clients[0].closed_in == [loop]
    loop.close()
    per_loop.close()


def test_close_within_the_loop(per_loop: PerLoop[Client], clients: list[Client]) -> None:
    """`close` in a loop's own thread does not wait for it, and its object is closed soon after."""

    async def use() -> None:
        await per_loop.current()
        per_loop.close()
        await asyncio.sleep(0.05)
        assert clients[0].closed_in == [clients[0].loop]

    asyncio.run(use())


def test_a_loop_that_was_closed_without_its_generators(per_loop: PerLoop[Client], clients: list[Client]) -> None:
    """It is forgotten, and does not disturb other loops."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(per_loop.current())
    loop.close()
    asyncio.run(_use(per_loop))
    per_loop.close()
    assert clients[1].closed_in == [clients[1].loop]


async def _use(per_loop: PerLoop[Client]) -> None:
    await per_loop.current()


def test_an_object_that_is_made_within_untracked_is_closed_with_its_loop():
    """The loop tracks the object, although it does not track the client's generators."""
    closed = []

    async def close(value):
        closed.append(value)

    per_loop = PerLoop(object, close)

    async def client():
        yield await per_loop.current()

    async def read():
        async with aclosing(Untracked(client())) as values:
            async for value in values:
                assert value is await per_loop.current()

    for _ in range(3):
        asyncio.run(read())
    assert len(closed) == 3


async def test_tasks_that_start_together_share_one_object():
    """The first calls of a loop, made at once, get the same object."""

    async def close(_value):
        pass

    per_loop = PerLoop(object, close)
    found = await asyncio.gather(*(per_loop.current() for _ in range(5)))
    assert len(set(map(id, found))) == 1
    await per_loop.aclose()
