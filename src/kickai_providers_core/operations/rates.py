"""Rates: what one token of a model costs, and exact sums in integers.

A rate is an integer number of pico-USD (10 ** -12 USD) for each token, since a price of 0.000001 USD for a million
tokens is one pico-USD for each of them. Costs are integer nano-USD (10 ** -9 USD), so that sums of them are exact.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import field, frozen

from kickai_providers_core.values.validation import Number

if TYPE_CHECKING:
    from kickai_providers_core.config.price_settings import ModelPrice

__all__ = ["NANO_PER_USD", "Rates", "TokenCounts", "to_nano_usd"]

NANO_PER_USD = 10**9
PICO_PER_NANO = 1000
PICO_PER_USD_PER_MILLION = 10**6

NOT_NEGATIVE = Number(integer=True, minimum=0)


def to_nano_usd(usd: float | Decimal) -> int:
    """Return an amount of USD in nano-USD, rounded to the nearest."""
    return int((Decimal(str(usd)) * NANO_PER_USD).to_integral_value(ROUND_HALF_EVEN))


class TokenCounts(NamedTuple):
    """The tokens of some attempts of one target and one size class.

    Attributes:
        attempts: The number of attempts.
        input: Their input tokens, including cached ones.
        output: Their output tokens, including reasoning.
        cached: Their input tokens that came from a cache.
        reasoning: Their output tokens that were used for reasoning.
    """

    attempts: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output


@frozen(kw_only=True)
class Rates:
    """The price of one model for requests of one size class, in pico-USD.

    Attributes:
        input: For an input token that did not come from a cache.
        cached: For an input token that came from a cache.
        output: For an output token that was not used for reasoning.
        reasoning: For an output token that was used for reasoning.
        attempt: For each attempt, whatever its size.
    """

    input: int = field(default=0, validator=NOT_NEGATIVE)
    cached: int = field(default=0, validator=NOT_NEGATIVE)
    output: int = field(default=0, validator=NOT_NEGATIVE)
    reasoning: int = field(default=0, validator=NOT_NEGATIVE)
    attempt: int = field(default=0, validator=NOT_NEGATIVE)

    @classmethod
    def from_price(cls, price: ModelPrice) -> Rates:
        """Return the rates of a price in the settings."""

        def convert(usd: Any) -> int:
            return int((Decimal(str(usd)) * PICO_PER_USD_PER_MILLION).to_integral_value(ROUND_HALF_EVEN))

        cached = price.cached_usd_per_million
        output = convert(price.output_usd_per_million)
        return cls(
            input=convert(price.input_usd_per_million),
            cached=convert(price.input_usd_per_million if cached is None else cached),
            output=output,
            reasoning=output,
        )

    def price(self, tokens: TokenCounts) -> int:
        """Return the cost of tokens in nano-USD, rounded to the nearest."""
        # A service may count cached tokens apart from input; nothing becomes negative.
        cached, reasoning = min(tokens.cached, tokens.input), min(tokens.reasoning, tokens.output)
        pico = (
            self.attempt * tokens.attempts
            + self.input * (tokens.input - cached)
            + self.cached * cached
            + self.output * (tokens.output - reasoning)
            + self.reasoning * reasoning
        )
        return (pico + PICO_PER_NANO // 2) // PICO_PER_NANO
