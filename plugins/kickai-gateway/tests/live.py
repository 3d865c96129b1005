"""A gateway that serves on a real socket, in the event loop of the test."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from attrs import frozen
from kickai_providers_core import Resolver, Settings

from kickai_gateway import Gateway
from kickai_gateway.answering_target import observe
from kickai_gateway.worker import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from scripted import Script

SETTINGS: dict[str, Any] = {
    "kickai": {"primary": "one", "fallback": ["two"], "deadline_s": 20, "plugins": []},
    "policy": {"backoff_initial_s": 0.01},
    "providers": {"one": {}, "two": {}},
}

ROLE = Settings().roles["player_coordinator"]
"""A role of the built-in catalogue."""


@frozen
class Live:
    """A running gateway.

    Attributes:
        url: The address, without a path.
        gateway: The application.
        log: What it logged.
    """

    url: str
    gateway: Gateway
    log: list[str]


@asynccontextmanager
async def serve(
    script: Script,
    settings: dict[str, Any] | None = None,
    *,
    receive_timeout_s: float = 30.0,
    send_timeout_s: float = 60.0,
    max_connections: int = 1_000,
    **fields: Any,
) -> AsyncIterator[Live]:
    """Serve the scripted providers ``one`` and ``two``."""
    resolver = Resolver.from_settings(
        SETTINGS if settings is None else settings,
        env={},
        plugins={name: script.plugin(name) for name in ("one", "two")},
        observers=[observe],
    )
    log: list[str] = []
    gateway = Gateway(resolver, log=log.append, **fields)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(
            gateway,
            drain_s=1,
            receive_timeout_s=receive_timeout_s,
            send_timeout_s=send_timeout_s,
            max_connections=max_connections,
        )
        serving = asyncio.ensure_future(server.serve([listener]))
        await server.ready.wait()
        try:
            yield Live(f"http://127.0.0.1:{listener.getsockname()[1]}", gateway, log)
        finally:
            server.should_exit = True
            await serving
            await gateway.generations.aclose()


async def wait_for(condition: Callable[[], object], timeout_s: float = 20) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.01)
