"""Simulates rollouts with fixed seeds, and compares the rollout guard with its bars.

``python tests/rollout_simulation.py``, or ``nox -s evidence``, prints tables in Markdown. The exit code is 1 when a bar
is missed. Everything uses the real `judge`; only the traffic is simulated.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen, validators

from kickai_providers_core.resilience.guard import ArmCounts, GuardSettings, StepEvidence, judge

if TYPE_CHECKING:
    from kickai_providers_core.resilience.guard import GuardAction

RAMP = (0.01, 0.05, 0.25, 0.5, 1.0)
STEPS = 5
MAX_FALSE = 0.01
DELAY_RUNS = 0.3
"""The part of the runs that is simulated for medians, which need fewer."""

DEFAULTS = GuardSettings()
EVERYTHING = GuardSettings(latency_limit_s=2.0, first_token_limit_s=1.0, max_refusal_share=0.05, feedback_floor=0.8)

Run = Callable[[int], float | None]
Map = Callable[[Run, range], list[float | None]]


@frozen(kw_only=True)
class Outage:
    """A time in which both arms, or only the candidate, answer more rarely."""

    start: int
    length: int
    rate: float
    is_shared: bool = True


@frozen(kw_only=True)
class Traffic:
    """What is simulated: the ramp, the success rates, and the sizes of batches.

    Attributes:
        shares: The share of each step. The last step goes on for ever.
        candidate: The candidate's success rate.
        control: The success rate of the control arm.
        requests: The number of requests of both arms.
        batch: The largest batch; each has a random size from 1.
        settings: The limits.
        outages: Times of lower rates.
    """

    shares: tuple[float, ...]
    candidate: float
    control: float = 0.99
    requests: int = 10_000
    batch: int = 60
    settings: GuardSettings = DEFAULTS
    outages: tuple[Outage, ...] = ()

    def rates(self, request: int) -> tuple[float, float]:
        """Return the success rates of the candidate and the control arm for a request."""
        for outage in self.outages:
            if outage.start <= request < outage.start + outage.length:
                return outage.rate, outage.rate if outage.is_shared else self.control
        return self.candidate, self.control


@frozen(kw_only=True)
class Simulation:
    """A simulated rollout after some batches."""

    step: int = 0
    sent: int = 0
    sent_to_candidate: int = 0
    evidence: StepEvidence = field(factory=StepEvidence)
    actions: tuple[GuardAction, ...] = ()

    @property
    def is_suspended(self) -> bool:
        """Whether the candidate's share is provisionally 0."""
        return self.evidence.phase == "suspended"


def simulate(traffic: Traffic, random: random.Random) -> Iterator[Simulation]:
    """Yield the rollout after each batch that changes something, until it ends."""
    now = Simulation()
    while now.sent < traffic.requests:
        step_share = traffic.shares[now.step]
        share = 0.0 if now.is_suspended else step_share
        counts = send_batch(traffic, now.sent, share, random)
        sent = sum(arm.n for arm in counts.values())
        evidence = now.evidence.add(counts, traffic.settings)
        now = evolve(
            now,
            sent=now.sent + sent,
            sent_to_candidate=now.sent_to_candidate + counts["candidate"].n,
            evidence=evidence,
        )
        verdict = judge(evidence, traffic.settings, share=step_share, steps=STEPS)
        is_last = now.step == len(traffic.shares) - 1
        if verdict.action == "hold" or (verdict.action == "advance" and is_last and "advance" in now.actions):
            continue
        goes_on = verdict.action == "advance" and is_last
        now = evolve(
            now,
            step=now.step + (verdict.action == "advance" and not is_last),
            evidence=evidence if goes_on else verdict.next_evidence,
            actions=(*now.actions, verdict.action),
        )
        yield now
        if verdict.is_final:
            return


def send_batch(traffic: Traffic, sent: int, share: float, random: random.Random) -> dict[str, ArmCounts]:
    """Return the outcomes of a batch of requests."""
    n, failures = [0, 0], [0, 0]
    for request in range(sent, sent + (random.randint(1, traffic.batch) if traffic.batch > 1 else 1)):
        arm = 0 if random.random() < share else 1
        n[arm] += 1
        failures[arm] += random.random() >= traffic.rates(request)[arm]
    return {
        name: ArmCounts(n=n[arm], failures=failures[arm], keys=n[arm])
        for arm, name in enumerate(("candidate", "control"))
    }


def is_rolled_back(traffic: Traffic, seed: int) -> float:
    """Return 1 when the rollback becomes final, and 0 otherwise."""
    return float(any(now.actions[-1] in {"finalize", "roll_back"} for now in simulate(traffic, random.Random(seed))))


