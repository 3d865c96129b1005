"""The asyncio driver: carries out the actions of a walk without blocking the event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.flag import LONGEST_WAIT_S
from kickai_providers_core.resilience.actions import Call, Fail, Sleep, Validate, WaitForSlot
from kickai_providers_core.runtime.candidate_instances import find_instance
from kickai_providers_core.runtime.sync import cancel
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from kickai_providers_core.resilience.actions import Action
    from kickai_providers_core.resilience.walk import Walk
    from kickai_providers_core.runtime.candidate_instances import Instances
    from kickai_providers_core.values.replies import Reply

__all__ = ["ainvoke", "await_call"]


async def ainvoke(walk: Walk, instances: Instances) -> Reply:
    """Return the first answer. Cancelling it cancels the attempt that is running.

    Args:
        walk: Decides what to call.
        instances: The provider instance of each candidate, by position.

    Raises:
        KickaiError: As the walk decides.
    """
    clock, request = walk.chain.time.clock, walk.request
    action: Action | None = None
    try:
        action = walk.next(clock())
        while True:
            call = action if isinstance(action, Call) else await await_call(walk, instances, action)
            try:
                reply = await find_instance(instances, call).ainvoke(call.request, call.timeout_s)
                reply = request.parse(reply)
            except ProviderError as error:
                action = walk.record_failure(error, clock())
            else:
                return walk.record_success(reply, clock())
    except BaseException:
        cancel(walk)
        raise
    finally:
        action = None  # this and the walk refer to errors, which refer to this frame: no reference cycle
        del walk


async def await_call(walk: Walk, instances: Instances, action: Action) -> Call:
    """Wait as the walk says, and return the call that it comes to.

    Raises:
        KickaiError: The walk fails instead.
    """
    while not isinstance(action, Call):
        if isinstance(action, Fail):
            try:
                raise action.error
            finally:
                del walk, action  # as in `ainvoke`
        if isinstance(action, WaitForSlot):
            await _wait_for_slot(action)
        elif isinstance(action, Validate):
            await find_instance(instances, action).validation.await_(action.timeout_s)
        elif isinstance(action, Sleep):
            await walk.chain.time.asleep(min(action.wait_s, LONGEST_WAIT_S))
        action = walk.next(walk.chain.time.clock())
    return action


async def _wait_for_slot(action: WaitForSlot) -> None:
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended, and the request with it
            loop.call_soon_threadsafe(_set_done, woken)

    action.ticket.on_wake(wake)
    await asyncio.wait((woken,), timeout=min(action.wait_s, LONGEST_WAIT_S))


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
