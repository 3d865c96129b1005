"""Every fault of the matrix, in every way of calling, with the real client on a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, contextmanager, suppress

import pytest
from calling import acall, call
from fault_matrix import BOUND_S, DOCUMENT, FULL, HANGS, NOBODY, PLENTY_S, ROWS, rendered
from hf_wire import MODEL, HfWire
from kickai_providers_core import ChatRequest
from kickai_providers_core.testing.faults import FaultServer, Stall

from kickai_hf.client import HuggingFace
from kickai_hf.settings import HuggingFaceSettings

SLACK_S = 0.25
"""How much later than its timeout a call may end: the seam's promise."""

TRIES = 3
"""A call that ends late is made again: what is late by itself stays late, and a busy machine is busy by turns."""


@contextmanager
def shut_door(*, hangs):
    """Give a bound socket that nobody listens on; or one whose queue is full, so that connecting to it hangs."""
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket())
        door.bind(("127.0.0.1", 0))
        while hangs:
            door.listen(0)
            visitor = stack.enter_context(socket.socket())
            visitor.settimeout(0.05)
            try:
                visitor.connect(door.getsockname())
            except TimeoutError:
                break
        yield door


@contextmanager
def forwarded(listener, to):
    """Listen on a door that was shut, and pass on connections."""
    listener.listen(16)
    with ExitStack() as stack:

        def pump(source, sink):
            with suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def accept():
            with suppress(OSError):
                while True:
                    client = stack.enter_context(listener.accept()[0])
                    target = stack.enter_context(socket.create_connection(("127.0.0.1", to)))
                    ends.extend((client, target))
                    for pair in ((client, target), (target, client)):
                        pumping = threading.Thread(target=pump, args=pair, daemon=True)
                        pumping.start()
                        threads.append(pumping)

        ends = [listener]
        threads = [threading.Thread(target=accept, daemon=True)]
        threads[0].start()
        yield
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


class Cell:
    """One fault in one way of calling."""

    def __init__(self, row, mode, server):
        self.row, self.mode, self.server = row, mode, server
        self.seen = len(server.requests)

    def provider(self, url):
        """Return a provider whose timeouts are long, but for the one that is to run out."""
        times = dict.fromkeys(("timeout_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s"), PLENTY_S)
        if self.row.bound:
            times[self.row.bound] = BOUND_S
        connections = {"max_concurrency": 1} if self.row.fault == FULL else {}
        return HuggingFace(HuggingFaceSettings(base_url=url, model=MODEL, **times, **connections))

    @property
    def timeout_s(self):
        """The time of the whole attempt, which the core hands over."""
        return BOUND_S if self.row.bound == "timeout_s" else PLENTY_S

    def run(self):
        """Return how the call ended, whether its connection was closed in time, and how the next call ended."""
        if self.row.fault in (HANGS, NOBODY):
            return self._elsewhere()
        provider = self.provider(self.server.url)
        try:
            if self.row.fault == FULL:
                return self._with_full_pool(provider)
            self.server.script(self.row.fault)
            if self.mode in {"ainvoke", "astream"}:
                return asyncio.run(self._both(provider))
            ended = call(provider, self.mode, timeout_s=self.timeout_s)
            return ended, self._closed(), call(provider, self.mode)
        finally:
            provider.close()

    async def _both(self, provider):
        ended = await acall(provider, self.mode, timeout_s=self.timeout_s)
        closed = await asyncio.to_thread(self._closed)
        return ended, closed, await acall(provider, self.mode)

    def _closed(self):
        return not self.row.bound or self.server.wait_closed(SLACK_S)

    def _elsewhere(self):
        """Call a port where nothing can be had; then open it."""
        with shut_door(hangs=self.row.fault == HANGS) as door:
            provider = self.provider(f"http://127.0.0.1:{door.getsockname()[1]}")
            ended = call(provider, self.mode, timeout_s=self.timeout_s)
            with forwarded(door, self.server.port):
                again = call(provider, self.mode)
                provider.close()
        return ended, True, again

    def _with_full_pool(self, provider):
        """Call while a stream that is read slowly holds the only connection."""
        self.server.script(Stall(1))
        if self.mode in {"ainvoke", "astream"}:
            return asyncio.run(self._with_full_async_pool(provider))
        stream = provider.stream(ChatRequest.of("hold"), PLENTY_S)
        next(stream)
        ended = call(provider, self.mode, timeout_s=self.timeout_s)
        stream.close()
        return ended, self._closed(), call(provider, self.mode)

    async def _with_full_async_pool(self, provider):
        async with aclosing(provider.astream(ChatRequest.of("hold"), PLENTY_S)) as stream:
            await anext(stream)
            ended = await acall(provider, self.mode, timeout_s=self.timeout_s)
        return ended, await asyncio.to_thread(self._closed), await acall(provider, self.mode)

    @property
    def limit_s(self):
        """How long the call may take."""
        return BOUND_S + SLACK_S if self.row.bound else self.row.within_s


def tried(row, mode):
    """Return a cell's outcome; once more when it came late."""
    for attempt in range(TRIES):
        with FaultServer(HfWire()) as server:
            cell = Cell(row, mode, server)
            ended, closed, again = cell.run()
            requests = len(server.requests)
        if (ended.elapsed_s <= cell.limit_s and closed) or attempt == TRIES - 1:
            return cell, ended, closed, again, requests
    raise AssertionError


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_becomes_its_error_and_the_next_call_works(row):
    """In each mode the call raises the row's error in time, and the same provider answers the next one."""
    with ThreadPoolExecutor(len(row.modes)) as pool:
        cells = list(pool.map(lambda mode: tried(row, mode), row.modes))
    for cell, ended, closed, again, requests in cells:
        told = f"{cell.mode}: {ended}"
        assert type(ended.error) is row.error, told
        assert getattr(ended.error, "phase", "") == row.phase, told
        assert ended.error.status_code == row.status, told
        assert ended.error.retry_after_s == pytest.approx(row.retry_after_s, abs=2.0), told
        assert {name: getattr(ended.error, name) for name in row.fields} == row.fields, told
        assert ended.elapsed_s <= cell.limit_s, told
        assert closed, f"{cell.mode}: the connection is open after the time was over"
        assert again.text == "pong", f"{cell.mode}: {again}"
        assert requests <= 2 + (row.fault == FULL), f"{cell.mode}: the request was made more than once"


def test_the_document_is_current():
    """docs/fault-matrix.md tells what the rows tell, which the tests above have seen."""
    assert DOCUMENT.read_text(encoding="utf-8") == rendered(), "run python tests/fault_matrix.py"
