"""Providers that do things twice, or leave things behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

from kestrel.client import Client, Patience
from kestrel.wrong.register import mutant
from kickai_providers_core.values import errors


@mutant("test_nothing_is_retried")
class TriesAgain(Client):
    """Asks a second time after an outage."""

    def ask(self, request, timeout_s):
        """Ask, and ask again before giving up."""
        try:
            return super().ask(request, timeout_s)
        except errors.ProviderUnavailableError:
            with suppress(errors.ProviderError):
                super().ask(request, timeout_s)
            raise


@mutant("test_cancelling_frees")
class LeavesACancelledCall(Client):
    """Leaves a call that was cancelled to itself."""

    async def aask(self, request, timeout_s):
        """Go on in a task of its own."""
        self.call = asyncio.ensure_future(super().aask(request, timeout_s))
        return await asyncio.shield(self.call)


HELD_BY_CANCELLING = (
    "test_silence_times_out",
    "test_a_late_answer_times_out",
    "test_slow_headers_time_out",
    "test_a_dripping_body_times_out",
    "test_connecting_times_out",
    "test_the_next_call_works_after_a_timeout",
)
"""Timeouts that the core holds by cancelling."""


@mutant("test_cancelling_frees", *HELD_BY_CANCELLING)
class SwallowsCancellation(Client):
    """Takes a cancellation for an outage."""

    async def aask(self, request, timeout_s):
        """Return an error of its own."""
        try:
            return await super().aask(request, timeout_s)
        except asyncio.CancelledError:
            raise errors.ProviderUnavailableError("cancelled") from None


@mutant(
    "test_cancelling_a_stream_frees",
    *HELD_BY_CANCELLING,
    "test_a_slow_first_token_times_out",
    "test_a_stall_times_out",
    "test_a_stall_ends_with_the_whole_timeout",
    "test_the_key_is_in_no_timeouts_error",
)
class SwallowsAStreamsCancellation(Client):
    """Ends a stream well when it is cancelled."""

    async def astream(self, request, timeout_s):
        """End instead."""
        chunks = super().astream(request, timeout_s)
        with suppress(asyncio.CancelledError):
            async for chunk in chunks:
                yield chunk


@mutant("test_no_thread_is_left")
class LeavesAThread(Client):
    """Starts a thread for each call, and never ends it."""

    def ask(self, request, timeout_s):
        """Ask, and leave somebody waiting."""
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().ask(request, timeout_s)


@mutant("test_no_task_is_left")
class LeavesATask(Client):
    """Starts a task for each call, and never ends it."""

    async def aask(self, request, timeout_s):
        """Ask, and leave a watch behind."""
        self.watch = asyncio.create_task(asyncio.sleep(60))
        return await super().aask(request, timeout_s)


@mutant("test_no_socket_is_left")
class LeavesASocket(Client):
    """Leaves the socket of a refused request to the garbage collector."""

    def refusal(self, status, headers, body):
        """Open one more."""
        socket.socket()
        return super().refusal(status, headers, body)


@mutant("test_closing_frees_connections", "test_aclosing_frees_connections", "test_no_socket_is_left")
class NeverCloses(Client):
    """Keeps connections open for later, and has no later."""

    def __init__(self, settings):
        super().__init__(settings)
        self.idle = []

    def reply(self, body):
        """Answer, and keep a connection."""
        self.idle.append(self.connect(Patience(self.settings, 1.0, live=False)))
        return super().reply(body)


@mutant("test_closing_twice_is_harmless")
class ClosesOnce(Client):
    """Lets an AttributeError through when it is closed again."""

    def close(self):
        """Close what is there."""
        del self.host


@mutant("test_closing_an_unused_provider_is_harmless")
class ClosesWhatItUsed(Client):
    """Lets an AttributeError through when it is closed and was never used."""

    used = None

    def message(self, request, *, live):
        """Note that it was used."""
        self.used = []
        return super().message(request, live=live)

    def close(self):
        """Close what was used."""
        self.used.clear()


@mutant("test_creating_asks_no_network", "test_validating_offline_asks_no_network")
class ConnectsEarly(Client):
    """Connects to the service when it is created."""

    def __init__(self, settings):
        super().__init__(settings)
        with suppress(OSError):
            self.connect(Patience(settings, 0.05, live=False)).close()