def is_rolled_back_after_outages(traffic: Traffic, seed: int) -> float:
    """Do the same with two outages of random length, which begin at random times."""
    draw = random.Random(-seed - 1)
    starts = (draw.randint(500, 2000), draw.randint(4500, 6000))
    outages = tuple(evolve(traffic.outages[0], start=start, length=draw.randint(50, 2000)) for start in starts)
    return is_rolled_back(evolve(traffic, outages=outages), seed)


def is_rolled_back_after_short_outages(traffic: Traffic, seed: int) -> float:
    """Do the same with two outages of the given length, which begin at random times."""
    draw = random.Random(-seed - 1)
    starts = (draw.randint(300, 800), draw.randint(2500, 3000))
    outages = tuple(evolve(traffic.outages[0], start=start) for start in starts)
    return is_rolled_back(evolve(traffic, outages=outages), seed)


def count_until(actions: set[GuardAction], traffic: Traffic, seed: int) -> float | None:
    """Return the candidate's requests until one of the actions; None if it does not come."""
    for now in simulate(traffic, random.Random(seed)):
        if now.actions[-1] in actions:
            return float(now.sent_to_candidate)
    return None


def count_late(traffic: Traffic, seed: int) -> float | None:
    """Return the candidate's requests between the start of its outage and the first step back, at a share of 100 %."""
    caught = count_until({"suspend", "roll_back"}, traffic, seed)
    return None if caught is None else caught - traffic.outages[0].start


def is_tripped_naively(traffic: Traffic, seed: int) -> float:
    """Return 1 when a guard over the last 100 requests ever sees a ratio below the floor, after 20 requests."""
    draw = random.Random(seed)
    window: deque[bool] = deque(maxlen=100)
    for request in range(traffic.requests):
        if draw.random() < traffic.shares[0]:
            window.append(draw.random() < traffic.rates(request)[0])
            if len(window) >= 20 and sum(window) < traffic.settings.floor * len(window):
                return 1.0
    return 0.0


@frozen(kw_only=True)
class Row:
    """A row of a table: a figure, and its bar."""

    name: str
    figure: str
    bar: str = ""
    is_met: bool = True

    def __str__(self) -> str:
        verdict = ("met" if self.is_met else "**MISSED**") if self.bar else ""
        return f"| {self.name} | {self.figure} | {self.bar} | {verdict} |"


def describe(traffic: Traffic) -> str:
    """Return the share and the rates."""
    shares = " → ".join(f"{share:.0%}" for share in traffic.shares)
    return f"share {shares}, candidate {traffic.candidate:.1%}, control {traffic.control:.1%}"


def false_rollbacks(runs: int, compute: Map) -> Iterator[Row]:
    """Yield how often a candidate that is good enough is rolled back for good."""
    ramps = [((share,), control) for share in (0.2, 0.5, 0.8) for control in (0.95, 0.99)]
    for shares, control in [*ramps, ((1.0,), 0.99), (RAMP, 0.99)]:
        traffic = Traffic(shares=shares, candidate=0.95, control=control)
        yield rate_row(f"at the floor: {describe(traffic)}", partial(is_rolled_back, traffic), runs, compute)
    for share in (0.2, 0.5, 0.8):
        outage = Outage(start=0, length=0, rate=0.2)
        traffic = Traffic(shares=(share,), candidate=0.97, outages=(outage,))
        run = partial(is_rolled_back_after_outages, traffic)
        yield rate_row(f"two shared outages, both at 20 %: {describe(traffic)}", run, runs, compute)


def short_outages(runs: int, compute: Map) -> Iterator[Row]:
    """Yield how often a good candidate is rolled back for good because of outages of both arms of a few requests."""
    for length in (5, 10, 20, 50, 200):
        for share in (0.2, 0.5, 0.8):
            outage = Outage(start=0, length=length, rate=0.2)
            traffic = Traffic(shares=(share,), candidate=0.97, batch=20, requests=3500, outages=(outage,))
            run = partial(is_rolled_back_after_short_outages, traffic)
            yield rate_row(f"{length} requests each, both arms at 20 %: {describe(traffic)}", run, runs, compute)


def final_rollbacks(runs: int, compute: Map) -> Iterator[Row]:
    """Yield the candidate's requests until its rollback is final, after it was tried again; the share never returns."""
    for share in (0.2, 0.5, 0.8):
        for rate in (0.0, 0.5, 0.8):
            traffic = Traffic(shares=(share,), candidate=rate, batch=1, requests=round(4000 / share))
            yield median_row(describe(traffic), partial(count_until, {"finalize", "roll_back"}, traffic), runs, compute)


