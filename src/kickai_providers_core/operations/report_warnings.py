"""Warnings of a report: what an operator should know to read its figures, or should change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.operations.number_formats import format_number, format_percentage, format_target
from kickai_providers_core.values.metrics import SILENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kickai_providers_core.operations.figures import Figures
    from kickai_providers_core.stores.api import Writer

__all__ = ["find_warnings"]

UNSUPPORTED_MAX = 0.2
UNSUPPORTED_MIN_ATTEMPTS = 10
"""Fewer attempts say nothing about a target."""


def find_warnings(
    total: Figures,
    by_model: Mapping[tuple[str, str], Figures],
    writers: Iterable[Writer],
    lost: int,
    *,
    has_prices: bool,
    simulated: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the warnings, for a reader.

    Args:
        total: The figures of all requests.
        by_model: The figures by instance and model.
        writers: The processes that have written metrics.
        lost: Requests whose sums were dropped because the store failed for too long.
        has_prices: Whether there is a price list.
        simulated: The instances of kickai-mock that count as the services of their names.
    """
    return (
        *_find_simulated(simulated),
        *_find_refusals(by_model),
        *_find_unpriced(total, by_model, has_prices=has_prices),
        *_find_gaps(writers, lost),
    )


def _find_simulated(simulated: Sequence[str]) -> Iterator[str]:
    if simulated:
        what = "is" if len(simulated) == 1 else "are"
        yield f"{' and '.join(simulated)} {what} simulated by kickai-mock, and counted and priced as the real service"


def _find_refusals(by_model: Mapping[tuple[str, str], Figures]) -> Iterator[str]:
    for (provider, model), figures in by_model.items():
        refused, calls = figures.attempt_errors.get("UnsupportedRequestError", 0), figures.calls
        if calls >= UNSUPPORTED_MIN_ATTEMPTS and refused > UNSUPPORTED_MAX * calls:
            share, name = format_percentage(refused / calls), format_target(provider, model)
            yield (
                f"{name} refuses {share} of its {format_number(calls)} attempts as unsupported: use another "
                "model for these requests, or move it to the end of the chain"
            )


def _find_unpriced(total: Figures, by_model: Mapping[tuple[str, str], Figures], *, has_prices: bool) -> Iterator[str]:
    cost = total.cost
    if not has_prices and cost.unpriced_tokens:
        yield "genai-prices is not installed: run pip install 'kickai-providers-core[report]' to calculate costs"
    elif cost.unpriced_tokens:
        names = [format_target(*key) for key, figures in by_model.items() if figures.cost.unpriced_tokens]
        yield (
            f"{format_percentage(cost.unpriced_tokens / cost.tokens)} of tokens unpriced: add the prices of these "
            f"models to [prices.models]: {', '.join(names)}"
        )


def _find_gaps(writers: Iterable[Writer], lost: int) -> Iterator[str]:
    if lost:
        yield f"{format_number(lost)} requests are missing, because the store could not be written for too long"
    ended = [writer for writer in writers if not writer.is_final and writer.age_s > SILENCE_S]
    if ended:
        count = "1 process" if len(ended) == 1 else f"{len(ended)} processes"
        yield f"{count} stopped writing without a final batch, so the last second of each may be missing"
