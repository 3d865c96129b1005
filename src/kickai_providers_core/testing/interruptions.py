"""Interrupts code as Ctrl-C may, to test that it leaves nothing locked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["interrupt_at"]


def interrupt_at(place: int, run: Callable[[], object]) -> bool:
    """Call a function, raise a `KeyboardInterrupt` in it, and return whether it reached the place.

    Python handles signals when a call begins, and when one of a function in C has ended. Call this with each place from
    1 until it returns False, and check after each one that what was used still works, in another thread too.

    Args:
        place: The number of the place, from 1; all those in the standard library count as well.
        run: The function. It must not create threads that it waits for.
    """
    left = place

    def interrupt(_frame: object, event: str, _argument: object) -> None:
        nonlocal left
        left -= event in {"call", "c_return"}
        if left == 0 and event in {"call", "c_return"}:
            raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(interrupt)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False
