"""The pool of connections of an event loop, against real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import h11
import httpcore2
import pytest
from attrs import define, field

from kickai_providers_core.authoring.async_bounded_network import AsyncBoundedBackend
from kickai_providers_core.authoring.async_pool import AsyncPool
from kickai_providers_core.authoring.bounded_network import RequestTimeout
from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@define
class Service:
    """A service that answers each request on every connection.

    Attributes:
        port: Its port.
        opened: How many connections were opened.
        ended: How many of them have ended.
    """

    port: int = 0
    opened: int = 0
    ended: int = 0
    closed: asyncio.Condition = field(factory=asyncio.Condition)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.opened += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            async with self.closed:
                self.ended += 1
                self.closed.notify_all()

    async def wait_for_ended(self, number: int) -> None:
        """Wait until this many connections have ended."""
        async with asyncio.timeout(20), self.closed:
            await self.closed.wait_for(lambda: self.ended >= number)


@asynccontextmanager
async def serve() -> AsyncIterator[Service]:
    """Run a service within the block."""
    service = Service()
    server = await asyncio.start_server(service.answer, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()


@asynccontextmanager
async def open_pool(*, max_connections: int | None = 2, keepalive_expiry: float = 60.0) -> AsyncIterator[AsyncPool]:
    """Return a pool, which is closed after the block."""
    pool = AsyncPool(
        httpcore=httpcore2,
        h11=h11,
        network_backend=AsyncBoundedBackend(httpcore2),
        ssl_context=None,
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=keepalive_expiry,
    )
    try:
        yield pool
    finally:
        await pool.aclose()


async def send(pool: AsyncPool, service: Service, *, wait_s: float = 20.0, host: str = "127.0.0.1") -> Any:
    """Send a request, and return its response."""
    bound = RequestTimeout(AttemptTimeouts(20.0), is_secure=False)
    limits = {"connect": bound, "read": bound, "write": bound, "pool": wait_s}
    url = f"http://{host}:{service.port}/"
    request = httpcore2.Request("GET", url, headers={"host": host}, extensions={"timeout": limits})
    return await pool.handle_async_request(request)


async def read(response: Any) -> bytes:
    """Read the body of a response, and close it."""
    try:
        return b"".join([part async for part in response.stream])
    finally:
        await response.stream.aclose()


async def test_requests_one_after_the_other_share_a_connection():
    """Closing the body of the first one frees it."""
    async with serve() as service, open_pool() as pool:
        for _ in range(5):
            assert await read(await send(pool, service)) == b"ok"
        assert service.opened == 1


async def test_the_connection_that_was_used_last_is_used_again():
    """The others expire when fewer are needed."""
    async with serve() as service, open_pool() as pool:
        first, second = await send(pool, service), await send(pool, service)
        await read(first)
        await read(second)
        last = second.extensions["network_stream"]
        assert (await send(pool, service)).extensions["network_stream"] is last


async def test_a_request_waits_for_a_connection():
    """No more connections are opened than allowed; those who wait are served in their order."""
    async with serve() as service, open_pool(max_connections=1) as pool:
        response, served = await send(pool, service), []

        async def ask(name: str) -> None:
            answer = await send(pool, service)
            served.append(name)
            await read(answer)

        waiting = [asyncio.ensure_future(ask(name)) for name in "abc"]
        await asyncio.sleep(0)
        assert served == []
        await read(response)
        await asyncio.gather(*waiting)
        assert (served, service.opened) == (["a", "b", "c"], 1)


async def test_a_request_that_gets_no_connection_in_time_fails():
    """And leaves its place to others."""
    async with serve() as service, open_pool(max_connections=1) as pool:
        response = await send(pool, service)
        with pytest.raises(httpcore2.PoolTimeout):
            await send(pool, service, wait_s=0.01)
        await read(response)
        assert await read(await send(pool, service)) == b"ok"


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_connection():
    """The next one gets it."""
    async with serve() as service, open_pool(max_connections=1) as pool:
        response = await send(pool, service)
        waiting = asyncio.ensure_future(send(pool, service))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        await read(response)
        assert await read(await send(pool, service)) == b"ok"


@pytest.mark.parametrize("seed", range(5))
async def test_requests_that_are_cancelled_at_any_time_lose_no_connection(seed):
    """Afterwards as many requests as before run at once."""
    random = Random(seed)
    async with serve() as service, open_pool(max_connections=3) as pool:

        async def ask(host: str) -> None:
            await read(await send(pool, service, host=host))

        tasks = [asyncio.ensure_future(ask(random.choice(("127.0.0.1", "localhost")))) for _ in range(200)]
        for task in random.sample(tasks, 60):
            for _ in range(random.randrange(8)):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait(tasks)
        assert [task.exception() for task in tasks if not task.cancelled() and task.exception()] == []
        assert sum(not task.cancelled() for task in tasks) >= len(tasks) - 60
        for response in [await send(pool, service, wait_s=20) for _ in range(3)]:
            await read(response)
        await service.wait_for_ended(service.opened - 3)


async def test_a_request_that_fails_frees_its_connection():
    """Here nobody listens any more."""
    async with open_pool(max_connections=1) as pool:
        async with serve() as service:
            pass
        for _ in range(3):
            with pytest.raises(httpcore2.ConnectError):
                await send(pool, service)


async def test_an_idle_connection_to_another_address_makes_room():
    """Idle ones count as well."""
    async with serve() as service, open_pool(max_connections=1) as pool:
        await read(await send(pool, service))
        assert await read(await send(pool, service, host="localhost")) == b"ok"
        await service.wait_for_ended(1)
        assert service.opened == 2


async def test_connections_to_several_addresses_are_kept():
    """Each request uses one to its own address."""
    async with serve() as service, open_pool() as pool:
        for host in ("127.0.0.1", "localhost") * 3:
            assert await read(await send(pool, service, host=host)) == b"ok"
        assert service.opened == 2


async def test_a_connection_that_was_idle_for_too_long_is_closed():
    """The next request opens another one, also when the expired ones are not the oldest."""
    async with serve() as service, open_pool(keepalive_expiry=0.0) as pool:
        for _ in range(3):
            await read(await send(pool, service))
        await service.wait_for_ended(2)
        assert service.opened == 3


async def test_a_connection_that_the_service_has_ended_is_not_used():
    """Whatever the others do."""
    async with serve() as service, open_pool() as pool:
        responses = [await send(pool, service), await send(pool, service)]
        for response in responses:
            await read(response)
        for response in responses:
            response.extensions["network_stream"].get_extra_info("socket").shutdown(2)
        assert await read(await send(pool, service)) == b"ok"
        assert service.opened == 3


async def test_closing_the_pool_closes_connections_in_use():
    """Their responses can still be closed."""
    async with serve() as service:
        async with open_pool() as pool:
            response = await send(pool, service)
        await service.wait_for_ended(1)
        await response.stream.aclose()


async def test_another_scheme_is_refused():
    """As httpcore does."""
    async with open_pool() as pool:
        bound = RequestTimeout(AttemptTimeouts(20.0), is_secure=False)
        request = httpcore2.Request("GET", "ftp://localhost/", extensions={"timeout": {"pool": bound}})
        with pytest.raises(httpcore2.UnsupportedProtocol):
            await pool.handle_async_request(request)
