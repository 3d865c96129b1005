"""Ctrl-C during a wait leaves nothing locked that another thread needs."""

from __future__ import annotations

import sys
import threading

from kickai_providers_core.resilience.actions import WaitForSlot
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.runtime.sync import _wait_for_slot


def test_ctrl_c_while_a_request_waits_for_its_turn_never_blocks_who_wakes_it() -> None:
    """Wherever it interrupts, in this code and in that of the standard library."""
    place, was_interrupted = 0, True
    while was_interrupted:
        place, was_interrupted = place + 1, False
        limiter, left = RateLimiter(Limits(max_concurrency=1)), place
        running, waiting = limiter.request_ticket(0, 0.0), limiter.request_ticket(0, 0.0)

        def interrupt(_frame: object, event: str, _argument: object) -> None:
            nonlocal left, was_interrupted
            left -= event in {"call", "c_return"}  # Python handles signals when a call begins, or one of C has ended
            if left == 0:
                was_interrupted, left = True, -1
                raise KeyboardInterrupt

        before = sys.getprofile()
        sys.setprofile(interrupt)
        try:
            _wait_for_slot(WaitForSlot(waiting, 0.001))
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(before)
        waking = threading.Thread(target=running.release, args=(1.0,), daemon=True)
        waking.start()
        waking.join(20)
        assert not waking.is_alive(), f"interrupted at the {place}th place"
        assert waiting.admitted
    assert place > 5
