"""Builds the table of prices in a process of its own: ``python -m kickai_gateway.price_process CONFIG``.

It prints one JSON object: ``prices``, or the ``error`` that says what is missing.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kickai_providers_core import KickaiError, Resolver
from kickai_providers_core.cli.common_options import Session, without_store
from kickai_providers_core.cli.console import Console
from kickai_providers_core.operations.prices import PriceBook, load_price_list
from kickai_providers_core.operations.rates import Rates
from kickai_providers_core.values.metrics import SIZE_BOUNDS

from kickai_gateway.errors import ApiError
from kickai_gateway.model_names import ModelTable
from kickai_gateway.prices import PriceTable, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Target

__all__ = ["build_prices", "list_targets"]

HOURS = 24
"""Some prices depend on the hour. The dearest of a day counts."""

HOUR_S = 3_600

INSTALL = "install the price list with pip install 'kickai-providers-core[report]'"


def build_prices(session: Session) -> dict[str, Any]:
    """Return the prices of the targets that the settings name; an ``error`` when they cannot be found."""
    try:
        settings, discovery = session.load()
        price_list = load_price_list()
        book = PriceBook(settings=settings, prices=price_list)
        with Resolver(without_store(settings), discovery) as resolver:
            targets = list(list_targets(ModelTable(resolver)))
    except KickaiError as error:
        return {"error": str(error)}
    now_s = int(time.time())
    found = {str(target): _find_tiers(book, target, now_s) for target in targets}
    missing = [name for name, tiers in found.items() if tiers is None]
    if missing and price_list is None:
        return {"error": f"no price of {missing[0]} is known: {INSTALL}, or set [prices.models]"}
    table = PriceTable({name: tiers for name, tiers in found.items() if tiers is not None})
    return {"prices": table.as_json()}


def list_targets(models: ModelTable) -> Iterator[Target]:
    """Yield each target once: those of roles, of instances, of the rollout, and of the models that keys list."""
    settings = models.resolver.settings
    listed = [name for key in settings.gateway.keys.values() for name in key.models if "*" not in name]
    priced = [name for name in settings.prices.models if ":" in name]
    known: dict[Target, None] = {}
    for name in (*models.list_names(), *listed, *priced):
        try:
            reachable = models.find(name).reachable
        except ApiError:  # a price or a key may name what is not installed here
            continue
        known |= dict.fromkeys(reachable)
    yield from known


def _find_tiers(book: PriceBook, target: Target, now_s: int) -> list[Tier] | None:
    """Return the tiers of a target; None when its price is unknown."""
    tiers: list[Tier] = []
    for bound in (*SIZE_BOUNDS, None):
        size = SIZE_BOUNDS[-1] + 1 if bound is None else bound
        rates = _find_dearest(book, target, now_s, size)
        if rates is None:
            return None
        if tiers and tiers[-1].rates == rates:
            tiers.pop()
        tiers.append(Tier(up_to=bound, rates=rates))
    return tiers


def _find_dearest(book: PriceBook, target: Target, now_s: int, size: int) -> Rates | None:
    dearest = Rates()
    for hour in range(HOURS):
        rates = book.find_rates(target.provider, target.model or "", now_s + hour * HOUR_S, size)
        if rates is None:
            return None
        dearest = Rates(
            input=max(dearest.input, rates.input),
            cached=max(dearest.cached, rates.cached),
            output=max(dearest.output, rates.output),
            reasoning=max(dearest.reasoning, rates.reasoning),
            attempt=max(dearest.attempt, rates.attempt),
        )
    return dearest


if __name__ == "__main__":
    own = Session(Console(), config=Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    own.console.write_json(build_prices(own))
