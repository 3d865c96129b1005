"""Shared by the scripts of the other libraries. Each script prints its figures as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from timing import alternate, time_async_calls, time_calls

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

__all__ = ["PROMPT", "report"]

PROMPT = "Who can play on Saturday?"


def report(
    sides: Mapping[str, Callable[[], Any]], *, loop: asyncio.AbstractEventLoop | None = None, rounds: int = 30
) -> None:
    """Print the microseconds per call of each side."""
    blocks = {name: time_calls(call) if loop is None else time_async_calls(loop, call) for name, call in sides.items()}
    timings = alternate(blocks, rounds)
    print(json.dumps({name: timings.median_us(name) for name in sides}))
