"""What requests cost: a small table of prices, which a process of its own builds before requests are served.

Amounts are integers: nano-USD, and pico-USD for each token, as in the report. The price list itself takes 100 MB, so a
worker must never import it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from attrs import asdict, field, frozen
from kickai_providers_core.operations.rates import NANO_PER_USD, Rates, TokenCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from kickai_providers_core import Target, Usage

__all__ = ["PriceTable", "PricesError", "UnknownPriceError", "format_exact_usd", "read_prices"]

TIMEOUT_S = 60.0
"""Seconds to wait for the table."""


class PricesError(Exception):
    """There is no table of prices. The message says what to do."""


class UnknownPriceError(LookupError):
    """A target has no price; the message is its name."""


@frozen(kw_only=True)
class Tier:
    """The rates of requests up to a size.

    Attributes:
        up_to: The most input tokens; None for any number.
        rates: The rates.
    """

    up_to: int | None
    rates: Rates


@frozen
class PriceTable:
    """The prices of the targets that can be priced.

    Attributes:
        tiers: The tiers of each target, by its name, the smallest first; the last one is for any size.
    """

    tiers: Mapping[str, Sequence[Tier]] = field(factory=dict)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the table that `as_json` wrote."""
        return cls(
            {
                name: [Tier(up_to=tier["up_to"], rates=Rates(**tier["rates"])) for tier in tiers]
                for name, tiers in value.items()
            }
        )

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON."""
        return {name: [asdict(tier) for tier in tiers] for name, tiers in self.tiers.items()}

    def find_most(self, targets: Iterable[Target], input_tokens: int, output_tokens: int) -> int:
        """Return the most that one answer of any of the targets can cost, in nano-USD.

        Args:
            targets: Those that may answer.
            input_tokens: The most tokens that the request can have; it may have fewer, in a tier that costs more.
            output_tokens: The most tokens of the answer.

        Raises:
            UnknownPriceError: One of them has no price.
        """
        return max(
            _price_dearest(tier.rates, input_tokens, output_tokens)
            for target in targets
            for tier in _take_reachable(self._find(target), input_tokens)
        )

    def price(self, target: Target, usage: Usage) -> int:
        """Return the cost of an answer in nano-USD: what the service reports, or else the price of its tokens.

        Raises:
            UnknownPriceError: The target has no price.
        """
        if usage.cost_nano_usd is not None:
            return usage.cost_nano_usd
        tiers = self._find(target)
        tier = next(each for each in tiers if each.up_to is None or usage.input_tokens <= each.up_to)
        counts = TokenCounts(
            attempts=1,
            input=usage.input_tokens,
            output=usage.output_tokens,
            cached=usage.cached_tokens,
            reasoning=usage.reasoning_tokens,
        )
        return tier.rates.price(counts)

    def _find(self, target: Target) -> Sequence[Tier]:
        tiers = self.tiers.get(str(target))
        if tiers is None:
            raise UnknownPriceError(str(target))
        return tiers


def read_prices(config: Path | None) -> PriceTable:
    """Return the prices of the targets that the settings name; takes about a second.

    Args:
        config: The settings file; None to search for it.

    Raises:
        PricesError: The process that builds the table failed, or needs a package that is not installed.
    """
    options = () if config is None else (str(config),)
    command = [sys.executable, "-m", "kickai_gateway.price_process", *options]
    try:
        done = subprocess.run(  # noqa: S603  our own module
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        message = f"the prices were not read within {TIMEOUT_S:g} s"
        raise PricesError(message) from None
    except ValueError:
        message = f"the process that reads the prices failed (exit code {done.returncode})"
        raise PricesError(message) from None
    if "error" in found:
        raise PricesError(found["error"])
    return PriceTable.from_json(found["prices"])


def format_exact_usd(nano_usd: int) -> str:
    """Return an amount in USD, with as many decimals as it has, and two at least."""
    whole, part = divmod(nano_usd, NANO_PER_USD)
    decimals = f"{part:09d}".rstrip("0")
    return f"{whole}.{decimals:0<2}"


def _take_reachable(tiers: Sequence[Tier], input_tokens: int) -> Iterable[Tier]:
    """Yield the tiers of requests of at most this size."""
    for tier in tiers:
        yield tier
        if tier.up_to is None or input_tokens <= tier.up_to:
            return


def _price_dearest(rates: Rates, input_tokens: int, output_tokens: int) -> int:
    """Return the cost of the tokens if each is of the dearest kind, rounded up."""
    pico = (
        rates.attempt
        + max(rates.input, rates.cached) * input_tokens
        + max(rates.output, rates.reasoning) * output_tokens
    )
    return -(-pico // 1000)
