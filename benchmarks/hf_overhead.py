"""The overhead of a chain and kickai-hf over a bare ``InferenceClient``, and the CPU time of a streamed chunk.

``python benchmarks/hf_overhead.py [--calls N] [--rounds N] [--chunks N]`` serves canned answers on loopback from
another process.

* Whole answers: it alternates between the bare client, and a resolver, a chain and the plugin. Sync calls follow one
  another; async calls run 500 at once. Targets: a ratio of 1.05 for the median latency, and of 1.10 for the CPU time of
  this process.
* Streams: the CPU time of a chunk in kickai-hf, less the time for reading the same bytes over the same connections
  without decoding them. The server sends one event per write. Target: 25 µs.

It prints the medians and exits with 1 when one is above its target. Needs ``kickai-providers-core`` and ``kickai-hf``.
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

# Otherwise the bare client requests a list from the Hub before its first call, which is not what is measured.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from huggingface_hub import AsyncInferenceClient, InferenceClient
from kickai_hf.client import HuggingFace, create_service
from kickai_hf.endpoints import build_inference_endpoint
from kickai_hf.settings import HuggingFaceSettings

from kickai_providers_core import ChatRequest, Resolver
from kickai_providers_core.authoring import AttemptTimeouts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROMPT = "Who can play on Saturday? " * 20
FIELDS = {"temperature": 0.1, "max_tokens": 64}
TARGETS = {"latency": 1.05, "cpu": 1.10}
CHUNK_TARGET_US = 25.0
AT_ONCE = 500
LONG_S = 60.0

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


def encode_event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    """Return one event of a stream, as an HTTP chunk."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    fields = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    data = b"data: " + json.dumps({**fields, "choices": [choice]}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


