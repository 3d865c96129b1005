"""Prices of models: from the settings, from the price list of the package genai-prices, or known to be zero.

The price list is part of the package, and no network is used. Importing it takes up to a second and 100 MiB, so only
the process of ``kickai report`` does that. A model has a price or it has none; an unknown price is never zero.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from kickai_providers_core.operations.rates import Rates
from kickai_providers_core.operations.services import FREE_KIND, find_service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core.config.settings import Settings

__all__ = ["GenaiPrices", "ListedTarget", "PriceBook", "PriceList", "load_price_list"]

FREE_KINDS = frozenset({"local", "ollama", "mock"})
"""The plugins whose models cost nothing: they run on your own machines, or are simulated."""

SERVICES = {"gemini": "google", "openai": "openai"}
"""The name of a plugin's service in the price list."""

ANY_PROVIDER = frozenset({"", "auto", "cheapest", "fastest", "preferred"})
"""The suffixes of a Hugging Face model that leave the choice of the inference provider to the router."""

PROBE_TOKENS = 1_000_000
PICO_PER_USD = 10**12
HOUR_S = 3600


@frozen(kw_only=True)
class ListedTarget:
    """A model as a price list names it.

    Attributes:
        model: The model, without the prefixes and suffixes of its service.
        service: The service in the price list; empty for an unknown one.
        address: The address of the service, when that identifies it instead; empty for none.
    """

    model: str
    service: str = ""
    address: str = ""


class PriceList(Protocol):
    """A list of prices.

    Attributes:
        name: Its name and version, for a reader.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    def find_rates(self, target: ListedTarget, input_tokens: int, at_s: int) -> Rates | None:
        """Return the rates for requests of this size at this time; None for an unknown price."""


class GenaiPrices:
    """The price list of the package genai-prices. Rates are looked up once for each model, size and hour.

    Attributes:
        name: Its name and version, for a reader.
    """

    def __init__(self, module: Any) -> None:
        self.name = f"genai-prices {module.__version__}"
        self._calculate: Callable[..., Any] = module.calc_price
        self._usage: Callable[..., Any] = module.Usage
        self._constant: dict[tuple[ListedTarget, int], Rates | None] = {}
        self._hourly: dict[tuple[ListedTarget, int, int], Rates | None] = {}

    def find_rates(self, target: ListedTarget, input_tokens: int, at_s: int) -> Rates | None:
        """Return the rates for requests of this size at this time; None for an unknown price."""
        key, hour = (target, input_tokens), at_s // HOUR_S
        if key in self._constant:
            return self._constant[key]
        if (*key, hour) not in self._hourly:
            rates, varies = self._look_up(target, input_tokens, datetime.fromtimestamp(hour * HOUR_S, UTC))
            if not varies:
                self._constant[key] = rates
            self._hourly[(*key, hour)] = rates
        return self._hourly[(*key, hour)]

    def _look_up(self, target: ListedTarget, size: int, at: datetime) -> tuple[Rates | None, bool]:
        """Return the rates, and whether they depend on the time."""
        where = {"provider_api_url": target.address} if target.address else {"provider_id": target.service}

        def calculate(**usage: int) -> Any:
            return self._calculate(self._usage(**usage), target.model, genai_request_timestamp=at, **where)

        output = PROBE_TOKENS
        try:
            empty = calculate(input_tokens=0, output_tokens=0)
            read = calculate(input_tokens=size, output_tokens=0).total_price
            cached = calculate(input_tokens=size, output_tokens=0, cache_read_tokens=size).total_price
            written = calculate(input_tokens=size, output_tokens=output).total_price
            thought = calculate(input_tokens=size, output_tokens=output, output_reasoning_tokens=output).total_price
        except (LookupError, ValueError):
            return None, False
        # A model's prices are a list when they have changed or will change.
        varies = isinstance(getattr(empty.model, "prices", None), list)
        rates = Rates(
            attempt=_to_rate(empty.total_price, 1),
            input=_to_rate(read - empty.total_price, size),
            cached=_to_rate(cached - empty.total_price, size),
            output=_to_rate(written - read, output),
            reasoning=_to_rate(thought - read, output),
        )
        return rates, varies


def _to_rate(usd: Decimal, tokens: int) -> int:
    return max(0, round(usd * PICO_PER_USD / Decimal(tokens)))


def load_price_list() -> GenaiPrices | None:
    """Return the price list of genai-prices; None when the package is not installed or cannot be imported."""
    try:
        return GenaiPrices(import_module("genai_prices"))
    except Exception:  # noqa: BLE001  its import fails in many ways, for example on damaged metadata of another package
        return None


@frozen(kw_only=True)
class PriceBook:
    """Finds the rates of targets by the settings.

    Attributes:
        settings: The settings, with the kinds and addresses of the instances and the prices in ``[prices]``.
        prices: The price list; None for none, and then only the settings have prices.
    """

    settings: Settings
    prices: PriceList | None = None
    _overrides: Mapping[str, Rates] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        models = self.settings.prices.models
        object.__setattr__(self, "_overrides", {name: Rates.from_price(price) for name, price in models.items()})

    def find_rates(self, instance: str, model: str, at_s: int, input_tokens: int) -> Rates | None:
        """Return the rates of a target; None for an unknown price.

        Args:
            instance: The instance.
            model: The model, as the service or the settings name it.
            at_s: The time of the requests, in seconds since 1970.
            input_tokens: The size of the requests, which selects the tier.
        """
        listed = self.identify(instance, model)
        for name in (f"{instance}:{model}", f"{instance}:{listed.model}", model, listed.model):
            if name in self._overrides:
                return self._overrides[name]
        if find_service(self.settings, instance) in FREE_KINDS:
            return Rates()
        if self.prices is None or not listed.model or not (listed.service or listed.address):
            return None
        return self.prices.find_rates(listed, max(1, input_tokens), at_s)

    def identify(self, instance: str, model: str) -> ListedTarget:
        """Return the name that a price list has for a target."""
        kind, settings = find_service(self.settings, instance), self.settings.providers.get(instance)
        address = getattr(settings, "base_url", None) or ""
        bare = model.removeprefix("models/")
        if kind != FREE_KIND:
            if kind == "openai" and address:
                return ListedTarget(model=bare, address=address)
            return ListedTarget(model=bare, service=SERVICES.get(kind, ""))
        bare, _, provider = bare.partition(":")
        provider = provider or getattr(settings, "inference_provider", "")
        # The router's price depends on who runs the model, and your own server is not paid by the token.
        is_known = not address and provider not in ANY_PROVIDER
        return ListedTarget(model=bare, service=f"huggingface_{provider}" if is_known else "")
