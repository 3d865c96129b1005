"""Reads a report from a store; nothing is written to it."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from kickai_providers_core.observability.rollout_controller import PLAN
from kickai_providers_core.operations.number_formats import format_period
from kickai_providers_core.operations.report_building import ReportContext, build_report
from kickai_providers_core.operations.services import FALLBACK_KIND, FREE_KIND, find_service
from kickai_providers_core.resilience.rollout import RolloutPlan
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.operations.prices import PriceList
    from kickai_providers_core.operations.report import Report
    from kickai_providers_core.stores.api import Store
    from kickai_providers_core.values.metrics import Cell, CellKey

__all__ = ["AHEAD_S", "ReportReader", "find_shares"]

AHEAD_S = 120
"""Metrics that are this many seconds ahead of the clock mean that a clock is or was wrong."""


def find_shares(plan: RolloutPlan, kind_of: Callable[[str], str]) -> dict[str, float]:
    """Return the share of requests that Hugging Face is to serve, by role; the empty name is for all other roles."""
    shares = {}
    for scope, rollout in plan.rollouts.items():
        kind, share = kind_of(rollout.candidate), rollout.share / BUCKETS
        limited = {FREE_KIND: share, FALLBACK_KIND: 1 - share}.get(kind, 1.0)
        shares["" if scope == ALL_ROLES else scope] = limited
    return shares


@frozen(kw_only=True)
class ReportReader:
    """Reads reports from a store. Not for several threads.

    Attributes:
        store: The store.
        settings: The settings.
        price_list: The price list; None for none.
        on_progress: Called with the beginning of each period that is read, in seconds since 1970.
    """

    store: Store
    settings: Settings
    price_list: PriceList | None = None
    on_progress: Callable[[int], None] = field(default=lambda _start_s: None)

    def read(self, since_s: float, now_s: float, role: str | None = None) -> Report:
        """Return the report on the time from ``since_s`` to ``now_s``, both in seconds since 1970.

        Raises:
            StoreError: The store cannot be read.
        """
        document = self.store.documents.read(PLAN)
        try:
            plan = RolloutPlan.from_dict(document.value)
        except (KeyError, TypeError, ValueError):  # of a newer version; the measures do without it
            plan = RolloutPlan()
        until_s = math.ceil(now_s)
        context = ReportContext(
            since_s=int(since_s),
            until_s=until_s,
            now_s=now_s,
            settings=self.settings,
            price_list=self.price_list,
            role=role,
            shares=find_shares(plan, partial(find_service, self.settings)),
            writers=self.store.metrics.read_writers(),
        )
        first_s = self._find_first(context)
        context = evolve(context, first_s=first_s)
        cells = self.store.metrics.read(int(since_s), until_s, span_s=context.choose_span(first_s))
        report = build_report(self._follow(cells), context)
        return evolve(report, warnings=(*report.warnings, *self._find_future(until_s)))

    def _find_future(self, until_s: int) -> Iterator[str]:
        """Yield a warning if the store has metrics that are ahead of this clock, and so not in the report."""
        ahead = next(iter(self.store.metrics.read(until_s + AHEAD_S)), None)
        if ahead is not None:
            yield (
                f"the store has metrics from {format_period(ahead[0].start_s)} UTC on, which is ahead of this clock; "
                "they are not in the report: a clock is, or was, wrong"
            )

    def _find_first(self, context: ReportContext) -> int:
        """Return the beginning of the first cell of the report."""
        cells = self.store.metrics.read(context.since_s, context.until_s)
        starts = (key.start_s for key, _ in cells if context.role is None or key.role == context.role)
        return next(starts, context.until_s)

    def _follow(self, cells: Iterable[tuple[CellKey, Cell]]) -> Iterator[tuple[CellKey, Cell]]:
        """Yield the cells, and report each new period."""
        start_s = None
        for key, cell in cells:
            if key.start_s != start_s:
                start_s = key.start_s
                self.on_progress(start_s)
            yield key, cell
