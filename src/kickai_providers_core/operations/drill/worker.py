"""One process of the drill: serves requests as it is instructed on standard input, and records every one in a file."""

from __future__ import annotations

import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from kickai_providers_core.concurrency.flag import Flag
from kickai_providers_core.operations.drill.scenario import KEYS, ROLES, choose_settings
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.values.base_errors import KickaiError
from kickai_providers_core.values.errors import ProviderUnavailableError
from kickai_providers_core.values.events import AttemptEnded

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["DrillWorker", "main"]

THREADS = 8

FLUSH_TIMEOUT_S = 60.0


class DrillWorker:
    """Serves requests with a resolver, and records each request and each attempt.

    Args:
        folder: The folder of the drill, with the store.
        name: The name of the worker, and of its file.
        seed: The seed of the faults.
    """

    def __init__(self, folder: Path, name: str, seed: int) -> None:
        self._down: set[str] = set()
        self._hangs = Flag()
        self._is_hanging = Flag()
        self._lock = Lock()
        self._file = (folder / f"{name}.jsonl").open("a", encoding="utf-8")
        settings = choose_settings(folder, seed, self._answer)
        self._resolver = Resolver.from_settings(settings, env={}, observers=[self._observe])
        self._chains = {role: self._resolver.for_role(role) for role in ROLES}

    def serve(self, first: int, count: int) -> None:
        """Serve requests by several threads; their numbers choose role and key."""
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(self._serve_one, range(first, first + count)):
                pass

    def set_down(self, names: list[str]) -> None:
        """Let these instances fail from now on, and no others."""
        self._down = set(names)

    def flush(self) -> None:
        """Wait until every request so far is in the store."""
        ends = time.monotonic() + FLUSH_TIMEOUT_S
        while time.monotonic() < ends:
            status = self._resolver.store_status()
            if status is not None and not status.behind_s and not status.error:
                return
            time.sleep(0.02)
        raise TimeoutError("the store did not keep up")

    def hang(self) -> None:
        """Begin a request that never ends."""
        self._hangs.set()
        Thread(target=self._chains[ROLES[0]].invoke, args=("hang",), daemon=True).start()
        self._is_hanging.wait(FLUSH_TIMEOUT_S)

    def close(self) -> None:
        """Close the resolver, which writes what is left."""
        self._resolver.close()
        self._file.close()

    def _serve_one(self, number: int) -> None:
        key = KEYS[number % len(KEYS)]
        record: dict[str, Any] = {"request": number, "key": key}
        try:
            reply = self._chains[ROLES[number % len(ROLES)]].invoke(f"question {number}", key=key)
        except KickaiError as error:
            record |= {"provider": None, "error": type(error).__name__}
        else:
            usage = reply.usage
            record |= {
                "provider": reply.provider,
                "arm": reply.trace.arm,
                "fell_back": reply.fell_back,
                "tokens": [usage.input_tokens, usage.output_tokens] if usage is not None else [0, 0],
            }
        self._record(record)

    def _observe(self, event: Event) -> None:
        if isinstance(event, AttemptEnded):
            self._record({"attempt": event.attempt.provider, "outcome": event.attempt.outcome.value})

    def _record(self, record: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()

    def _answer(self, instance: str, request: ChatRequest) -> str:
        if self._hangs.is_set() and request.messages[-1].content == "hang":
            self._is_hanging.set()
            Flag().wait(math.inf)
        if instance in self._down:
            raise ProviderUnavailableError("simulated outage", status_code=503)
        return "an answer of a few words"


def main(arguments: list[str]) -> None:
    """Run a worker: ``FOLDER NAME SEED``; each line of standard input is ``[METHOD, ARGUMENT, …]``."""
    folder, name, seed = arguments
    worker = DrillWorker(Path(folder), name, int(seed))
    print("ready", flush=True)  # noqa: T201  the coordinator reads it
    for line in sys.stdin:
        method, *values = json.loads(line)
        call: Callable[..., None] = getattr(worker, method)
        call(*values)
        print("done", flush=True)  # noqa: T201
    worker.close()


if __name__ == "__main__":
    main(sys.argv[1:])
