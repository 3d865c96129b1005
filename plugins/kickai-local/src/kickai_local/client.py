"""The provider: four ways to call the model's process, each over a connection of its own."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import closing, contextmanager
from copy import copy
from typing import TYPE_CHECKING

from kickai_providers_core import (
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    UnusableProviderError,
)
from kickai_providers_core.authoring import AttemptTimeouts, abuild_reply, build_reply

from kickai_local import checks, mapping
from kickai_local.exchange import HttpExchange
from kickai_local.hidden_bytes import Sealed
from kickai_local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kickai_providers_core import ChatRequest, Reply, ReplyChunk

    from kickai_local.server_process import ProcessAddress
    from kickai_local.settings import LocalSettings

__all__ = ["LocalProvider"]

READ_BYTES = 65536
"""Bytes to read at once; an event has a few hundred."""


class LocalProvider:
    """One local model, which the first call loads. Safe to share between threads and event loops.

    llama.cpp stops working on a call when its connection is closed.

    Args:
        settings: The instance's settings.
        runtime: What serves the model, closed with the provider; None for the model file of the settings.

    Raises:
        ModelNotFoundError: The settings name no model file, and none is installed.
    """

    validate = staticmethod(checks.find_problems)

    def __init__(self, settings: LocalSettings, runtime: Supervisor | None = None) -> None:
        self._settings = settings
        if runtime is None:
            file = checks.find_model_file(settings)
            if file is None:
                raise ModelNotFoundError("there is no model file")
            runtime = Supervisor(file, settings)
        self._runtime = runtime

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer a request within ``timeout_s``."""
        return build_reply(self._stream_chunks(request, timeout_s, is_stream=False))

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer a request on the running loop."""
        return await abuild_reply(self._astream_chunks(request, timeout_s, is_stream=False))

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Answer a request in chunks; each comes within its limit."""
        return self._stream_chunks(request, timeout_s, is_stream=True)

    def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Answer a request in chunks on the running loop."""
        return self._astream_chunks(request, timeout_s, is_stream=True)

    def close(self) -> None:
        """End the model's process, and every call with it."""
        self._runtime.close()

    def _stream_chunks(self, request: ChatRequest, timeout_s: float, *, is_stream: bool) -> Iterator[ReplyChunk]:
        timeouts = AttemptTimeouts.from_settings(self._settings, timeout_s, is_stream=is_stream)
        body, answer = mapping.prepare(request, self._settings, self._runtime.name)
        with _raise_typed(timeouts):
            address = _require(self._runtime.get_address().result(timeouts.wait_s()))
            exchange = HttpExchange(address.key, body, expose=self._settings.expose_service_messages)
            with self._abandon_when_broken(address), closing(socket.socket(address.family)) as connection:
                connection.settimeout(timeouts.wait_s())
                connection.connect(address.place)
                timeouts.begin("first_token")
                connection.settimeout(timeouts.wait_s())
                connection.sendall(exchange.opening)
                while not exchange.is_over:
                    connection.settimeout(timeouts.wait_s())
                    received = Sealed(connection.recv(READ_BYTES))
                    for chunk in answer.read(exchange.receive(received), address.key):
                        yield chunk
                        timeouts.begin("idle")
        yield answer.finish()

    async def _astream_chunks(
        self, request: ChatRequest, timeout_s: float, *, is_stream: bool
    ) -> AsyncIterator[ReplyChunk]:
        timeouts = AttemptTimeouts.from_settings(self._settings, timeout_s, is_stream=is_stream)
        body, answer = mapping.prepare(request, self._settings, self._runtime.name)
        loop = asyncio.get_running_loop()
        with _raise_typed(timeouts):
            async with timeouts.hold():
                address = _require(await asyncio.wrap_future(self._runtime.get_address()))
            exchange = HttpExchange(address.key, body, expose=self._settings.expose_service_messages)
            with self._abandon_when_broken(address), closing(socket.socket(address.family)) as connection:
                connection.settimeout(0)  # the loop waits instead
                async with timeouts.hold():
                    await loop.sock_connect(connection, address.place)
                    timeouts.begin("first_token")
                    await loop.sock_sendall(connection, exchange.opening)
                while not exchange.is_over:
                    async with timeouts.hold():
                        received = Sealed(await loop.sock_recv(connection, READ_BYTES))
                    await asyncio.sleep(0)  # data that is there already is received without a pause
                    for chunk in answer.read(exchange.receive(received), address.key):
                        yield chunk
                        timeouts.begin("idle")
        yield answer.finish()

    @contextmanager
    def _abandon_when_broken(self, address: ProcessAddress) -> Iterator[None]:
        """End a process that closed its connection or does not listen: it has died, or cannot be used."""
        try:
            yield
        except (ConnectionError, FileNotFoundError):
            self._runtime.abandon(address)
            raise


def _require(address: ProcessAddress | ProviderError) -> ProcessAddress:
    """Return the address, or raise why there is none: each waiting call raises an error of its own."""
    if isinstance(address, ProviderError):
        raise copy(address)
    return address


@contextmanager
def _raise_typed(timeouts: AttemptTimeouts) -> Iterator[None]:
    """Raise what sockets and waits raise as errors of the core."""
    try:
        yield
    except (TimeoutError, ProviderTimeoutError):
        error = timeouts.error()
        if error.phase == "connect":
            error = ProviderTimeoutError("the model is still loading", phase="connect")
        raise error from None
    except OSError as exc:
        if exc.errno in {errno.EMFILE, errno.ENFILE}:
            message = "this process has too many open files: raise its limit (ulimit -n), or close some"
            raise UnusableProviderError(message) from exc
        message = "the connection to the runtime broke"
        raise ProviderUnavailableError(message, reached=timeouts.is_connected) from exc
