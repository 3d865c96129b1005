"""What the gateway adds to a call, side by side with the upstream asked directly and LiteLLM's proxy.

``python bench.py [--litellm PYTHON] [--full]``. Figures per core are requests divided by the processor seconds of the
worker, so that they do not depend on how busy the machine is.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from attrs import define, field
from load import Connection, Times, measure
from processes import Measured, run_litellm, run_ours, run_upstream

ROUNDS = 5


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

    async def run(self) -> None:
        """Measure everything, and print it."""
        for server in (self.upstream, *self.gateways):
            await measure(server.target, "instant", connections=4, requests=100)
        await self.added("one after the other", "instant", 1, 60, (1.5, 4.0))
        await self.added("50 connections, the upstream takes 200 ms", "delay-200", 50, 200, (4.0, 15.0))
        await self.added("time to the first token", "chunks-10", 1, 40, (3.0, None), stream=True)
        await self.per_core("whole answers a second and core", "instant", 600, 400)
        await self.per_core("streams of 60 chunks a second and core", "chunks-60", 200, 100, stream=True)
        await self.idle_streams()
        await self.memory()

    async def added(
        self,
        what: str,
        model: str,
        connections: int,
        requests: int,
        bounds: tuple[float, float | None],
        *,
        stream: bool = False,
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

    async def per_core(self, what: str, model: str, bound: float, requests: int, *, stream: bool = False) -> None:
        """Measure the requests for each second of processor time."""
        print(f"\n{what}")
        for server in self.gateways:
            number = requests * self.scale // (1 if server is self.gateways[0] else 4)
            before = server.cpu_s
            await measure(server.target, model, connections=16, requests=number, stream=stream)
            rate = number / max(server.cpu_s - before, 0.01)
            print(f"  {server.target.name:8} {rate:7.0f}")
            if server is self.gateways[0]:
                self.check(what, -rate, -bound)

    async def idle_streams(self) -> None:
        """Measure the memory of streams that wait for their next chunk."""
        ours, number = self.gateways[0], min(1_000, 200 * self.scale)
        before = ours.memory_mb
        request = ours.target.request("stall", stream=True)
        connections = []
        for _ in range(number):
            connection = await Connection.open(ours.target)
            connection.writer.write(request)
            connections.append(connection)
        for connection in connections:
            try:
                await connection.reader.readuntil(b"Anna")
            except asyncio.IncompleteReadError as error:
                raise RuntimeError(error.partial.decode(errors="replace")) from None
        each_kb = (ours.memory_mb - before) * 1000 / number
        for connection in connections:
            connection.close()
        await asyncio.sleep(1)
        print(f"\n{number} idle streams: {each_kb:.0f} kB each")
        self.check("kB of an idle stream", each_kb, 60)

    async def memory(self) -> None:
        """Measure the memory after the requests so far, and its growth over further ones."""
        ours, number = self.gateways[0], 2_000 if self.scale == 1 else 200_000
        await measure(ours.target, "instant", connections=16, requests=number // 4)
        before = ours.memory_mb
        await measure(ours.target, "instant", connections=16, requests=number)
        after = ours.memory_mb
        print(f"\nmemory: {after:.0f} MB, {after - before:+.1f} MB over {number} requests")
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
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(run_upstream())
        gateways = [stack.enter_context(run_ours(upstream, folder))]
        if options.litellm:
            gateways.append(stack.enter_context(run_litellm(options.litellm, upstream, folder)))
        bench = Bench(upstream, gateways, 10 if options.full else 1)
        asyncio.run(bench.run())
    print("\n" + ("\n".join(f"missed: {each}" for each in bench.missed) or "all bounds hold"))
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
