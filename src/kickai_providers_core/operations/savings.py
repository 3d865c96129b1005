"""Savings: what was saved against Gemini alone, and what that makes in a month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import Factory, field, frozen

from kickai_providers_core.operations.costs import Baseline, Cost
from kickai_providers_core.operations.number_formats import format_number, format_percentage

__all__ = ["Projection", "Savings"]

if TYPE_CHECKING:
    from collections.abc import Mapping

MONTH_S = 365.25 / 12 * 86_400
"""The mean length of a month, in seconds."""

SHORTEST_PROJECTION_S = 3600
"""A shorter time is not projected to a month, in seconds."""


@frozen(kw_only=True)
class Projection:
    """A month at the rate of the observed time, in nano-USD.

    Attributes:
        charged_nano_usd: The known cost after the credit of one month.
        baseline_nano_usd: The cost with Gemini alone.
        least_nano_usd: The savings if everything without a price cost as much as with Gemini.
        most_nano_usd: The savings if everything without a price was free.
    """

    charged_nano_usd: int
    baseline_nano_usd: int
    least_nano_usd: int
    most_nano_usd: int

    def as_dict(self) -> dict[str, int]:
        """Return the projection as JSON."""
        return {
            "charged_nano_usd": self.charged_nano_usd,
            "gemini_only_nano_usd": self.baseline_nano_usd,
            "saved_at_least_nano_usd": self.least_nano_usd,
            "saved_at_most_nano_usd": self.most_nano_usd,
        }


@frozen(kw_only=True)
class Savings:
    """The cost against that of Gemini alone.

    Attributes:
        cost: What the attempts cost.
        baseline: What the answered requests would have cost with Gemini alone.
        free_tier_nano_usd: The part of the cost that is for Hugging Face, by calendar month.
        credit_per_month_nano_usd: What Hugging Face does not charge in each month. What a month does not use is lost.
        observed_s: The time that the report covers, in seconds.
    """

    cost: Cost = field(factory=Cost)
    baseline: Baseline = field(factory=Baseline)
    free_tier_nano_usd: Mapping[str, int] = Factory(dict)
    credit_per_month_nano_usd: int = 0
    observed_s: float = 0

    @property
    def credit_nano_usd(self) -> int:
        """The part of the cost that the credit covers."""
        return sum(min(cost, self.credit_per_month_nano_usd) for cost in self.free_tier_nano_usd.values())

    @property
    def charged_nano_usd(self) -> int:
        """The known cost after the credit."""
        return self.cost.nano_usd - self.credit_nano_usd

    @property
    def most_nano_usd(self) -> int:
        """The savings if everything without a price was free."""
        return self.baseline.nano_usd - self.charged_nano_usd

    @property
    def least_nano_usd(self) -> int:
        """The savings if everything without a price cost as much as with Gemini."""
        return self.most_nano_usd - self._unknown_nano_usd

    @property
    def _unknown_nano_usd(self) -> int:
        """The baseline of what may not have been free."""
        flat = self.baseline.flat_nano_usd if self.cost.unpriced_tokens else 0
        return self.baseline.unpriced_nano_usd + flat

    def project(self) -> Projection | None:
        """Return a month at the rate of the observed time; None if that is shorter than an hour."""
        if self.observed_s < SHORTEST_PROJECTION_S:
            return None
        factor = MONTH_S / self.observed_s
        credit = min(round(sum(self.free_tier_nano_usd.values()) * factor), self.credit_per_month_nano_usd)
        charged = round(self.cost.nano_usd * factor) - credit
        baseline = round(self.baseline.nano_usd * factor)
        return Projection(
            charged_nano_usd=charged,
            baseline_nano_usd=baseline,
            least_nano_usd=baseline - charged - round(self._unknown_nano_usd * factor),
            most_nano_usd=baseline - charged,
        )

    def describe(self) -> str:
        """Return what the figures do not know, for a reader; empty if they know everything."""
        share, parts = self.cost.unpriced_share, []
        if share:
            parts.append(f"{format_percentage(share)} of tokens unpriced")
        flat = self.baseline.flat_requests
        if flat:
            total = format_number(flat + self.baseline.requests)
            parts.append(f"{format_number(flat)} of {total} requests at the flat 0.05 USD per thousand")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the savings as JSON."""
        month = self.project()
        return {
            "charged_nano_usd": self.charged_nano_usd,
            "free_credit_nano_usd": self.credit_nano_usd,
            "gemini_only_nano_usd": self.baseline.nano_usd,
            "gemini_only_flat_nano_usd": self.baseline.flat_nano_usd,
            "gemini_only_flat_requests": self.baseline.flat_requests,
            "saved_at_least_nano_usd": self.least_nano_usd,
            "saved_at_most_nano_usd": self.most_nano_usd,
            "month": None if month is None else month.as_dict(),
        }
