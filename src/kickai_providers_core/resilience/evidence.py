"""The statistics of the rollout guard: tests that may look after every request, for as long as they like.

All of them use e-values. An e-value is a statistic whose mean is at most 1 while its null hypothesis is true. A product
of conditional e-values is then a supermartingale, and by Ville's inequality (1939) it reaches ``1 / alpha`` at any time
with probability at most ``alpha``. A fixed-size test promises this for one look only. See Ramdas, Grünwald, Vovk and
Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38, 2023.

Requests are counted in batches. A *bad event* is whatever a test limits: a failure, a slow answer, a refusal. Each test
multiplies likelihood ratios over the batches and averages over several alternatives, because the size of the problem
is unknown. Everything is in logarithms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import field, fields, frozen

from kickai_providers_core.values.validation import Number, describe_type, raise_type_error, raise_value_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Block",
    "RestartingTest",
    "Tally",
    "compute_log_block_ratios",
    "compute_log_excess_ratios",
    "compute_log_proof",
    "compute_log_split_mismatch",
    "compute_wilson_interval",
    "count_more_needed",
    "require_fields",
    "split_alpha",
]

WORSE_ODDS = (1.5, 2.0, 4.0, 8.0, 16.0, 64.0, 512.0)
"""Alternatives of the floor test: the odds of a bad event are this many times those at the limit."""

BETTER_ODDS = (1 / 1.3, 1 / 2, 1 / 4, 1 / 16, 1 / 128)
"""Alternatives of the evidence test."""

GAP_ODDS = tuple((excess, gap) for excess in (1.5, 3.0, 8.0, 64.0) for gap in (2.0, 6.0, 50.0))
"""Alternatives of the two-arm test: the odds relative to the limit, and relative to the control arm."""

FIRST_START = 0.8
"""The weight of the first start of a `RestartingTest`. The later ones share the rest."""

START_SCALE = 100.0
"""After this many requests, half of the weight of the later starts is used up."""

COUNT = Number(integer=True, minimum=0)
LEAST_GAIN = 1e-9
"""An alternative that gains less per request does not conclude within a useful time."""


def require_fields(kind: type, data: object, where: str) -> dict[str, Any]:
    """Return a JSON object with exactly the fields of an attrs class.

    Raises:
        TypeError: It is not a JSON object.
        ValueError: A field is missing or unknown.
    """
    if not isinstance(data, dict):
        raise_type_error(where, "a JSON object", describe_type(data))
    names = {attribute.name for attribute in fields(kind)}
    if set(data) != names:
        missing, unknown = sorted(names - set(data)), sorted(map(str, set(data) - names))
        raise_value_error(
            where, f"an object with the fields {', '.join(sorted(names))}", f"missing {missing}, unknown {unknown}"
        )
    return dict(data)


@frozen
class Tally:
    """Bad events among requests.

    Attributes:
        bad: The number of bad events, from 0 to ``total``.
        total: The number of requests.
    """

    bad: int = field(default=0, validator=COUNT)
    total: int = field(default=0, validator=COUNT)

    def __attrs_post_init__(self) -> None:
        """Check that there are no more bad events than requests."""
        if self.bad > self.total:
            raise_value_error("Tally.bad", f"at most the total of {self.total}", str(self.bad))

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.bad + other.bad, self.total + other.total)

    @classmethod
    def from_dict(cls, data: object, where: str = "tally") -> Tally:
        """Return a tally from what `attrs.asdict` made of it. Raises TypeError and ValueError."""
        return cls(**require_fields(cls, data, where))


@frozen
class Block:
    """Traffic of both arms at the same time, for the two-arm test."""

    candidate: Tally = Tally()
    control: Tally = Tally()

    def add(self, candidate: Tally, control: Tally) -> Block:
        """Return the block with more requests."""
        return Block(self.candidate + candidate, self.control + control)

    @property
    def is_closed(self) -> bool:
        """Whether both arms have a request. This depends on the traffic only, never on outcomes."""
        return self.candidate.total > 0 and self.control.total > 0

    @classmethod
    def from_dict(cls, data: object, where: str = "block") -> Block:
        """Return a block from what `attrs.asdict` made of it. Raises TypeError and ValueError."""
        arms = require_fields(cls, data, where)
        return cls(**{arm: Tally.from_dict(tally, f"{where}.{arm}") for arm, tally in arms.items()})


def compute_log_excess_ratios(tally: Tally, limit: float, odds: Sequence[float]) -> tuple[float, ...]:
    """Return the log likelihood ratios of a batch, for each alternative, against "bad events have the share ``limit``".

    With odds above 1 each is an e-value while the share of bad events is at most ``limit``, and with odds below 1 while
    it is at least ``limit``; the share may change from request to request. The mean of the ratio is linear in the
    share, and 1 at the limit. These are the factors of Wald's sequential probability ratio test (1945).
    """
    return tuple(tally.bad * math.log(each) - tally.total * math.log1p((each - 1) * limit) for each in odds)


def compute_log_block_ratios(block: Block, limit: float) -> tuple[float, ...]:
    """Return the log ratios of the two-arm test for a closed block, one for each pair in ``GAP_ODDS``.

    From which arm do bad events come, given the traffic of each? If the arms are exchangeable within the block, the
    number ``x`` of the candidate's among all ``F`` bad events is hypergeometric. ``gap ** x`` is convex in ``x``, so
    its mean is at most that of sampling with replacement (Hoeffding 1963, Theorem 4), which is
    ``((gap * n_candidate + n_control) / n) ** F``. The ratio of the two is an e-value, also in an outage of both arms.
    Compare Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
    stopping", Journal of Statistical Planning and Inference 230, 2024.

    A candidate that is worse than the control, but good enough, must stay. Therefore each pair counts the smaller of
    this ratio and the candidate's ratio against the limit. The minimum of two e-values is an e-value under either
    hypothesis, and a different one may be true in each block.
    """
    mine, other = block.candidate, block.control
    part = mine.total / (mine.total + other.total)
    bad = mine.bad + other.bad
    return tuple(
        min(
            mine.bad * math.log(excess) - mine.total * math.log1p((excess - 1) * limit),
            mine.bad * math.log(gap) - bad * math.log1p((gap - 1) * part),
        )
        for excess, gap in GAP_ODDS
    )


def _convert_logs(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(values)


@frozen
class RestartingTest:
    """An e-process: a mixture of products of ratios, over the alternatives and over the times at which they start.

    A product from the first request on would need hundreds of failures to notice that a candidate failed after
    thousands of good answers. A mixture over start times with a proper prior needs only a few more than at the start:
    the sums follow the recursion of Shiryaev and Roberts, ``sum = (sum + weight of this start) * ratio``, and the
    weight of the starts to come is part of the value. It is 1 at first, and its mean never grows under the hypothesis.

    Attributes:
        seen: The number of requests so far.
        log_sums: The logarithm of the sum for each alternative; empty before the first batch.
    """

    seen: int = field(default=0, validator=COUNT)
    log_sums: tuple[float, ...] = field(default=(), converter=_convert_logs)

    @log_sums.validator
    def _check_log_sums(self, attribute: object, value: tuple[float, ...]) -> None:  # noqa: ARG002  # attrs passes it
        for each in value:
            Number().check("RestartingTest.log_sums", each)

    def add(self, log_ratios: Sequence[float], requests: int) -> RestartingTest:
        """Return the test after a batch.

        Args:
            log_ratios: The log ratio of the batch for each alternative; the same alternatives in each call.
            requests: The number of requests in the batch, at least 1.
        """
        before, after = 1 + self.seen / START_SCALE, 1 + (self.seen + requests) / START_SCALE
        log_weight = math.log((1 - FIRST_START) * requests / START_SCALE) - math.log(before) - math.log(after)
        sums = self.log_sums or (math.log(FIRST_START),) * len(log_ratios)
        return RestartingTest(
            self.seen + requests,
            tuple(add_logs(old, log_weight) + ratio for old, ratio in zip(sums, log_ratios, strict=True)),
        )

    @property
    def log_e(self) -> float:
        """The logarithm of the e-value so far; 0 at first."""
        if not self.log_sums:
            return 0.0
        to_come = math.log(1 - FIRST_START) - math.log1p(self.seen / START_SCALE)
        return add_logs(compute_log_mean(self.log_sums), to_come)

    @classmethod
    def from_dict(cls, data: object, where: str = "test") -> RestartingTest:
        """Return a test from what `attrs.asdict` made of it. Raises TypeError and ValueError."""
        values = require_fields(cls, data, where)
        if not isinstance(values["log_sums"], list | tuple):
            raise_type_error(f"{where}.log_sums", "a list of numbers", describe_type(values["log_sums"]))
        return cls(**values)


def add_logs(left: float, right: float) -> float:
    """Return ``log(exp(left) + exp(right))`` without overflow."""
    return max(left, right) + math.log1p(math.exp(-abs(left - right)))


def compute_log_mean(logs: Sequence[float]) -> float:
    """Return the logarithm of the mean of exponentials, without overflow."""
    top = max(logs)
    return top + math.log(sum(math.exp(each - top) for each in logs) / len(logs))


def compute_log_proof(tally: Tally, limit: float) -> float:
    """Return the log e-value of the evidence test: it is large when bad events are rarer than ``limit``.

    The mirror image of the floor test, from the first request on: an average over ``BETTER_ODDS``.
    """
    return compute_log_mean(compute_log_excess_ratios(tally, limit, BETTER_ODDS))


def count_more_needed(tally: Tally, limit: float, alpha: float) -> int | None:
    """Estimate how many more requests the evidence test needs, if bad events stay as frequent as they are.

    Returns:
        The number, from 0; None if the test would never conclude. Without any request so far, bad events are assumed
        not to happen.
    """
    rate = tally.bad / tally.total if tally.total else 0.0
    goal = math.log(1 / alpha)
    now = compute_log_excess_ratios(tally, limit, BETTER_ODDS)
    if compute_log_mean(now) >= goal:
        return 0
    gains = [rate * math.log(each) - math.log1p((each - 1) * limit) for each in BETTER_ODDS]
    terms = tuple(zip(now, gains, strict=True))
    # The mean has reached the goal at the latest when one term reaches this value.
    enough = goal + math.log(len(terms))
    sufficient = [(enough - start) / gain for start, gain in terms if gain > LEAST_GAIN]
    if not sufficient:
        return None
    low, high = 0, math.ceil(min(sufficient))
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = compute_log_mean([start + gain * middle for start, gain in terms]) >= goal
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def compute_log_split_mismatch(candidate: int, control: int, share: float) -> float:
    """Return the log e-value against "each key goes to the candidate with probability ``share``".

    The alternative is a mixture over all other shares with Jeffreys' prior, Beta(1/2, 1/2), in closed form. It counts
    keys, not requests: all requests of a key go to the same arm, so that one busy key would look like a wrong split.

    Args:
        candidate: The number of keys in the candidate arm; a request without a key is a key of its own.
        control: The number of keys in the control arm.
        share: The share of the candidate, above 0 and below 1.
    """
    total = candidate + control
    mixture = math.lgamma(candidate + 0.5) + math.lgamma(control + 0.5) - math.lgamma(total + 1) - math.log(math.pi)
    return mixture - candidate * math.log(share) - control * math.log1p(-share)


def split_alpha(total: float, *, steps: int, tests: int, roles: int = 1) -> float:
    """Return the error rate of one test, so that those of all tests of a ramp add up to ``total`` (Bonferroni)."""
    return total / (steps * tests * roles)


def compute_wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval (1927) for a success rate, for reports.

    It is valid for one look at a fixed number of requests. The guard's decisions never use it.

    Args:
        successes: The number of successes, from 0 to ``n``.
        n: The number of requests; the interval is (0, 1) for 0.
        confidence: The probability that the interval contains the rate, above 0 and below 1.
    """
    if not n:
        return 0.0, 1.0
    from statistics import NormalDist  # noqa: PLC0415  its import takes long, and only reports need it

    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, spread = successes / n, z * z / n
    centre = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def read_objects(data: object, where: str) -> Mapping[str, object]:
    """Return a JSON object. Raises TypeError."""
    if not isinstance(data, dict):
        raise_type_error(where, "a JSON object", describe_type(data))
    return data
