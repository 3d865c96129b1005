"""Mutants that cannot be shared between threads, tasks, event loops or instances."""

from __future__ import annotations

import asyncio
import time
from functools import cached_property

from kestrel.client import Client
from kestrel.mutants.registry import mutant
from kestrel.plugin import KestrelPlugin
from kickai_providers_core.plugin_api.hookspecs import hookimpl


@mutant(
    "test_the_loop_is_not_blocked",
    "test_tasks_do_not_wait_for_each_other",
    "test_cancelling_closes_the_connection",
    "test_the_next_call_works_after_a_cancellation",
    "test_cleaning_up_after_cancellation_ends_in_time",
)
class BlocksTheLoop(Client):
    """Makes its blocking call on the event loop."""

    async def ainvoke(self, request, timeout_s):
        """Make the blocking call."""
        return self.invoke(request, timeout_s)


@mutant("test_two_loops_at_once_work", "test_threads_share_a_provider")
class BelongsToOneLoop(Client):
    """Keeps a semaphore that belongs to the event loop that used it first."""

    def __init__(self, settings):
        super().__init__(settings)
        self.turns = asyncio.Semaphore(3)

    async def ainvoke(self, request, timeout_s):
        """Wait for the semaphore."""
        async with self.turns:
            return await super().ainvoke(request, timeout_s)


@mutant(
    "test_a_second_loop_works",
    "test_calls_in_turn_get_their_own_answers",
    "test_threads_share_a_provider",
    "test_nothing_secret_is_logged",
)
class KeepsTheFirstLoop(Client):
    """Keeps objects of the first event loop, and uses them again in the third."""

    @cached_property
    def loops(self):
        """Return the loops that were used."""
        return []

    async def astream(self, request, timeout_s):
        """Fail in the third loop."""
        self.loops.append(asyncio.get_running_loop())
        if len(self.loops) > 2 and self.loops[0].is_closed():
            raise RuntimeError("Event loop is closed")
        async for chunk in super().astream(request, timeout_s):
            yield chunk


@mutant("test_threads_share_a_provider")
class SharesRequestsBetweenThreads(Client):
    """Keeps the request in the client, where another thread overwrites it."""

    def invoke(self, request, timeout_s):
        """Read the request again a moment later."""
        self.request = request
        time.sleep(0.005)
        return super().invoke(self.request, timeout_s)


@mutant("test_tasks_share_a_provider", "test_two_loops_at_once_work", "test_threads_share_a_provider")
class SharesRequestsBetweenTasks(Client):
    """Keeps the request in the client, where another task overwrites it."""

    async def ainvoke(self, request, timeout_s):
        """Read the request again a moment later."""
        self.request = request
        await asyncio.sleep(0.005)
        return await super().ainvoke(self.request, timeout_s)


@mutant("test_instances_share_nothing")
class SharesItsSettings(KestrelPlugin):
    """Keeps the settings of all instances in one place."""

    latest = None

    def client(self, settings):
        """Remember the newest client."""
        client = super().client(settings)
        SharesItsSettings.latest = client
        return client

    @hookimpl
    def kickai_invoke_provider(self, provider, request, timeout_s):
        """Call the newest client."""
        return SharesItsSettings.latest.invoke(request, timeout_s)


@mutant("test_the_next_call_works")
class FailsTwice(Client):
    """Fails in the next call too after a connection was lost."""

    broken = False

    def build_connection_error(self, timeouts):
        """Remember the failure."""
        self.broken = True
        return super().build_connection_error(timeouts)

    def connect(self, timeouts):
        """Fail again."""
        if self.broken:
            self.broken = False
            raise OSError
        return super().connect(timeouts)


@mutant("test_modes_mix")
class FailsInAsyncAfterSync(Client):
    """Fails on an event loop after it was called without one."""

    sync = False

    def invoke(self, request, timeout_s):
        """Remember the sync call."""
        self.sync = True
        return super().invoke(request, timeout_s)

    async def ainvoke(self, request, timeout_s):
        """Fail after a sync call."""
        if self.sync:
            raise RuntimeError("this client is synchronous")
        return await super().ainvoke(request, timeout_s)
