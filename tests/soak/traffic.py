"""Many callers of one chain at once: threads and tasks, in all four ways of calling, some of them impatient."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle
from threading import Thread
from typing import TYPE_CHECKING

from kickai_providers_core import KickaiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from soak.ledger import Ledger

    from kickai_providers_core import Chain

__all__ = ["Traffic"]

IMPATIENT = 50
"""Every so many async requests one is cancelled soon after it began."""


class Traffic:
    """Asks a chain for a while, and writes down how each request ended."""

    def __init__(self, chain: Chain, ledger: Ledger, *, pause_s: float, impatience_s: float) -> None:
        self.chain = chain
        self.ledger = ledger
        self.pause_s = pause_s
        self.impatience_s = impatience_s

    def run(self, seconds: float, *, threads: int, tasks: int) -> int:
        """Ask from so many threads and tasks at once; return how many tasks were left when all had ended."""
        ends = time.monotonic() + seconds
        crew = [Thread(target=self._ask_on, args=(number, ends)) for number in range(threads)]
        for thread in crew:
            thread.start()
        left = asyncio.run(self._aask_on(tasks, ends))
        for thread in crew:
            thread.join()
        return left

    def _ask_on(self, number: int, ends: float) -> None:
        ways: list[Callable[[], object]] = [lambda: self.chain.invoke("hi"), self._stream]
        for way in cycle(ways[:: 1 if number % 2 else -1]):
            if time.monotonic() > ends:
                return
            self._counted(way)
            time.sleep(self.pause_s)

    def _stream(self) -> None:
        with self.chain.stream("hi", mode="restart") as chunks:
            for _ in chunks:
                pass

    def _counted(self, way: Callable[[], object]) -> None:
        self.ledger.begins()
        began = time.monotonic()
        try:
            way()
        except KickaiError as error:
            self.ledger.ended(type(error).__name__, time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001  what else there may be is what is looked for
            self.ledger.ended(repr(error), time.monotonic() - began, strange=True)
        else:
            self.ledger.ended("reply", time.monotonic() - began)

    async def _aask_on(self, tasks: int, ends: float) -> int:
        await asyncio.gather(*(self._atask(number, tasks, ends) for number in range(tasks)))
        return len(asyncio.all_tasks()) - 1

    async def _atask(self, number: int, tasks: int, ends: float) -> None:
        await asyncio.sleep(self.pause_s * number / tasks)  # not all in step
        while time.monotonic() < ends:
            number += 1
            way = self._astream if number % 4 == 0 else lambda: self.chain.ainvoke("hi")
            await self._acounted(way, impatient=number % IMPATIENT == 0)
            await asyncio.sleep(self.pause_s)

    async def _astream(self) -> None:
        async with self.chain.astream("hi", mode="buffered") as chunks:
            async for _ in chunks:
                pass

    async def _acounted(self, way: Callable[[], object], *, impatient: bool) -> None:
        self.ledger.begins()
        began = time.monotonic()
        task = asyncio.ensure_future(way())
        try:
            if impatient:
                await asyncio.sleep(self.impatience_s)
                task.cancel()
            await task
        except KickaiError as error:
            self.ledger.ended(type(error).__name__, time.monotonic() - began)
        except asyncio.CancelledError:
            self.ledger.ended("cancelled", time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001  what else there may be is what is looked for
            self.ledger.ended(repr(error), time.monotonic() - began, strange=True)
        else:
            self.ledger.ended("reply", time.monotonic() - began)
