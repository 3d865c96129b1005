"""The blocking driver: carries out the actions of a walk in the caller's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.flag import LONGEST_WAIT_S, Flag
from kickai_providers_core.concurrency.forking import require_same_process
from kickai_providers_core.resilience.actions import Call, Fail, Sleep, Validate, WaitForSlot
from kickai_providers_core.runtime.candidate_instances import find_instance
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from kickai_providers_core.resilience.actions import Action
    from kickai_providers_core.resilience.walk import Walk
    from kickai_providers_core.runtime.candidate_instances import Instances
    from kickai_providers_core.values.replies import Reply

__all__ = ["cancel", "invoke", "wait_for_call"]


def invoke(walk: Walk, instances: Instances) -> Reply:
    """Return the first answer, blocking the thread.

    Args:
        walk: Decides what to call.
        instances: The provider instance of each candidate, by position.

    Raises:
        KickaiError: As the walk decides.
        RuntimeError: The process forked during a call.
    """
    clock, request, pid = walk.chain.time.clock, walk.request, walk.request.pid
    action: Action | None = None
    try:
        action = walk.next(clock())
        while True:
            call = action if isinstance(action, Call) else wait_for_call(walk, instances, action)
            try:
                reply = find_instance(instances, call).invoke(call.request, call.timeout_s)
                reply = request.parse(reply)
            except ProviderError as error:
                require_same_process(pid)
                action = walk.record_failure(error, clock())
            else:
                require_same_process(pid)
                return walk.record_success(reply, clock())
    except BaseException:
        cancel(walk)
        raise
    finally:
        action = None  # this and the walk refer to errors, which refer to this frame: no reference cycle
        del walk


def wait_for_call(walk: Walk, instances: Instances, action: Action) -> Call:
    """Wait as the walk says, and return the call that it comes to.

    Raises:
        KickaiError: The walk fails instead.
    """
    while not isinstance(action, Call):
        if isinstance(action, Fail):
            try:
                raise action.error
            finally:
                del walk, action  # as in `invoke`
        if isinstance(action, WaitForSlot):
            _wait_for_slot(action)
        elif isinstance(action, Validate):
            find_instance(instances, action).validation.wait(action.timeout_s)
        elif isinstance(action, Sleep):
            walk.chain.time.sleep(min(action.wait_s, LONGEST_WAIT_S))
        action = walk.next(walk.chain.time.clock())
    return action


def cancel(walk: Walk) -> None:
    """Record that the request was cancelled. In a child that was forked during the request, raise instead.

    Raises:
        RuntimeError: The request began in the parent process, which goes on with it.
    """
    require_same_process(walk.request.pid)
    walk.record_cancellation(walk.chain.time.clock())


def _wait_for_slot(action: WaitForSlot) -> None:
    woken = Flag()
    action.ticket.on_wake(woken.set)
    woken.wait(action.wait_s)
