"""The report for the status page, which a process of its own builds now and then."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Reports"]

EVERY_S = 15.0
"""Seconds for which a report is shown before another one is built; it takes most of a second of processor time."""

TIMEOUT_S = 60.0
"""Seconds after which building a report is given up."""

UNAVAILABLE = {"error": "the report cannot be built now"}


@define(eq=False)
class Reports:
    """The latest report. For one event loop.

    Attributes:
        config: The settings file; None to search for it.
        clock: Returns seconds.
    """

    config: Path | None
    clock: Callable[[], float]
    _latest: dict[str, Any] = field(factory=dict, init=False, repr=False)
    _built_s: float | None = field(default=None, init=False)
    _building: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def read(self) -> dict[str, Any]:
        """Return the page of the report and the rollouts, or an ``error``. Requests that come together share one."""
        async with self._building:
            if self._built_s is None or self.clock() - self._built_s >= EVERY_S:
                self._latest = await self._build()
                self._built_s = self.clock()
        return self._latest

    async def _build(self) -> dict[str, Any]:
        options = () if self.config is None else (str(self.config),)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kickai_gateway.report_process", *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
            found = json.loads(output)
        except (TimeoutError, ValueError):
            return UNAVAILABLE
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return found if isinstance(found, dict) else UNAVAILABLE
