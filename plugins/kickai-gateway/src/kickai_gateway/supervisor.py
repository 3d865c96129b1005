"""Several workers that share one listening socket: starts them, replaces those that die, and ends them together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from kickai_gateway.board import Board
    from kickai_gateway.shared_prices import SharedPrices

__all__ = ["READY", "Supervisor", "choose_exit_code"]

READY = b"R"
"""What a worker writes when it serves requests."""

INTERRUPTED = 130

GRACE_S = 5.0
"""Seconds after the drain in which a worker must have ended; then it is killed."""

QUICK_S = 2.0
"""A worker that ends before this many seconds has died at its start, and the next one waits."""

MAX_WAIT_S = 10.0
"""The longest wait before a worker is replaced, in seconds."""


@define
class Supervisor:
    """Runs workers as processes. It is run once.

    Attributes:
        board: What they share.
        prices: The prices that they share.
        workers: Their number.
        drain_s: Seconds that running requests have left when it is stopped.
        config: The settings file of the command line; None to search for it.
        log: Writes a line.
        had_keys: Whether the gateway has begun with keys.
    """

    board: Board
    prices: SharedPrices
    workers: int
    drain_s: float
    config: Path | None
    log: Callable[[str], None]
    had_keys: bool = False
    _processes: dict[int, asyncio.subprocess.Process] = field(factory=dict, init=False)
    _stopping: asyncio.Event = field(factory=asyncio.Event, init=False)
    _signal: int = field(default=0, init=False)
    _failure: int = field(default=0, init=False)

    def run(self, listener: socket.socket, *, on_ready: Callable[[], None]) -> int:
        """Run the workers until a signal, and return the exit code: that of a worker if it cannot start.

        Args:
            listener: The listening socket.
            on_ready: Called when all workers serve requests.
        """
        lifeline, held = os.pipe()
        try:
            asyncio.run(self._run(listener, lifeline, on_ready))
        finally:
            os.close(held)  # a worker that is still there ends itself
            os.close(lifeline)
        return self._failure or choose_exit_code(self._signal)

    async def _run(self, listener: socket.socket, lifeline: int, on_ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._forward, signal.SIGHUP)
        ready = [loop.create_future() for _ in range(self.workers)]
        slots = [
            asyncio.ensure_future(self._keep_running(number, listener, lifeline, first))
            for number, first in enumerate(ready, 1)
        ]
        for first in ready:
            await asyncio.wait((first, *slots), return_when=asyncio.FIRST_COMPLETED)
        if not self._stopping.is_set():
            on_ready()
        await asyncio.wait(slots)
        for slot in slots:
            slot.result()

    async def _keep_running(
        self, number: int, listener: socket.socket, lifeline: int, first: asyncio.Future[None]
    ) -> None:
        """Run the worker of a number, again whenever it dies."""
        wait_s = 0.0
        while not self._stopping.is_set():
            started_s = asyncio.get_running_loop().time()
            process, is_ready = await self._start(number, listener, lifeline)
            if is_ready and not first.done():
                first.set_result(None)
            code = await self._wait(process)
            if self._stopping.is_set():
                return
            if not first.done():  # it never worked, so it never will
                self._failure = code if code > 0 else 1
                self._stop(0)
                return
            is_quick = asyncio.get_running_loop().time() - started_s < QUICK_S
            wait_s = min(MAX_WAIT_S, max(0.1, 2 * wait_s)) if is_quick else 0.0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self.log(f"worker {number} (process {process.pid}) ended with {how}; starting another one")
            with_timeout = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait((with_timeout,), timeout=wait_s)
            with_timeout.cancel()

    async def _start(
        self, number: int, listener: socket.socket, lifeline: int
    ) -> tuple[asyncio.subprocess.Process, bool]:
        """Start a worker, and return it and whether it serves requests."""
        reader, writer = os.pipe()
        board, prices = self.board.memory.descriptor, self.prices.descriptor
        options = {
            "number": number,
            "workers": self.workers,
            "board": board,
            "prices": prices,
            "had_keys": self.had_keys,
            "listener": listener.fileno(),
            "lifeline": lifeline,
            "ready": writer,
            "drain_s": self.drain_s,
            "config": None if self.config is None else str(self.config),
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kickai_gateway.worker_process", json.dumps(options)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(listener.fileno(), lifeline, writer, board, prices),
                start_new_session=True,  # Ctrl-C is for the supervisor alone
            )
        finally:
            os.close(writer)
        self._processes[number] = process
        if self._stopping.is_set():
            process.terminate()
        try:
            return process, await _read_byte(reader) == READY
        finally:
            os.close(reader)

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        """Return the exit code of a worker, which is killed when it does not end in time."""
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            await asyncio.wait((ended,), timeout=self.drain_s + GRACE_S)
        if not ended.done():
            self.log(f"process {process.pid} did not end in time; it is killed")
            process.kill()
        return await ended

    def _stop(self, number: int) -> None:
        if self._stopping.is_set() and number == signal.SIGINT:  # pressed again
            self._forward(signal.SIGKILL)
            return
        self._signal = self._signal or number
        self._stopping.set()
        self._forward(signal.SIGTERM)

    def _forward(self, number: int) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(number)


def choose_exit_code(number: int) -> int:
    """Return the exit code after a signal: 130 for Ctrl-C, and 0 for SIGTERM, which is how services are stopped."""
    return INTERRUPTED if number == signal.SIGINT else 0


async def _read_byte(descriptor: int) -> bytes:
    """Return the next byte of a pipe; nothing at its end."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(descriptor, readable.set_result, None)
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, 1)
