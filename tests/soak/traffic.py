"""Many callers of one chain at once: threads, and tasks of several loops, in all ways of calling, some impatient."""

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
    from kickai_providers_core.runtime.drivers import StreamMode

__all__ = ["WAYS", "Traffic"]

MODES: tuple[StreamMode, ...] = ("live", "restart", "buffered")
SYNC = ("invoke", *(f"stream, {mode}" for mode in MODES))
ASYNC = ("ainvoke", *(f"astream, {mode}" for mode in MODES))
WAYS = (*SYNC, *ASYNC)

IMPATIENT = 49
"""Every so many async requests one is cancelled soon after it began."""


@frozen
class Traffic:
    """Asks a chain for a while, and writes down how each request ended.

    Attributes:
        chain: What is asked.
        ledger: Where it is written down.
        pause_s: How long a caller rests between two requests.
        impatience_s: How long an impatient one waits.
        loops: How many event loops the tasks are on.
    """

    chain: Chain
    ledger: Ledger
    pause_s: float
    impatience_s: float
    loops: int = 4

    def run(self, seconds: float, *, threads: int, tasks: int) -> int:
        """Ask from so many threads and tasks at once; return how many tasks were left when all had ended."""
        ends = time.monotonic() + seconds
        left: list[int] = []

        def turn(first: int) -> None:
            left.append(asyncio.run(self._aask_on(range(first, tasks, self.loops), ends)))

        crew = [Thread(target=self._ask_on, args=(number, ends)) for number in range(threads)]
        crew += [Thread(target=turn, args=(first,)) for first in range(self.loops)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        return sum(left)

    def _ask_on(self, number: int, ends: float) -> None:
        for way in islice(cycle(SYNC), number % len(SYNC), None):
            if time.monotonic() > ends:
                return
            self._counted(way, self.chain.invoke if way == "invoke" else self._stream)
            time.sleep(self.pause_s)

    def _stream(self, way: str) -> None:
        mode = _mode(way)
        with self.chain.stream("hi", mode=mode) as chunks:
            seen = _Seen(mode)
            try:
                for chunk in chunks:
                    seen.takes(chunk.text, restart=chunk.restart)
            except ProviderError as error:
                seen.broke(error)
                raise
            seen.ends(chunks)

    def _counted(self, way: str, ask: Callable[[str], object]) -> None:
        self.ledger.begins()
        began = time.monotonic()
        try:
            ask(way)
        except KickaiError as error:
            self.ledger.ended(way, type(error).__name__, time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001  what else there may be is what is looked for
            self.ledger.ended(way, repr(error), time.monotonic() - began, strange=True)
        else:
            self.ledger.ended(way, "reply", time.monotonic() - began)

    async def _aask_on(self, numbers: range, ends: float) -> int:
        await asyncio.gather(*(self._atask(number, numbers.stop, ends) for number in numbers))
        return len(asyncio.all_tasks()) - 1

    async def _atask(self, number: int, tasks: int, ends: float) -> None:
        await asyncio.sleep(self.pause_s * number / tasks)  # not all in step
        while time.monotonic() < ends:
            number += self.loops
            way = ASYNC[number // self.loops % len(ASYNC)]
            ask = self.chain.ainvoke if way == "ainvoke" else self._astream
            await self._acounted(way, ask, impatient=number // self.loops % IMPATIENT == 0)
            await asyncio.sleep(self.pause_s)

    async def _astream(self, way: str) -> None:
        mode = _mode(way)
        async with self.chain.astream("hi", mode=mode) as chunks:
            seen = _Seen(mode)
            try:
                async for chunk in chunks:
                    seen.takes(chunk.text, restart=chunk.restart)
            except ProviderError as error:
                seen.broke(error)
                raise
            seen.ends(chunks)

    async def _acounted(self, way: str, ask: Callable[[str], Awaitable[object]], *, impatient: bool) -> None:
        self.ledger.begins()
        began = time.monotonic()
        task = asyncio.ensure_future(ask(way))
        try:
            if impatient:
                await asyncio.sleep(self.impatience_s)
                task.cancel()
            await task
        except KickaiError as error:
            self.ledger.ended(way, type(error).__name__, time.monotonic() - began)
        except asyncio.CancelledError:
            self.ledger.ended(way, "cancelled", time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001  what else there may be is what is looked for
            self.ledger.ended(way, repr(error), time.monotonic() - began, strange=True)
        else:
            self.ledger.ended(way, "reply", time.monotonic() - began)


def _mode(way: str) -> StreamMode:
    return next(mode for mode in MODES if way.endswith(mode))


class _Seen:
    """What a reader has of a stream; raises when that is not what the mode promises."""

    def __init__(self, mode: StreamMode) -> None:
        self._mode = mode
        self._text = ""

    def takes(self, text: str, *, restart: bool) -> None:
        """Take a piece."""
        assert not restart or self._mode == "restart"
        self._text = "" if restart else self._text + text

    def ends(self, chunks: ReplyStream | AsyncReplyStream) -> None:
        """Take the end: what was read is the whole answer."""
        assert chunks.reply is not None
        assert self._text == chunks.reply.text

    def broke(self, error: ProviderError) -> None:
        """Take an error of one target: only a live stream has one after a piece, and it carries what was read."""
        assert self._text == ("" if self._mode == "buffered" else error.partial_text)
        assert not self._text or self._mode == "live"
