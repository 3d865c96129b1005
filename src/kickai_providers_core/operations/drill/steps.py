"""The story of the drill: what happens, in order, and what must be true after each part."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

from kickai_providers_core.operations.drill.expected_counts import Ledger, find_misplaced
from kickai_providers_core.operations.drill.process import LONGEST_S, DrillError, Operator, WorkerProcess
from kickai_providers_core.operations.drill.scenario import CANDIDATE, CONTROL, write_settings
from kickai_providers_core.resilience.rollout_shares import BUCKETS, format_share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Drill", "DrillError"]

BATCH = 200
"""The number of requests that each worker serves before the coordinator looks at the rollout again."""

FOLLOW_S = 2.0
"""Seconds in which running processes follow a change."""

RAMP = "5%,25%,50%,100%"


class Drill:
    """A whole rollout with real processes.

    Args:
        folder: An empty folder.
        requests: The number of requests, at least; the last part serves what is left.
        seed: The seed of the faults.
        html: Where to write the report; None for nowhere.
    """

    def __init__(self, folder: Path, *, requests: int, seed: int, html: Path | None = None) -> None:
        self._folder = folder
        self._requests = requests
        self._seeds = count(seed)
        self._html = html
        self._ledger = Ledger(folder)
        self._numbers = 0
        self._workers: list[WorkerProcess] = []
        self._killed = 0
        self._operator = Operator(folder)

    def run(self) -> None:
        """Run every part.

        Raises:
            DrillError: Something was not as it must be.
        """
        write_settings(self._folder)
        try:
            self._start_workers()
            self._ramp()
            self._cause_outage()
            self._recover()
            self._kill()
            self._serve_the_rest()
            for worker in self._workers:
                worker.close()
            self._compare()
        finally:
            for worker in self._workers:
                worker.close()

    # The parts

    def _start_workers(self) -> None:
        self._workers = [self._start_worker("first"), self._start_worker("second")]
        self._operator.say("two processes serve everything with gemini")
        self._serve()
        self._expect_providers({CONTROL})

    def _ramp(self) -> None:
        self._operator.change("ramp", CANDIDATE, RAMP, "--hold", "1s", "--why", "the drill")
        self._serve_until(lambda now: now["share"] == 1.0, "the ramp reached 100%")
        self._expect_sticky(BUCKETS)

    def _cause_outage(self) -> None:
        self._operator.say(f"{CANDIDATE} goes down; requests fall back, and the guard watches")
        self._call_all("set_down", [CANDIDATE])
        self._serve_until(lambda now: now["share"] == 0.0, "the guard went back to 0%")
        history = self._operator.read("rollout", "history", "--limit", "1")["history"][0]
        if history["who"] != "guard":
            raise DrillError(f"the guard must have made the last change, got {history['who']}")
        self._operator.say(f"its reason: {history['why']}")
        self._expect_sticky(0)

    def _recover(self) -> None:
        self._call_all("set_down", [])
        self._operator.change("set", CANDIDATE, "50%", "--why", "it is back")
        time.sleep(FOLLOW_S)
        self._expect_sticky(BUCKETS // 2)

    def _kill(self) -> None:
        victim = self._workers[1]
        victim.call("flush")
        victim.call("hang")
        victim.kill()
        self._killed += 1
        self._operator.say("a process was killed in the middle of a request, and another one takes its place")
        self._workers[1] = self._start_worker("third")
        self._expect_sticky(BUCKETS // 2)

    def _serve_the_rest(self) -> None:
        while len(self._ledger.requests) < self._requests:
            self._serve()
        self._operator.say(f"{len(self._ledger.requests):,} requests served")

    def _compare(self) -> None:
        """Compare the report with the drill's own counts."""
        self._ledger.update()
        options = () if self._html is None else ("--html", str(self._html.absolute()))
        report = self._operator.read("report", "--since", "24h", *options)
        ledger = self._ledger
        own: dict[str, Any] = {
            "requests": len(ledger.requests),
            "answered": dict(sorted(ledger.answered.items())),
            "failed": ledger.failed,
            "fell back": ledger.fell_back,
            "calls": sum(ledger.attempts.values()),
            "tokens": list(ledger.tokens),
        }
        served = {name: each["outcomes"]["success"] for name, each in sorted(report["by_provider"].items())}
        reported: dict[str, Any] = {
            "requests": report["requests"],
            "answered": {name: number for name, number in served.items() if number},
            "failed": report["outcomes"]["error"],
            "fell back": sum(each["requests"] for each in report["fallbacks"]),
            "calls": report["attempts"]["total"],
            "tokens": [report["tokens"]["input"], report["tokens"]["output"]],
        }
        for name, value in own.items():
            self._operator.say(f"{name}: the report says {reported[name]}, the drill counted {value}")
        different = [name for name, value in own.items() if reported[name] != value]
        if different:
            raise DrillError(f"these figures differ: {', '.join(different)}")
        if len({each["request"] for each in ledger.requests}) != self._numbers:
            raise DrillError(f"{self._numbers} requests were made, and {len(ledger.requests)} ended")
        if ledger.failed:
            raise DrillError(f"{ledger.failed} requests had no answer although one provider was always up")
        self._operator.say("no request was lost, every key took its arm, and all figures agree")

    # What they are made of

    def _start_worker(self, name: str) -> WorkerProcess:
        return WorkerProcess(self._folder, name, next(self._seeds))

    def _call_all(self, method: str, *values: Any) -> None:
        for worker in self._workers:
            worker.call(method, *values)

    def _serve(self) -> list[dict[str, Any]]:
        """Let each worker serve a batch, at the same time, and return the requests."""
        for worker in self._workers:
            worker.start("serve", self._numbers, BATCH)
            self._numbers += BATCH
        for worker in self._workers:
            worker.finish()
        return self._ledger.update()

    def _serve_until(self, is_reached: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Serve requests until the rollout has reached a state and every process follows it."""
        share = -1.0
        ends = time.monotonic() + LONGEST_S
        while time.monotonic() < ends:
            self._serve()
            (now,) = self._operator.read("rollout", "status")["rollouts"]
            if now["share"] != share:
                share = now["share"]
                self._operator.say(f"{CANDIDATE} has {format_share(round(share * BUCKETS))}")
            if is_reached(now):
                self._operator.say(what)
                time.sleep(FOLLOW_S)
                return
        raise DrillError(f"waited {LONGEST_S:g} s in vain: {what}; the guard says {now['guard']}")

    def _expect_providers(self, expected: set[str]) -> None:
        arms = {each["provider"] for each in self._serve() if not each.get("fell_back")}
        if arms != expected:
            raise DrillError(f"requests must go to {expected} first, and went to {arms}")

    def _expect_sticky(self, share: int) -> None:
        """Serve requests, and check the arm of each key in all processes."""
        misplaced = find_misplaced(self._serve(), share, CANDIDATE)
        if misplaced:
            raise DrillError(f"{len(misplaced)} requests took the wrong arm at {format_share(share)}: {misplaced[:5]}")
