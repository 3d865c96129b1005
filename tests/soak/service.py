"""The invented service in a separate process; a fifth of its answers are faults.

Prints its port; then, for each line on its standard input, how many clients are connected and how many requests came.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from kickai_providers_core.testing import faults

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from kestrel.wire import KestrelWire

if TYPE_CHECKING:
    from kickai_providers_core.testing.faults import Exchange


@frozen
class Either(faults.Fault):
    """One fault for whole answers and another for streams."""

    whole: faults.Fault
    streamed: faults.Fault

    async def play(self, exchange: Exchange) -> None:
        """Play the fault for this kind of answer."""
        await (self.streamed if exchange.streamed else self.whole).play(exchange)


GOOD = faults.Ok("Ann and Bob", pieces=("Ann ", "and ", "Bob"))
BAD = (
    (faults.Status(503), 5),
    (faults.Reset(20), 4),
    (faults.CloseEarly(10), 3),
    (faults.Malformed(), 3),
    (faults.Status(429, "rate_limit", headers={"retry-after": "0.05"}), 2),
    (Either(faults.EmptyBody(), faults.Cut(1)), 2),  # neither is an answer
    (faults.Silence(), 1),
)
"""The faults, each in percent of the answers."""


@frozen
class Mostly(faults.Fault):
    """A good answer in four out of five cases."""

    chance: random.Random = field(factory=lambda: random.Random(7))

    async def play(self, exchange: Exchange) -> None:
        """Choose at random and play it."""
        kinds, shares = zip((GOOD, 100 - sum(share for _, share in BAD)), *BAD, strict=True)
        await self.chance.choices(kinds, shares)[0].play(exchange)


def main() -> None:
    """Serve until the standard input ends."""
    with faults.FaultServer(KestrelWire(), Mostly()) as server:
        print(server.port, flush=True)
        for _ in sys.stdin:
            server.wait_closed(5.0)
            print(server.open_connections, len(server.requests), flush=True)


if __name__ == "__main__":
    main()
