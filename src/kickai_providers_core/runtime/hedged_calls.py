"""The driver for hedged requests, which may have two attempts at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.forking import ForkAwareAwaitable
from kickai_providers_core.plugin_api.cancellation import GRACE_S
from kickai_providers_core.resilience.actions import WaitForOther
from kickai_providers_core.runtime.aio import await_call
from kickai_providers_core.runtime.candidate_instances import find_instance
from kickai_providers_core.runtime.sync import cancel
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from kickai_providers_core.concurrency.forking import ForkGuard
    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.resilience.actions import Action, Call
    from kickai_providers_core.resilience.walk import Walk
    from kickai_providers_core.runtime.candidate_instances import Instances
    from kickai_providers_core.values.replies import Reply

__all__ = ["ainvoke", "invoke"]

Tasks = dict["asyncio.Task[Reply]", "Call"]
"""The attempts that are running."""


def invoke(walk: Walk, instances: Instances) -> Reply:
    """Return the first answer, blocking the thread. The attempts are tasks of the portal's event loop.

    Raises:
        KickaiError: As the walk decides.
    """
    return walk.chain.portal.run(lambda: ainvoke(walk, instances))


async def ainvoke(walk: Walk, instances: Instances) -> Reply:
    """Return the first answer, and cancel the other attempt, which cleans up in the background.

    Raises:
        KickaiError: As the walk decides.
    """
    clock = walk.chain.time.clock
    tasks: Tasks = {}
    action: Action | None = None
    task: asyncio.Task[Reply] | None = None
    for instance in instances:
        if instance is not None:
            instance.validation.begin()  # a second target is called without waiting for it
    try:
        action = walk.next(clock())
        while True:
            if not isinstance(action, WaitForOther):
                _start(walk, instances, await await_call(walk, instances, action), tasks)
            task = await _wait_for_first(walk, instances, tasks)
            call = tasks.pop(task)
            try:
                reply = walk.request.parse(task.result())
            except ProviderError as error:
                action = walk.record_failure(error, clock(), call=call)
            else:
                _abandon(instances, tasks)
                return walk.record_success(reply, clock(), call=call)
    except BaseException:
        cancel(walk)
        _abandon(instances, tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_S)
        raise
    finally:
        action = task = None  # these and the walk refer to errors, which refer to this frame: no reference cycle
        del walk


async def _wait_for_first(walk: Walk, instances: Instances, tasks: Tasks) -> asyncio.Task[Reply]:
    """Return the first attempt to end, and start another one when the walk says so."""
    clock = walk.chain.time.clock
    while True:
        done, _ = await asyncio.wait(
            tasks, timeout=walk.find_hedge_wait_s(clock()), return_when=asyncio.FIRST_COMPLETED
        )
        if done:
            return done.pop()
        second = walk.hedge(clock())
        if second is not None:
            _start(walk, instances, second, tasks)


def _start(walk: Walk, instances: Instances, call: Call, tasks: Tasks) -> None:
    running = _run(find_instance(instances, call), call, walk.chain.fork_guard, walk.request.pid)
    tasks[asyncio.get_running_loop().create_task(running)] = call


async def _run(instance: Instance, call: Call, guard: ForkGuard, pid: int) -> Reply:
    inner = instance.ainvoke(call.request, call.timeout_s)
    return await ForkAwareAwaitable(inner, guard, asyncio.current_task(), pid)  # type: ignore[no-any-return]


def _abandon(instances: Instances, tasks: Tasks) -> None:
    """Cancel the attempts whose answer is not needed any more."""
    for task, call in tasks.items():
        task.cancel()
        find_instance(instances, call).adapter.keep(task)
