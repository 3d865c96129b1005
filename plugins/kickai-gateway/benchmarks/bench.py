"""What the gateway adds to a call, side by side with the upstream asked directly and LiteLLM's proxy.

``python bench.py [--litellm PYTHON] [--full] [--part NAME ...]``. Figures per core are requests divided by the
processor seconds of the worker, so that they do not depend on how busy the machine is. Times include waiting for a
core, which the upstream and the benchmark itself share with what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field
from load import Connection, Times, measure
from processes import Measured, run_litellm, run_ours, run_upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

ROUNDS = 5

AT_ONCE = 25
"""How many idle streams are opened together."""

PARTS = ("sequential", "crowd", "first-token", "whole", "streams", "idle", "memory")
"""What is measured, in this order. With ``--full``, ``idle`` is 1,000 streams and ``memory`` 200,000 requests."""


@define
class Bench:
    """The measurements of one run.

    Attributes:
        upstream: The service that all ask.
        gateways: Ours first.
        scale: What the numbers of requests are multiplied by.
        missed: The bounds that were missed.
    """

    upstream: Measured
    gateways: list[Measured]
    scale: int
    missed: list[str] = field(factory=list)

    async def run(self, parts: Sequence[str]) -> None:
        """Measure parts, and print the results."""
        for server in (self.upstream, *self.gateways):
            await measure(server.target, "instant", connections=4, requests=100)
        measurements: dict[str, Callable[[], Awaitable[None]]] = {
            "sequential": lambda: self.added("one after the other", "instant", 1, 60, (1.5, 4.0)),
            "crowd": lambda: self.added(
                "50 connections, the upstream takes 200 ms", "delay-200", 50, 200, (4.0, 15.0), spread_s=0.2
            ),
            "first-token": lambda: self.added("time to the first token", "chunks-10", 1, 40, (3.0, None), stream=True),
            "whole": lambda: self.per_core("whole answers a second and core", "instant", 600, 200, ratio=8),
            "streams": lambda: self.per_core(
                "streams of 60 chunks a second and core", "chunks-60", 200, 150, stream=True
            ),
            "idle": self.idle_streams,
            "memory": self.memory,
        }
        for part in parts:
            await measurements[part]()

    async def added(
        self,
        what: str,
        model: str,
        connections: int,
        requests: int,
        bounds: tuple[float, float | None],
        *,
        stream: bool = False,
        spread_s: float = 0.0,
    ) -> None:
        """Compare the times with those of the upstream, in turns."""
        times: dict[str, Times] = {}
        for _ in range(ROUNDS):
            for server in (self.upstream, *self.gateways):
                first, whole = await measure(
                    server.target,
                    model,
                    connections=connections,
                    requests=requests * self.scale // (1 if server in (self.upstream, self.gateways[0]) else 2),
                    stream=stream,
                    spread_s=spread_s,
                )
                times.setdefault(server.target.name, Times()).values += (first if stream else whole).values
        direct = times[self.upstream.target.name]
        print(f"\n{what} (upstream: median {direct.p50_ms:.2f} ms, p99 {direct.p99_ms:.2f} ms)")
        for server in self.gateways:
            own = times[server.target.name]
            median_ms, p99_ms = own.p50_ms - direct.p50_ms, own.p99_ms - direct.p50_ms
            print(f"  {server.target.name:8} adds {median_ms:7.2f} ms (median), {p99_ms:7.2f} ms (p99)")
            if server is self.gateways[0]:
                self.check(f"{what}: median", median_ms, bounds[0])
                if bounds[1] is not None:
                    self.check(f"{what}: p99", p99_ms, bounds[1])

    async def per_core(
        self, what: str, model: str, bound: float, requests: int, *, stream: bool = False, ratio: float = 0.0
    ) -> None:
        """Measure the requests for each second of processor time; they must be ``ratio`` times those of the others.

        The best of several rounds counts: other programs on the same cores only add to the processor time.
        """
        print(f"\n{what}")
        rates = []
        for server in self.gateways:
            number = requests * self.scale // (1 if server is self.gateways[0] else 4)
            rate = 0.0
            for _ in range(ROUNDS):
                before = server.cpu_s
                await measure(server.target, model, connections=16, requests=number, stream=stream)
                rate = max(rate, number / max(server.cpu_s - before, 0.01))
            print(f"  {server.target.name:8} {rate:7.0f}")
            rates.append(rate)
        self.check(what, -rates[0], -bound)
        for other, rate in zip(self.gateways[1:], rates[1:], strict=True):
            self.check(f"{what}: times those of {other.target.name}", -rates[0] / rate, -ratio)

    async def idle_streams(self) -> None:
        """Measure the memory of streams that wait for their next chunk."""
        ours, number = self.gateways[0], min(1_000, 200 * self.scale)
        before = ours.memory_mb
        request = ours.target.request("stall", stream=True)
        connections = [await Connection.open(ours.target) for _ in range(number)]
        waiting = []
        for start in range(0, number, AT_ONCE):  # more would wait for each other longer than a connection may take
            group = connections[start : start + AT_ONCE]
            waiting += [asyncio.ensure_future(connection.send(request)) for connection in group]
            await asyncio.sleep(0)  # the requests are sent
            await asyncio.gather(*(connection.began for connection in group))
        each_kb = (ours.memory_mb - before) * 1000 / number
        for connection in connections:
            connection.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        print(f"\n{number} idle streams: {each_kb:.0f} kB each")
        self.check("kB of an idle stream", each_kb, 60)

    async def memory(self) -> None:
        """Measure the memory after the requests so far, and its growth over further ones."""
        ours, number = self.gateways[0], 2_000 if self.scale == 1 else 200_000
        await measure(ours.target, "instant", connections=16, requests=number // 10)
        before = ours.memory_mb
        print(f"\nmemory: {before:.1f} MB")
        for done in range(number // 10, number + 1, number // 10):
            await measure(ours.target, "instant", connections=16, requests=number // 10)
            print(f"  {ours.memory_mb:.1f} MB after {done:,} more requests", flush=True)
        after = ours.memory_mb
        for other in self.gateways[1:]:
            print(f"  {other.target.name}: {other.memory_mb:.0f} MB")
        self.check("MB of memory", after, 120)
        self.check("MB of growth", after - before, 3)

    def check(self, what: str, value: float, bound: float) -> None:
        """Note a bound that is missed."""
        if value > bound:
            self.missed.append(f"{what}: {abs(value):.2f}, bound {abs(bound):g}")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litellm", metavar="PYTHON", help="the Python of an environment with litellm[proxy]")
    parser.add_argument("--full", action="store_true", help="ten times as many requests")
    parser.add_argument(
        "--part", action="append", choices=PARTS, metavar="NAME", help=f"measure only this; {', '.join(PARTS)}"
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(run_upstream())
        gateways = [stack.enter_context(run_ours(upstream, folder))]
        if options.litellm:
            gateways.append(stack.enter_context(run_litellm(options.litellm, upstream, folder)))
        bench = Bench(upstream, gateways, 10 if options.full else 1)
        asyncio.run(bench.run(options.part or PARTS))
    print("\n" + ("\n".join(f"missed: {each}" for each in bench.missed) or "all bounds hold"))
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