class Canned(asyncio.Protocol):
    """Answers every request with the same bytes, or a stream of ``chunks`` events, once its body has arrived."""

    reply = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)) + ANSWER
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    end = encode_event({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    chunks = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with an empty buffer."""
        self._transport = transport
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Answer when a request is complete."""
        self._seen += data
        head, end, body = self._seen.partition(b"\r\n\r\n")
        if not end:
            return
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= size:
            self._seen = body[size:]
            is_stream = b'"stream":true' in body
            self._transport.write(self.head if is_stream else self.reply)  # type: ignore[attr-defined]
            if is_stream:
                self._task = asyncio.get_running_loop().create_task(self._send_events())

    async def _send_events(self) -> None:
        piece = encode_event({"content": " word"})
        for _ in range(self.chunks):
            self._transport.write(piece)  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        self._transport.write(self.end)  # type: ignore[attr-defined]


async def serve(chunks: int) -> None:
    """Serve until the standard input is closed; print the port first."""
    Canned.chunks = chunks
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Canned, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def measure_calls(call: Callable[[], object], calls: int) -> tuple[list[float], float]:
    """Return the seconds of each call, and the mean CPU seconds of one."""
    took = []
    cpu = time.process_time()
    for _ in range(calls):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return took, (time.process_time() - cpu) / calls


async def ameasure_calls(call: Callable[[], Awaitable[object]], calls: int) -> tuple[list[float], float]:
    """Return the seconds of each of several concurrent calls, and the mean CPU seconds of one."""

    async def one() -> float:
        began = time.perf_counter()
        await call()
        return time.perf_counter() - began

    cpu = time.process_time()
    took = await asyncio.gather(*(one() for _ in range(calls)))
    return took, (time.process_time() - cpu) / calls


class Side:
    """The median latency and the CPU time of each round of one side."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.cpu: list[float] = []

    def add(self, took: list[float], cpu: float) -> None:
        """Add a round."""
        self.latencies.append(median(took))
        self.cpu.append(cpu)


def report(name: str, bare: Side, ours: Side) -> bool:
    """Print the figures; return whether both targets are met. The ratio is the median over the rounds."""
    met = True
    for figure in ("latency", "cpu"):
        rows = [(side.latencies if figure == "latency" else side.cpu) for side in (bare, ours)]
        ratio = median(mine / its for its, mine in zip(*rows, strict=True))
        met &= ratio <= TARGETS[figure]
        medians = f"bare {median(rows[0]) * 1e6:8.0f} µs   chain + plugin {median(rows[1]) * 1e6:8.0f} µs"
        print(f"{name:14} {figure:8} {medians}   ratio {ratio:.3f} (target {TARGETS[figure]:.2f})")
    return met


def create_resolver(url: str) -> Resolver:
    """Return a resolver with one instance that points to the server."""
    return Resolver.from_settings(
        {
            "kickai": {"primary": "bench", "fallback": []},
            "providers": {"bench": {"kind": "huggingface", "base_url": url, "token": "x", "model": "bench"}},
        },
        env={},
    )


def measure_sync(url: str, calls: int, rounds: int) -> bool:
    """Measure sync calls that follow one another."""
    client = InferenceClient(base_url=url, token="x")  # noqa: S106
    messages = [{"role": "user", "content": PROMPT}]
    bare, ours = Side(), Side()
    with create_resolver(url) as kickai:
        chain = kickai.chain("bench", **FIELDS)
        ways = (
            (bare, lambda: client.chat_completion(messages, model="bench", **FIELDS)),
            (ours, lambda: chain.invoke(PROMPT)),
        )
        for _, call in ways:
            measure_calls(call, 20)
        for number in range(rounds):
            for side, call in ways[:: 1 if number % 2 else -1]:
                side.add(*measure_calls(call, calls))
    return report("sync", bare, ours)


async def measure_async(url: str, rounds: int) -> bool:
    """Measure concurrent async calls."""
    messages = [{"role": "user", "content": PROMPT}]
    bare, ours = Side(), Side()
    async with AsyncInferenceClient(base_url=url, token="x") as client, create_resolver(url) as kickai:  # noqa: S106
        chain = kickai.chain("bench", **FIELDS)
        ways = (
            (bare, lambda: client.chat_completion(messages, model="bench", **FIELDS)),
            (ours, lambda: chain.ainvoke(PROMPT)),
        )
        for _, call in ways:
            await ameasure_calls(call, AT_ONCE)
        for number in range(rounds):
            for side, call in ways[:: 1 if number % 2 else -1]:
                side.add(*await ameasure_calls(call, AT_ONCE))
    return report(f"async x {AT_ONCE}", bare, ours)


class Streams:
    """Streams of one server: decoded by the plugin, and read without decoding."""

    def __init__(self, url: str, chunks: int) -> None:
        self._chunks = chunks
        settings = HuggingFaceSettings(base_url=url, model="bench")
        self._provider = HuggingFace(settings)
        self._client = create_service(build_inference_endpoint(settings), settings)

    def measure(self, rounds: int) -> bool:
        """Measure both kinds of streams; return whether the target is met."""
        sync = self._report("stream", [self._pair(self._decode, self._read) for _ in range(rounds + 1)])
        self._provider.close()
        self._client.close()
        return sync

    async def ameasure(self, rounds: int) -> bool:
        """Measure both kinds of async streams; return whether the target is met."""
        pairs = []
        for _ in range(rounds + 1):
            times = []
            for run in (self._adecode, self._aread):
                began = time.process_time()
                await run()
                times.append(time.process_time() - began)
            pairs.append((times[0], times[1]))
        await self._provider.aclose()
        await self._client.aclose()
        return self._report("async stream", pairs)

    def _pair(self, *runs: Callable[[], object]) -> tuple[float, float]:
        times = []
        for run in runs:
            began = time.process_time()
            run()
            times.append(time.process_time() - began)
        return times[0], times[1]

    def _report(self, name: str, pairs: list[tuple[float, float]]) -> bool:
        decoded, read = (median(side) / self._chunks * 1e6 for side in zip(*pairs[1:], strict=True))
        cost = median(one - other for one, other in pairs[1:]) / self._chunks * 1e6
        figures = f"read {read:8.1f} µs   decoded {decoded:8.1f} µs"
        print(f"{name:14} {'chunk':8} {figures}   difference {cost:.1f} µs (target {CHUNK_TARGET_US:.0f} µs)")
        return cost <= CHUNK_TARGET_US

    def _decode(self) -> None:
        count = sum(1 for _ in self._provider.stream(ChatRequest.from_prompt("x"), LONG_S))
        assert count >= self._chunks

    def _read(self) -> None:
        attempt = self._client.attempt(AttemptTimeouts(LONG_S), 2**30)
        body = self._client.send(self._client.post(b'{"stream":true}'), attempt)
        size = sum(map(len, body))
        body.close()
        assert size > self._chunks

    async def _adecode(self) -> None:
        count = 0
        async for _ in self._provider.astream(ChatRequest.from_prompt("x"), LONG_S):
            count += 1
        assert count >= self._chunks

    async def _aread(self) -> None:
        attempt = self._client.attempt(AttemptTimeouts(LONG_S), 2**30)
        body = await self._client.asend(self._client.post(b'{"stream":true}'), attempt)
        size = 0
        async for part in body:
            size += len(part)
        await body.aclose()
        assert size > self._chunks


def main() -> int:
    """Serve, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="sync calls in one round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each side")
    parser.add_argument("--chunks", type=int, default=3000, help="events of one stream")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.chunks))
        return 0
    command = [sys.executable, __file__, "--serve", "--chunks", str(options.chunks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"  # type: ignore[union-attr]
        met = [
            measure_sync(url, options.calls, options.rounds),
            asyncio.run(measure_async(url, options.rounds)),
            Streams(url, options.chunks).measure(options.rounds),
            asyncio.run(Streams(url, options.chunks).ameasure(options.rounds)),
        ]
        server.stdin.close()  # type: ignore[union-attr]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
