"""Many simultaneous callers of one chain: threads, and tasks on several event loops, in all modes; some cancel."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle, islice
from threading import Thread
from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core import KickaiError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from soak.ledger import Ledger

    from kickai_providers_core import AsyncReplyStream, Chain, ReplyStream
    from kickai_providers_core.runtime.streaming import StreamMode

__all__ = ["WAYS", "Traffic"]

MODES: tuple[StreamMode, ...] = ("live", "restart", "buffered")
SYNC = ("invoke", *(f"stream, {mode}" for mode in MODES))
ASYNC = ("ainvoke", *(f"astream, {mode}" for mode in MODES))
WAYS = (*SYNC, *ASYNC)

IMPATIENT = 49
"""One in this many async requests is cancelled soon after its start."""


@frozen
class Traffic:
    """Calls a chain for some time, and records how each request ends.

    Attributes:
        chain: The chain.
        ledger: Counts the requests.
        pause_s: The pause of a caller between two requests.
        impatience_s: The time after which a request is cancelled.
        loops: The number of event loops for the tasks.
    """

    chain: Chain
    ledger: Ledger
    pause_s: float
    impatience_s: float
    loops: int = 4

    def run(self, seconds: float, *, threads: int, tasks: int) -> int:
        """Call from this many threads and tasks; return how many tasks are left at the end."""
        ends = time.monotonic() + seconds
        left: list[int] = []

        def turn(first: int) -> None:
            left.append(asyncio.run(self._acall_on(range(first, tasks, self.loops), ends)))

        crew = [Thread(target=self._call_on, args=(number, ends)) for number in range(threads)]
        crew += [Thread(target=turn, args=(first,)) for first in range(self.loops)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        return sum(left)

    def _call_on(self, number: int, ends: float) -> None:
        for way in islice(cycle(SYNC), number % len(SYNC), None):
            if time.monotonic() > ends:
                return
            self._count(way, self.chain.invoke if way == "invoke" else self._stream)
            time.sleep(self.pause_s)

    def _stream(self, way: str) -> None:
        mode = _mode(way)
        with self.chain.stream("hi", mode=mode) as chunks:
            seen = _Received(mode)
            try:
                for chunk in chunks:
                    seen.add(chunk.text, restart=chunk.restart)
            except ProviderError as error:
                seen.check_error(error)
                raise
            seen.check_end(chunks)

    def _count(self, way: str, ask: Callable[[str], object]) -> None:
        self.ledger.record_start()
        began = time.monotonic()
        try:
            ask(way)
        except KickaiError as error:
            self.ledger.record_end(way, type(error).__name__, time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001 - the test looks for any other error
            self.ledger.record_end(way, repr(error), time.monotonic() - began, strange=True)
        else:
            self.ledger.record_end(way, "reply", time.monotonic() - began)

    async def _acall_on(self, numbers: range, ends: float) -> int:
        await asyncio.gather(*(self._run_task(number, numbers.stop, ends) for number in numbers))
        return len(asyncio.all_tasks()) - 1

    async def _run_task(self, number: int, tasks: int, ends: float) -> None:
        await asyncio.sleep(self.pause_s * number / tasks)  # not all at the same time
        while time.monotonic() < ends:
            number += self.loops
            way = ASYNC[number // self.loops % len(ASYNC)]
            ask = self.chain.ainvoke if way == "ainvoke" else self._astream
            await self._acount(way, ask, impatient=number // self.loops % IMPATIENT == 0)
            await asyncio.sleep(self.pause_s)

    async def _astream(self, way: str) -> None:
        mode = _mode(way)
        async with self.chain.astream("hi", mode=mode) as chunks:
            seen = _Received(mode)
            try:
                async for chunk in chunks:
                    seen.add(chunk.text, restart=chunk.restart)
            except ProviderError as error:
                seen.check_error(error)
                raise
            seen.check_end(chunks)

    async def _acount(self, way: str, ask: Callable[[str], Awaitable[object]], *, impatient: bool) -> None:
        self.ledger.record_start()
        began = time.monotonic()
        task = asyncio.ensure_future(ask(way))
        try:
            if impatient:
                await asyncio.sleep(self.impatience_s)
                task.cancel()
            await task
        except KickaiError as error:
            self.ledger.record_end(way, type(error).__name__, time.monotonic() - began)
        except asyncio.CancelledError:
            self.ledger.record_end(way, "cancelled", time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001 - the test looks for any other error
            self.ledger.record_end(way, repr(error), time.monotonic() - began, strange=True)
        else:
            self.ledger.record_end(way, "reply", time.monotonic() - began)


def _mode(way: str) -> StreamMode:
    return next(mode for mode in MODES if way.endswith(mode))


class _Received:
    """What a reader has received of a stream; raises when the mode's promise is broken."""

    def __init__(self, mode: StreamMode) -> None:
        self._mode = mode
        self._text = ""

    def add(self, text: str, *, restart: bool) -> None:
        """Check a piece."""
        assert not restart or self._mode == "restart"
        self._text = "" if restart else self._text + text

    def check_end(self, chunks: ReplyStream | AsyncReplyStream) -> None:
        """Check the end: the pieces are the whole answer."""
        assert chunks.reply is not None
        assert self._text == chunks.reply.text

    def check_error(self, error: ProviderError) -> None:
        """Check an error: only a live stream has one after a piece, and its `partial_text` is what was read."""
        assert self._text == ("" if self._mode == "buffered" else error.partial_text)
        assert not self._text or self._mode == "live"
