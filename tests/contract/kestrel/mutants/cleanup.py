"""Mutants that do things twice, or leave things behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from functools import cached_property

from kestrel.client import Client, Timeouts
from kestrel.mutants.registry import mutant
from kickai_providers_core.values import errors


@mutant("test_nothing_is_retried")
class RetriesOutages(Client):
    """Sends the request a second time after a server error."""

    def invoke(self, request, timeout_s):
        """Send the request, and send it again after a failure."""
        try:
            return super().invoke(request, timeout_s)
        except errors.ProviderUnavailableError:
            with suppress(errors.ProviderError):
                super().invoke(request, timeout_s)
            raise


@mutant("test_cancelling_closes_the_connection")
class ContinuesWhenCancelled(Client):
    """Continues a cancelled call in another task."""

    async def ainvoke(self, request, timeout_s):
        """Run the call in another task."""
        self.call = asyncio.ensure_future(super().ainvoke(request, timeout_s))
        return await asyncio.shield(self.call)


@mutant("test_cancelling_closes_the_connection")
class CatchesCancellation(Client):
    """Turns a cancellation into an outage."""

    async def ainvoke(self, request, timeout_s):
        """Raise another error."""
        try:
            return await super().ainvoke(request, timeout_s)
        except asyncio.CancelledError:
            raise errors.ProviderUnavailableError("cancelled") from None


@mutant("test_cancelling_a_stream_closes_the_connection")
class CatchesCancellationOfStreams(Client):
    """Ends a stream normally when it is cancelled."""

    async def astream(self, request, timeout_s):
        """End the stream normally."""
        chunks = super().astream(request, timeout_s)
        with suppress(asyncio.CancelledError):
            async for chunk in chunks:
                yield chunk


@mutant("test_no_thread_is_left")
class LeavesAThread(Client):
    """Starts a thread for each call and never ends it."""

    def invoke(self, request, timeout_s):
        """Start a thread that waits, then call."""
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().invoke(request, timeout_s)


@mutant("test_no_task_is_left")
class LeavesATask(Client):
    """Starts a task for each call and never ends it."""

    async def ainvoke(self, request, timeout_s):
        """Start a task that waits, then call."""
        self.watch = asyncio.create_task(asyncio.sleep(60))
        return await super().ainvoke(request, timeout_s)


@mutant("test_no_socket_is_left")
class LeavesASocket(Client):
    """Leaves a socket to the garbage collector after an error status."""

    def build_error(self, status, headers, body):
        """Open a socket."""
        socket.socket()
        return super().build_error(status, headers, body)


@mutant("test_closing_frees_connections", "test_aclosing_frees_connections", "test_no_socket_is_left")
class NeverClosesConnections(Client):
    """Keeps connections open and never uses or closes them."""

    @cached_property
    def idle(self):
        """Return the connections that are kept open."""
        return []

    def parse_reply(self, body):
        """Open another connection and keep it."""
        self.idle.append(self.connect(Timeouts(self.settings, 1.0, live=False)))
        return super().parse_reply(body)


@mutant("test_closing_twice_is_harmless")
class FailsToCloseTwice(Client):
    """Raises AttributeError when it is closed a second time."""

    def close(self):
        """Delete an attribute."""
        del self.host


@mutant("test_closing_an_unused_provider_is_harmless")
class FailsToCloseUnused(Client):
    """Raises AttributeError when it is closed before its first call."""

    used = None

    def encode_request(self, request, *, live):
        """Remember that it was used."""
        self.used = []
        return super().encode_request(request, live=live)

    def close(self):
        """Clear what was used."""
        self.used.clear()


@mutant("test_creating_uses_no_network", "test_validating_offline_uses_no_network")
class ConnectsWhenCreated(Client):
    """Connects to the service when it is created."""

    def __init__(self, settings):
        super().__init__(settings)
        with suppress(OSError):
            self.connect(Timeouts(settings, 0.05, live=False)).close()
