"""What the scripts of the peers share: each runs in an environment of its own, and prints its figures as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from timing import awaits, calls, in_turns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

__all__ = ["PROMPT", "report"]

PROMPT = "Who can play on Saturday?"


def report(
    sides: Mapping[str, Callable[[], Any]], *, loop: asyncio.AbstractEventLoop | None = None, rounds: int = 30
) -> None:
    """Print what each side takes, in microseconds a call."""
    blocks = {name: calls(one) if loop is None else awaits(loop, one) for name, one in sides.items()}
    took = in_turns(blocks, rounds)
    print(json.dumps({name: took.us(name) for name in sides}))
