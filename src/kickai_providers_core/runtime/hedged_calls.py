"""The driver for requests that may have two attempts under way; apart from the plain ones, which stay fast.

Like those it decides nothing: the walk says when a second target is asked, and which answer counts.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.forking import Guarded
from kickai_providers_core.plugin_api.cancellation import GRACE_S
from kickai_providers_core.resilience.actions import Await
from kickai_providers_core.runtime.drivers import apaced
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from kickai_providers_core.concurrency.portal import Background
    from kickai_providers_core.resilience.actions import Step, Try
    from kickai_providers_core.runtime.drivers import Course
    from kickai_providers_core.values.replies import Reply

__all__ = ["ainvoke", "invoke"]


def invoke(course: Course, background: Background) -> Reply:
    """Return the first answer, blocking the thread; the attempts are tasks of a loop in the background.

    Raises:
        KickaiError: As the walk decides.
    """
    return background.run(lambda: ainvoke(course))


async def ainvoke(course: Course) -> Reply:
    """Return the first answer without blocking the event loop; whatever else is under way then is cancelled.

    Raises:
        KickaiError: As the walk decides.
    """
    walk, clock = course.walk, course.time.clock
    calls: dict[asyncio.Task[Reply], Try] = {}
    for instance in course.instances:
        if instance is not None:
            instance.begin_validation()  # nobody waits for it when a second target is called
    try:
        step: Step = walk.next(clock())
        while True:
            if not isinstance(step, Await):
                _start(course, await apaced(course, step), calls)
            task = await _first(course, calls)
            attempt = calls.pop(task)
            try:
                reply = task.result()
            except ProviderError as error:
                step = walk.failed(error, clock(), of=attempt)
            else:
                _leave(course, calls)  # they clean up behind the answer
                return walk.succeeded(reply, clock(), of=attempt)
    except BaseException:
        course.cancel()
        _leave(course, calls)
        if calls:
            await asyncio.wait(calls, timeout=GRACE_S)
        raise


async def _first(course: Course, calls: dict[asyncio.Task[Reply], Try]) -> asyncio.Task[Reply]:
    """Return the first call to end, having started another beside it when the walk says so."""
    walk, clock = course.walk, course.time.clock
    while True:
        done, _ = await asyncio.wait(calls, timeout=walk.hedge_in_s(clock()), return_when=asyncio.FIRST_COMPLETED)
        if done:
            return done.pop()
        beside = walk.hedge(clock())
        if beside is not None:
            _start(course, beside, calls)


def _start(course: Course, attempt: Try, calls: dict[asyncio.Task[Reply], Try]) -> None:
    calls[asyncio.get_running_loop().create_task(_call(course, attempt))] = attempt


async def _call(course: Course, attempt: Try) -> Reply:
    instance, provider, request, timeout_s = course.call(attempt) or await course.acreated(attempt)
    inner = instance.seam.ainvoke(provider, request, timeout_s)
    return await Guarded(inner, course.guard, asyncio.current_task(), course.pid)  # type: ignore[no-any-return]


def _leave(course: Course, calls: dict[asyncio.Task[Reply], Try]) -> None:
    """Cancel the calls that nobody waits for any more."""
    for task, attempt in calls.items():
        task.cancel()
        instance = course.instances[attempt.link.position]
        if instance is not None:
            instance.seam.keep(task)
