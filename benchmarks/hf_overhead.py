"""What a chain and kickai-hf cost on top of a bare ``InferenceClient``: latency and CPU time, side by side.

``python benchmarks/hf_overhead.py [--calls N] [--rounds N]`` serves one canned answer on loopback, from a process of
its own, and asks for it in turns: through the bare client, and through a resolver, a chain and the plugin. Sync calls
come one after the other; the async ones 500 at once. It prints the medians of both and their ratios, and exits with 1
when a ratio is above its target: 1.05 for the median latency, 1.10 for the CPU time of this process.

Needs ``kickai-providers-core`` and ``kickai-hf``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

# The bare client asks the Hub for a list before its first call, unless told not to; that is not what is measured.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from huggingface_hub import AsyncInferenceClient, InferenceClient

from kickai_providers_core import Resolver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROMPT = "Who can play on Saturday? " * 20
FIELDS = {"temperature": 0.1, "max_tokens": 64}
TARGETS = {"latency": 1.05, "cpu": 1.10}
AT_ONCE = 500

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Ann and Bob. " * 30}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 120, "completion_tokens": 90, "total_tokens": 210},
    }
).encode()


class Canned(asyncio.Protocol):
    """Answers every request with the same bytes, once its body is there."""

    reply = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)) + ANSWER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        self._transport = transport
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a whole request is there."""
        self._seen += data
        head, end, body = self._seen.partition(b"\r\n\r\n")
        if not end:
            return
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= size:
            self._seen = body[size:]
            self._transport.write(self.reply)  # type: ignore[attr-defined]


async def serve() -> None:
    """Serve until the standard input is closed; print the port first."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Canned, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def measured(call: Callable[[], object], calls: int) -> tuple[list[float], float]:
    """Return the seconds of each of so many calls, and the CPU seconds of one on average."""
    took = []
    cpu = time.process_time()
    for _ in range(calls):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return took, (time.process_time() - cpu) / calls


async def ameasured(call: Callable[[], Awaitable[object]], calls: int) -> tuple[list[float], float]:
    """Return the seconds of each of so many calls at once, and the CPU seconds of one on average."""

    async def one() -> float:
        began = time.perf_counter()
        await call()
        return time.perf_counter() - began

    cpu = time.process_time()
    took = await asyncio.gather(*(one() for _ in range(calls)))
    return took, (time.process_time() - cpu) / calls


class Side:
    """What one side took: a median latency and a CPU time for each round."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.cpu: list[float] = []

    def add(self, took: list[float], cpu: float) -> None:
        """Take one round."""
        self.latencies.append(median(took))
        self.cpu.append(cpu)


def report(name: str, bare: Side, ours: Side) -> bool:
    """Print the figures; return whether both targets are met. A ratio is the median of the rounds' ratios."""
    met = True
    for figure in ("latency", "cpu"):
        rows = [(side.latencies if figure == "latency" else side.cpu) for side in (bare, ours)]
        ratio = median(mine / its for its, mine in zip(*rows, strict=True))
        met &= ratio <= TARGETS[figure]
        told = f"bare {median(rows[0]) * 1e6:8.0f} µs   chain + plugin {median(rows[1]) * 1e6:8.0f} µs"
        print(f"{name:14} {figure:8} {told}   ratio {ratio:.3f} (target {TARGETS[figure]:.2f})")
    return met


def resolver(url: str) -> Resolver:
    """Return a resolver with one instance that points to the server."""
    return Resolver.from_settings(
        {
            "kickai": {"primary": "bench", "fallback": []},
            "providers": {"bench": {"kind": "huggingface", "base_url": url, "token": "x", "model": "bench"}},
        },
        env={},
    )


def sync_rounds(url: str, calls: int, rounds: int) -> bool:
    """Measure sync calls, one after the other."""
    client = InferenceClient(base_url=url, token="x")  # noqa: S106
    messages = [{"role": "user", "content": PROMPT}]
    bare, ours = Side(), Side()
    with resolver(url) as kickai:
        chain = kickai.chain("bench", **FIELDS)
        ways = (
            (bare, lambda: client.chat_completion(messages, model="bench", **FIELDS)),
            (ours, lambda: chain.invoke(PROMPT)),
        )
        for _, call in ways:
            measured(call, 20)
        for number in range(rounds):
            for side, call in ways[:: 1 if number % 2 else -1]:
                side.add(*measured(call, calls))
    return report("sync", bare, ours)


async def async_rounds(url: str, rounds: int) -> bool:
    """Measure async calls, all at once."""
    messages = [{"role": "user", "content": PROMPT}]
    bare, ours = Side(), Side()
    async with AsyncInferenceClient(base_url=url, token="x") as client, resolver(url) as kickai:  # noqa: S106
        chain = kickai.chain("bench", **FIELDS)
        ways = (
            (bare, lambda: client.chat_completion(messages, model="bench", **FIELDS)),
            (ours, lambda: chain.ainvoke(PROMPT)),
        )
        for _, call in ways:
            await ameasured(call, AT_ONCE)
        for number in range(rounds):
            for side, call in ways[:: 1 if number % 2 else -1]:
                side.add(*await ameasured(call, AT_ONCE))
    return report(f"async x {AT_ONCE}", bare, ours)


def main() -> int:
    """Serve, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="sync calls in one round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each side, in turns")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return 0
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"  # type: ignore[union-attr]
        met = [sync_rounds(url, options.calls, options.rounds), asyncio.run(async_rounds(url, options.rounds))]
        server.stdin.close()  # type: ignore[union-attr]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
