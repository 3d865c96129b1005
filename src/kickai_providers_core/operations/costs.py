"""Costs: what attempts cost and from which source that is known, and what Gemini alone would have cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.operations.rates import TokenCounts
from kickai_providers_core.values.event_counting import KINDS, REPORTED
from kickai_providers_core.values.metrics import SIZE_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.operations.cell_sums import Sums
    from kickai_providers_core.operations.rates import Rates

__all__ = [
    "FLAT_NANO_USD_PER_REQUEST",
    "Baseline",
    "Cost",
    "FindRates",
    "choose_class_size",
    "find_baseline",
    "find_cost",
]

FLAT_NANO_USD_PER_REQUEST = 50_000
"""What a request costs with Gemini alone when its tokens or their price are unknown: 0.05 USD for a thousand requests,
the figure that the move to Hugging Face was planned with."""


FindRates = Callable[[int], "Rates | None"]
"""Returns the rates of a target for requests of a size in tokens; None for an unknown price."""


@frozen(kw_only=True)
class Cost:
    """What some attempts cost, in nano-USD, and for which of their tokens that is known.

    Attributes:
        reported_nano_usd: What services reported.
        calculated_nano_usd: Reported tokens at the price of their model.
        estimated_nano_usd: Estimated tokens of attempts without reported tokens, at the price of their model.
        tokens: All tokens, including estimated ones.
        unpriced_tokens: Those whose price is unknown, which the amounts do not contain.
    """

    reported_nano_usd: int = 0
    calculated_nano_usd: int = 0
    estimated_nano_usd: int = 0
    tokens: int = 0
    unpriced_tokens: int = 0

    @property
    def nano_usd(self) -> int:
        """The sum of what is known."""
        return self.reported_nano_usd + self.calculated_nano_usd + self.estimated_nano_usd

    @property
    def unpriced_share(self) -> float | None:
        """The share of tokens without a price, from 0 to 1; None without tokens."""
        return self.unpriced_tokens / self.tokens if self.tokens else None

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            reported_nano_usd=self.reported_nano_usd + other.reported_nano_usd,
            calculated_nano_usd=self.calculated_nano_usd + other.calculated_nano_usd,
            estimated_nano_usd=self.estimated_nano_usd + other.estimated_nano_usd,
            tokens=self.tokens + other.tokens,
            unpriced_tokens=self.unpriced_tokens + other.unpriced_tokens,
        )


@frozen(kw_only=True)
class Baseline:
    """What the answered requests would have cost with Gemini alone, in nano-USD.

    Attributes:
        calculated_nano_usd: Their tokens at the price of the role's Gemini model.
        requests: The number of these requests.
        unpriced_nano_usd: The part of it for targets whose real price is unknown.
        flat_nano_usd: Requests without known tokens or price, at `FLAT_NANO_USD_PER_REQUEST`.
        flat_requests: The number of these requests.
    """

    calculated_nano_usd: int = 0
    requests: int = 0
    unpriced_nano_usd: int = 0
    flat_nano_usd: int = 0
    flat_requests: int = 0

    @property
    def nano_usd(self) -> int:
        """The sum."""
        return self.calculated_nano_usd + self.flat_nano_usd

    def fill_up(self, requests: int) -> Baseline:
        """Return the baseline of this many answered requests: those that it lacks have the flat price."""
        missing = max(0, requests - self.requests)
        return self + Baseline(flat_nano_usd=missing * FLAT_NANO_USD_PER_REQUEST, flat_requests=missing)

    def __add__(self, other: Baseline) -> Baseline:
        return Baseline(
            calculated_nano_usd=self.calculated_nano_usd + other.calculated_nano_usd,
            requests=self.requests + other.requests,
            unpriced_nano_usd=self.unpriced_nano_usd + other.unpriced_nano_usd,
            flat_nano_usd=self.flat_nano_usd + other.flat_nano_usd,
            flat_requests=self.flat_requests + other.flat_requests,
        )


def choose_class_size(size_class: str) -> int:
    """Return a size in tokens that stands for a class: all sizes of a class have the same price for a token."""
    return int(size_class) if size_class.isdecimal() else SIZE_BOUNDS[-1] + 1


def _find_classes(sums: Sums, *prefixes: str) -> list[str]:
    """Return the size classes of counters, the smallest first; also those of an earlier version with other bounds."""
    found = {name.rpartition(".")[2] for name, count in sums.counters.items() if count and name.startswith(prefixes)}
    return sorted(found, key=choose_class_size)


def count_tokens(sums: Sums) -> Iterator[tuple[str, TokenCounts]]:
    """Yield the reported tokens of each size class that has some."""
    for k in _find_classes(sums, "usage.", "tokens.input.", "tokens.output."):
        yield k, TokenCounts(sums.get(f"usage.{k}"), *(sums.get(f"tokens.{kind}.{k}") for kind in KINDS))


def count_estimated(sums: Sums) -> Iterator[tuple[str, TokenCounts]]:
    """Yield the estimated tokens of each size class that has some."""
    for k in _find_classes(sums, "estimated.", "tokens.estimated."):
        yield k, TokenCounts(sums.get(f"estimated.{k}"), sums.get(f"tokens.estimated.{k}"))


def count_reported(sums: Sums) -> TokenCounts:
    """Return the tokens of attempts whose cost the service reported; they are in no size class."""
    return TokenCounts(*map(sums.get, REPORTED))


def find_cost(sums: Sums, find_rates: FindRates) -> Cost:
    """Return the cost of one target's attempts in one period.

    Args:
        sums: The sums of the target and the period.
        find_rates: Returns the rates of the target.
    """
    cost = Cost(reported_nano_usd=sums.get("cost.reported_nano_usd"), tokens=count_reported(sums).total)
    for size_class, counts in count_tokens(sums):
        rates = find_rates(choose_class_size(size_class))
        if rates is None:
            cost += Cost(tokens=counts.total, unpriced_tokens=counts.total)
        else:
            cost += Cost(tokens=counts.total, calculated_nano_usd=rates.price(counts))
    for size_class, counts in count_estimated(sums):
        rates = find_rates(choose_class_size(size_class))
        if rates is None:
            cost += Cost(tokens=counts.total, unpriced_tokens=counts.total)
        else:
            cost += Cost(tokens=counts.total, estimated_nano_usd=rates.price(counts))
    return cost


def find_baseline(sums: Sums, cost: Cost, find_rates: FindRates) -> Baseline:
    """Return what the reported tokens would have cost with a Gemini model; requests without tokens are left out.

    Args:
        sums: The sums of one target and one period.
        cost: What they cost really.
        find_rates: Returns the rates of the Gemini model.
    """
    baseline = Baseline()
    classes = [(choose_class_size(size_class), counts) for size_class, counts in count_tokens(sums)]
    reported = count_reported(sums)
    if reported.attempts:
        classes.append((reported.input // reported.attempts, reported))
    for size, counts in classes:
        rates = find_rates(size)
        if rates is not None:
            nano_usd = rates.price(counts)
            unpriced = nano_usd if cost.unpriced_tokens else 0
            baseline += Baseline(calculated_nano_usd=nano_usd, unpriced_nano_usd=unpriced, requests=counts.attempts)
    return baseline
