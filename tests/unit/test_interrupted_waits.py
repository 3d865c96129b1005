"""Ctrl-C during a wait leaves nothing locked that another thread needs, wherever it interrupts."""

from __future__ import annotations

import threading
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING

from kickai_providers_core.concurrency import threads
from kickai_providers_core.concurrency.flag import Flag
from kickai_providers_core.concurrency.single_flight import SingleFlight
from kickai_providers_core.resilience.actions import WaitForSlot
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.runtime.sync import _wait_for_slot
from kickai_providers_core.testing.interruptions import interrupt_at

if TYPE_CHECKING:
    from collections.abc import Callable

ENDS_S = 20.0


def ends(run: Callable[[], object]) -> bool:
    """Return whether a function ends in another thread."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ENDS_S)
    return not thread.is_alive()


def test_ctrl_c_while_a_request_waits_for_its_turn_never_blocks_who_wakes_it() -> None:
    """Wherever it interrupts, in this code and in that of the standard library."""
    place, was_interrupted = 0, True
    while was_interrupted:
        place, limiter = place + 1, RateLimiter(Limits(max_concurrency=1))
        running, waiting = limiter.request_ticket(0, 0.0), limiter.request_ticket(0, 0.0)
        was_interrupted = interrupt_at(place, lambda: _wait_for_slot(WaitForSlot(waiting, 0.001)))  # noqa: B023
        waking = threading.Thread(target=running.release, args=(1.0,), daemon=True)
        waking.start()
        waking.join(20)
        assert not waking.is_alive(), f"interrupted at the {place}th place"
        assert waiting.admitted
    assert place > 5


def test_ctrl_c_during_a_wait_for_a_flag_never_blocks_another_thread() -> None:
    """It can be set, and others can wait for it."""
    for place in count(1):
        flag = Flag()
        if not interrupt_at(place, lambda: flag.wait(0.001)):  # noqa: B023
            break
        assert ends(lambda: (flag.set(), flag.wait(ENDS_S))), f"interrupted at the {place}th place"  # noqa: B023
        assert flag.is_set()
    assert place > 5


def test_ctrl_c_during_a_wait_for_a_shared_call_never_blocks_another_caller() -> None:
    """The call ends, and all others get its result."""
    for place in count(1):
        go_on: SimpleQueue[int] = SimpleQueue()
        shared = SingleFlight(go_on.get)
        shared.begin()

        def wait() -> None:
            try:
                shared.wait(0.001)  # noqa: B023
            except TimeoutError:
                return

        was_interrupted = interrupt_at(place, wait)
        go_on.put(7)
        assert ends(lambda: shared.wait(ENDS_S)), f"interrupted at the {place}th place"  # noqa: B023
        assert shared.wait(0.0) == 7
        if not was_interrupted:
            break
    assert place > 5


def test_ctrl_c_between_chunks_that_a_thread_reads_never_blocks_the_thread_or_its_reader() -> None:
    """The rest can be left at any time, and the thread closes the stream."""
    for place in count(1):
        closed = Flag()
        chunks = threads.iterate(lambda: iter("abc"), lambda: ENDS_S, closed.set)
        assert next(chunks) == "a"
        was_interrupted = interrupt_at(place, lambda: [next(chunks), next(chunks)])  # noqa: B023
        assert ends(chunks.close), f"interrupted at the {place}th place"
        assert closed.wait(ENDS_S)
        if not was_interrupted:
            break
    assert place > 5