def rate_row(name: str, run: Run, runs: int, compute: Map) -> Row:
    """Return a row with the share of runs that return 1."""
    wrong = sum(result or 0.0 for result in compute(run, range(runs)))
    figure = f"{wrong:.0f} of {runs}"
    return Row(name=name, figure=figure, bar=f"≤ {MAX_FALSE:.0%}", is_met=wrong <= MAX_FALSE * runs)


def naive_guard(runs: int, compute: Map) -> Iterator[Row]:
    """Yield how often a guard over a window trips on the same traffic."""
    for rate in (0.95, 0.97, 0.98):
        traffic = Traffic(shares=(0.5,), candidate=rate)
        tripped = sum(result or 0.0 for result in compute(partial(is_tripped_naively, traffic), range(runs)))
        yield Row(name=describe(traffic), figure=f"{tripped:.0f} of {runs}")


def detection(runs: int, compute: Map) -> Iterator[Row]:
    """Yield the candidate's requests until the first step back."""
    bars = {0.0: 5, 0.5: 15, 0.8: 80, 0.9: None}
    for share in (0.2, 0.5, 0.8, 1.0):
        for rate, bar in bars.items():
            traffic = Traffic(shares=(share,), candidate=rate, batch=1, requests=round(4000 / share))
            yield median_row(
                describe(traffic), partial(count_until, {"suspend", "roll_back"}, traffic), runs, compute, bar
            )
    for rate in (0.0, 0.5, 0.8):
        traffic = Traffic(shares=(0.5,), candidate=rate, batch=1, settings=EVERYTHING)
        name = f"all limits set: {describe(traffic)}"
        yield median_row(name, partial(count_until, {"suspend", "roll_back"}, traffic), runs, compute)
    for rate in (0.0, 0.5, 0.8):
        outage = Outage(start=2000, length=10_000, rate=rate, is_shared=False)
        traffic = Traffic(shares=(1.0,), candidate=0.99, batch=1, outages=(outage,))
        name = f"after 2,000 good requests, a drop to {rate:.0%}: share 100%"
        yield median_row(name, partial(count_late, traffic), runs, compute)


def advancing(runs: int, compute: Map) -> Iterator[Row]:
    """Yield the candidate's requests until a step of the ramp has passed."""
    for rate in (1.0, 0.99, 0.97, 0.96, 0.95):
        traffic = Traffic(shares=(0.5,), candidate=rate, batch=1, requests=12_000)
        yield median_row(describe(traffic), partial(count_until, {"advance"}, traffic), runs, compute)


def median_row(name: str, run: Run, runs: int, compute: Map, bar: int | None = None) -> Row:
    """Return a row with the median and the 90th percentile; a run without an end counts as infinite."""
    results = sorted(float("inf") if result is None else result for result in compute(run, range(runs)))
    median = statistics.median(results)
    figure = f"{median:.0f}, 90 % within {results[int(0.9 * (runs - 1))]:.0f}"
    return Row(name=name, figure=figure, bar="" if bar is None else f"≤ {bar}", is_met=bar is None or median <= bar)


TABLES = {
    "False final rollbacks in 10,000 requests": (false_rollbacks, 1.0),
    "False final rollbacks in 3,500 requests with two short shared outages": (short_outages, 1.0),
    "False alarms of a guard over the last 100 requests in 10,000 requests": (naive_guard, DELAY_RUNS),
    "Requests of the candidate until the first step back: median": (detection, DELAY_RUNS),
    "Requests of the candidate until the rollback is final: median": (final_rollbacks, DELAY_RUNS),
    "Requests of the candidate until a step has passed: median": (advancing, DELAY_RUNS),
}


def main() -> int:
    """Print all tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="runs of each row about errors")
    runs: int = parser.parse_args().runs
    limits = f"floor {DEFAULTS.floor:.0%}, margin {DEFAULTS.margin:.0%}, alpha {DEFAULTS.alpha:.0%}"
    print(f"{limits}, a ramp of {STEPS} steps; {runs} runs for errors, {round(runs * DELAY_RUNS)} for delays")
    missed = 0
    with multiprocessing.Pool(initializer=validators.set_disabled, initargs=(True,)) as pool:
        for title, (table, part) in TABLES.items():
            print(f"\n| {title} | | bar | |\n|---|---|---|---|")
            for row in table(round(runs * part), partial(pool.map, chunksize=5)):
                print(row, flush=True)
                missed += not row.is_met
    print(f"\n{missed} bars missed" if missed else "\nall bars met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
