"""Providers that cannot be shared between threads, tasks, loops or instances."""

from __future__ import annotations

import asyncio
import time

from kestrel.client import Client
from kestrel.plugin import KestrelPlugin
from kestrel.wrong.register import mutant
from kickai_providers_core.plugin_api.hookspecs import hookimpl


@mutant(
    "test_the_loop_is_not_blocked",
    "test_tasks_do_not_wait_for_each_other",
    "test_cancelling_frees",
    "test_a_cancelled_call_takes_nothing_from_the_next",
    "test_cleaning_up_after_cancellation_ends_in_time",
)
class BlocksTheLoop(Client):
    """Makes its sync call on the event loop."""

    async def aask(self, request, timeout_s):
        """Block."""
        return self.ask(request, timeout_s)


@mutant("test_two_loops_at_once_work", "test_threads_share_a_provider")
class BelongsToOneLoop(Client):
    """Keeps a semaphore that belongs to the loop in which it was first waited for."""

    def __init__(self, settings):
        super().__init__(settings)
        self.turns = asyncio.Semaphore(3)

    async def aask(self, request, timeout_s):
        """Wait for a turn."""
        async with self.turns:
            return await super().aask(request, timeout_s)


@mutant(
    "test_a_second_loop_works",
    "test_calls_in_turn_get_their_own_answers",
    "test_threads_share_a_provider",
    "test_nothing_secret_is_logged",
)
class RemembersItsLoops(Client):
    """Keeps what belongs to the first loop, and uses it again in the third."""

    def __init__(self, settings):
        super().__init__(settings)
        self.loops = []

    async def astream(self, request, timeout_s):
        """Refuse a third loop."""
        self.loops.append(asyncio.get_running_loop())
        if len(self.loops) > 2 and self.loops[0].is_closed():
            raise RuntimeError("Event loop is closed")
        async for chunk in super().astream(request, timeout_s):
            yield chunk


@mutant("test_threads_share_a_provider")
class MixesThreadsUp(Client):
    """Keeps the request in the client, where another thread overwrites it."""

    def ask(self, request, timeout_s):
        """Look at the request again a moment later."""
        self.asked = request
        time.sleep(0.005)
        return super().ask(self.asked, timeout_s)


@mutant("test_tasks_share_a_provider", "test_two_loops_at_once_work", "test_threads_share_a_provider")
class MixesTasksUp(Client):
    """Keeps the request in the client, where another task overwrites it."""

    async def aask(self, request, timeout_s):
        """Look at the request again a moment later."""
        self.asked = request
        await asyncio.sleep(0.005)
        return await super().aask(self.asked, timeout_s)


@mutant("test_instances_share_nothing")
class SharesItsSettings(KestrelPlugin):
    """Keeps the settings of all instances in one place."""

    latest = None

    def client(self, settings):
        """Return a client whose settings are those of the newest."""
        client = super().client(settings)
        SharesItsSettings.latest = client
        return client

    @hookimpl
    def kickai_invoke_provider(self, provider, request, timeout_s):
        """Ask the newest client."""
        return SharesItsSettings.latest.ask(request, timeout_s)


@mutant("test_the_next_call_works", "test_a_service_that_was_not_reached_is_reported_as_such")
class StaysBroken(Client):
    """Believes, after a connection was lost, that the next one is lost too."""

    broken = False

    def lost(self, patience):
        """Remember it."""
        self.broken = True
        return super().lost(patience)

    def connect(self, patience):
        """Fail once more."""
        if self.broken:
            self.broken = False
            raise OSError
        return super().connect(patience)


@mutant("test_modes_mix")
class SyncOrAsync(Client):
    """Cannot be called on a loop any more once it was called without one."""

    sync = False

    def ask(self, request, timeout_s):
        """Settle for sync."""
        self.sync = True
        return super().ask(request, timeout_s)

    async def aask(self, request, timeout_s):
        """Refuse."""
        if self.sync:
            raise RuntimeError("this client is sync")
        return await super().aask(request, timeout_s)
