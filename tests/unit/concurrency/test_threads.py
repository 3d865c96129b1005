"""Iterators that are read in a thread, and how they are stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.concurrency import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Counted:
    """An iterator without an end that counts what was taken from it."""

    def __init__(self) -> None:
        self.taken = 0
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[int]:
        try:
            while True:
                self.taken += 1
                yield self.taken
        finally:
            self.closed.set()


def patience(seconds: float) -> Callable[[], float]:
    """Return a function that says how much time is left, as an adapter does."""
    ends = time.monotonic() + seconds
    return lambda: max(0.0, ends - time.monotonic())


def test_an_iterator_that_never_pauses_is_stopped_when_the_time_is_over() -> None:
    """Nothing from after the end is handed out, however far ahead it is, and it is closed."""
    endless, taken = Counted(), list[int]()
    items = threads.iterate(lambda: iter(endless), patience(0.1))
    assert next(items) == 1
    time.sleep(0.15)

    def read_on() -> None:
        while len(taken) <= 3 * threads.MAX_BUFFERED:
            taken.append(next(items))
            time.sleep(0)  # it has every opportunity to go on

    with pytest.raises(TimeoutError):
        read_on()
    assert len(taken) <= threads.MAX_BUFFERED + 2
    assert endless.closed.wait(5)


def test_a_slow_reader_gets_all_items_that_came_in_time() -> None:
    """A reader that takes its time between two items loses none that were there."""
    items = threads.iterate(lambda: iter([1, 2, 3]), patience(0.1))
    assert next(items) == 1
    time.sleep(0.2)
    assert list(items) == [2, 3]


def settled(endless: Counted) -> int:
    """Return how much was taken, once no more is."""
    before = -1
    while endless.taken != before:
        before = endless.taken
        time.sleep(0.05)
    return before


def test_no_iterator_is_read_far_ahead() -> None:
    """A slow reader, sync or async, gets items on demand, and can stop at any time."""
    endless = Counted()
    items = threads.iterate(lambda: iter(endless), lambda: 10.0)
    assert next(items) == 1
    assert settled(endless) <= threads.MAX_BUFFERED + 2
    items.close()
    assert endless.closed.wait(5)

    async def main(endless: Counted) -> None:
        items = threads.aiterate(lambda: iter(endless))
        assert await anext(items) == 1
        for _ in range(2):
            await asyncio.sleep(0.05)
        assert settled(endless) <= threads.MAX_BUFFERED + 2
        await items.aclose()
        assert endless.closed.wait(5)

    asyncio.run(main(Counted()))
