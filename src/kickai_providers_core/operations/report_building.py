"""Builds a report from the cells of a store, settings and prices; a pure function."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from attrs import Factory, evolve, field, frozen

from kickai_providers_core.config.settings import Settings
from kickai_providers_core.operations.acceptance_criteria import MeasureData, evaluate_measures
from kickai_providers_core.operations.cell_sums import Groups, Sums, add_up
from kickai_providers_core.operations.costs import Baseline, Cost, find_baseline, find_cost
from kickai_providers_core.operations.fallbacks import find_fallbacks
from kickai_providers_core.operations.figures import Figures
from kickai_providers_core.operations.number_formats import format_time
from kickai_providers_core.operations.prices import PriceBook
from kickai_providers_core.operations.rates import to_nano_usd
from kickai_providers_core.operations.report import Report
from kickai_providers_core.operations.report_warnings import find_warnings
from kickai_providers_core.operations.savings import Savings
from kickai_providers_core.operations.services import FALLBACK_KIND, FREE_KIND, find_service, find_simulated
from kickai_providers_core.operations.timeline import Point, choose_span
from kickai_providers_core.values.histogram import Histogram, add_counts
from kickai_providers_core.values.validation import Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kickai_providers_core.operations.prices import PriceList
    from kickai_providers_core.stores.api import Writer
    from kickai_providers_core.values.metrics import Cell, CellKey

__all__ = ["ReportContext", "build_report"]

K = TypeVar("K", bound="str | int | tuple[str, str]")

SHADOW = "shadow"
"""The arm of calls whose answers nobody gets. They are not requests of a caller, but they are paid."""

COUNTS = {"breaker.opened": "breakers_opened", "retries.withheld": "retries_withheld", "queued": "queued"}


@frozen(kw_only=True)
class ReportContext:
    """What a report needs besides the cells.

    Attributes:
        since_s: The beginning of the report, in seconds since 1970.
        until_s: Its end, which is the present or earlier.
        now_s: The present.
        settings: The settings, with the plugins of the instances, the roles and the prices.
        price_list: The price list; None for none.
        role: The only role to report; None for all.
        shares: The share of the rollout's target by role, from 0 to 1; that of the empty name is for all other roles.
            Empty without a rollout.
        writers: The processes that have written metrics.
        first_s: The beginning of the first cell, when the cells were added up to longer periods; None to take it from
            the cells.
    """

    since_s: int = field(validator=Number(integer=True, minimum=0))
    until_s: int = field(validator=Number(integer=True, minimum=0))
    now_s: float = field(validator=Number(minimum=0))
    settings: Settings = field(factory=Settings)
    price_list: PriceList | None = None
    role: str | None = None
    shares: Mapping[str, float] = Factory(dict)
    writers: Sequence[Writer] = ()
    first_s: int | None = None

    def choose_span(self, first_s: int) -> int:
        """Return the length of the report's periods in seconds when the first cell begins at ``first_s``."""
        return choose_span(min(self.until_s, max(self.since_s, first_s)), self.until_s, self.now_s)

    def find_share(self, role: str) -> float | None:
        """Return the share of the rollout's target for a role; None without a rollout."""
        return self.shares.get(role, self.shares.get(""))


@frozen(kw_only=True)
class _Priced:
    """A group of cells with its cost, and the baseline of its requests."""

    key: CellKey
    sums: Sums
    cost: Cost
    baseline: Baseline

    @property
    def is_shadow(self) -> bool:
        return self.key.arm == SHADOW


class _Chosen:
    """The cells of a report, one after another, and when the first of them begins."""

    def __init__(self, cells: Iterable[tuple[CellKey, Cell]], context: ReportContext) -> None:
        role = context.role
        self._cells = (pair for pair in cells if role is None or pair[0].role == role)
        self._first = next(self._cells, None)
        # Stores yield cells in order of time.
        start_s = context.until_s if self._first is None else self._first[0].start_s
        start_s = start_s if context.first_s is None else context.first_s
        self.first_s = min(context.until_s, max(context.since_s, start_s))

    def __iter__(self) -> Iterator[tuple[CellKey, Cell]]:
        if self._first is not None:
            yield self._first
        yield from self._cells


def build_report(cells: Iterable[tuple[CellKey, Cell]], context: ReportContext) -> Report:
    """Return the report on the cells, each of which comes once.

    Args:
        cells: The cells; those of other roles are ignored when the context has a role.
        context: The times, settings and prices.
    """
    chosen = _Chosen(cells, context)
    span_s = context.choose_span(chosen.first_s)
    periods = _price(add_up(chosen, span_s), context)
    groups = _merge_periods(periods)
    observed_s = context.until_s - chosen.first_s
    by_role = _group(groups, lambda key: key.role)
    credit = to_nano_usd(context.settings.prices.free_credit_usd_per_month)
    savings = _save(groups, context, observed_s, credit)
    measures = evaluate_measures(
        _collect(groups, context, savings, by_role),
        {role: _collect(each, context, _save(each, context, observed_s), [role]) for role, each in by_role.items()},
    )
    total, by_model = _describe(groups), _describe_each(groups, lambda key: (key.provider, key.model))
    return Report(
        since_s=context.since_s,
        until_s=context.until_s,
        observed_s=observed_s,
        role=context.role,
        total=total,
        by_provider=_describe_each(groups, lambda key: key.provider),
        by_model=by_model,
        by_role={role: _describe(each) for role, each in by_role.items()},
        by_arm=_describe_arms(groups),
        measures=measures,
        savings=savings,
        fallbacks=find_fallbacks((each.key, each.sums) for each in groups if not each.is_shadow),
        skips=_count_skips(groups),
        counts={name: sum(each.sums.get(counter) for each in groups) for counter, name in COUNTS.items()},
        feedback=_count_feedback(groups),
        timeline=_find_points(periods),
        span_s=span_s,
        price_list=context.price_list.name if context.price_list is not None else "",
        warnings=find_warnings(
            total,
            by_model,
            context.writers,
            sum(each.sums.get("lost.requests") for each in groups),
            has_prices=context.price_list is not None,
            simulated=find_simulated(context.settings, (each.key.provider for each in groups)),
        ),
    )


def _price(groups: Groups, context: ReportContext) -> list[_Priced]:
    book = PriceBook(settings=context.settings, prices=context.price_list)
    baselines = BaselineTargets(context.settings)
    priced = []
    for key, sums in groups.items():
        cost = find_cost(sums, partial(book.find_rates, key.provider, key.model, key.start_s))
        baseline = Baseline()
        if key.arm != SHADOW:
            instance, model = baselines.find(key.role)
            baseline = find_baseline(sums, cost, partial(book.find_rates, instance, model, key.start_s))
        priced.append(_Priced(key=key, sums=sums, cost=cost, baseline=baseline))
    return priced


def _merge_periods(periods: Iterable[_Priced]) -> list[_Priced]:
    """Return the groups of each calendar month, so that their histograms are not added up again for each figure."""
    merged: dict[tuple[str, CellKey], _Priced] = {}
    for each in periods:
        place = format_time(each.key.start_s)[:7], evolve(each.key, start_s=0)
        total = merged.get(place)
        if total is None:
            total = merged[place] = evolve(each, sums=Sums(), cost=Cost(), baseline=Baseline())
        total.sums.add(each.sums)
        merged[place] = evolve(total, cost=total.cost + each.cost, baseline=total.baseline + each.baseline)
    return list(merged.values())


class BaselineTargets:
    """Finds the Gemini model that each role would have."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: dict[str, tuple[str, str]] = {}

    def find(self, role: str) -> tuple[str, str]:
        """Return the instance and the model for a role; the model is empty when there is none."""
        if role not in self._found:
            self._found[role] = self._look_up(role)
        return self._found[role]

    def _look_up(self, role: str) -> tuple[str, str]:
        settings = self._settings
        found = settings.role(role)
        for target in settings.targets_for(found):
            if find_service(settings, target.provider) == FALLBACK_KIND and target.model:
                return target.provider, target.model
        models = found.models.get(FALLBACK_KIND) or settings.default_role.models.get(FALLBACK_KIND) or ("",)
        return FALLBACK_KIND, settings.find_successor(models[0])


def _add(groups: Iterable[_Priced], *, requests: bool) -> Sums:
    """Return the sums of groups; those of requests leave out shadow calls."""
    sums = Sums()
    for each in groups:
        if not (requests and each.is_shadow):
            sums.add(each.sums)
    return sums


def _describe(groups: Sequence[_Priced]) -> Figures:
    cost = sum((each.cost for each in groups), Cost())
    return Figures.from_sums(_add(groups, requests=True), _add(groups, requests=False), cost)


def _group(groups: Iterable[_Priced], label: Callable[[CellKey], K]) -> dict[K, list[_Priced]]:
    labelled: dict[K, list[_Priced]] = {}
    for each in groups:
        labelled.setdefault(label(each.key), []).append(each)
    return dict(sorted(labelled.items(), key=lambda item: item[0]))


def _describe_each(groups: Iterable[_Priced], label: Callable[[CellKey], K]) -> dict[K, Figures]:
    return {name: _describe(each) for name, each in _group(groups, label).items()}


def _describe_arms(groups: Iterable[_Priced]) -> dict[str, Figures]:
    """Return the figures of each arm, those of shadow calls included; empty without a rollout."""
    arms = _group(groups, lambda key: key.arm)
    if not any(arms):
        return {}
    described = {}
    for arm, each in arms.items():
        sums = _add(each, requests=False)
        described[arm] = Figures.from_sums(sums, sums, sum((one.cost for one in each), Cost()))
    return described


def _save(groups: Sequence[_Priced], context: ReportContext, observed_s: float, credit: int = 0) -> Savings:
    """Return the savings of groups, with the credit of each month."""
    settings, free = context.settings, dict[str, int]()
    for each in groups:
        if find_service(settings, each.key.provider) == FREE_KIND:
            month = format_time(each.key.start_s)[:7]
            free[month] = free.get(month, 0) + each.cost.nano_usd
    baseline = sum((each.baseline for each in groups), Baseline())
    answered = _add(groups, requests=True).get("requests.success")
    return Savings(
        cost=sum((each.cost for each in groups), Cost()),
        baseline=baseline.fill_up(answered),
        free_tier_nano_usd=free,
        credit_per_month_nano_usd=credit,
        observed_s=observed_s,
    )


def _collect(groups: Sequence[_Priced], context: ReportContext, savings: Savings, shares: Iterable[str]) -> MeasureData:
    """Return what the measures of groups are based on."""
    kind_of, served = partial(find_service, context.settings), dict[str, int]()
    for each in groups:
        if not each.is_shadow:
            kind = kind_of(each.key.provider) if each.key.provider else ""
            served[kind] = served.get(kind, 0) + each.sums.get("requests.success")
    found = [share for role in shares if (share := context.find_share(role)) is not None]
    return MeasureData(
        sums=_add(groups, requests=True),
        served=served,
        fallbacks=find_fallbacks((each.key, each.sums) for each in groups if not each.is_shadow),
        kind_of=kind_of,
        savings=savings,
        share=min(found, default=None),
    )


def _count_skips(groups: Iterable[_Priced]) -> dict[str, dict[str, int]]:
    skips: dict[str, dict[str, int]] = {}
    for each in groups:
        for reason, count in each.sums.find("skips.").items():
            reasons = skips.setdefault(each.key.provider, {})
            reasons[reason] = reasons.get(reason, 0) + count
    return skips


def _count_feedback(groups: Iterable[_Priced]) -> dict[str, dict[str, int]]:
    feedback: dict[str, dict[str, int]] = {}
    for each in groups:
        for name, count in each.sums.find("feedback.").items():
            title, _, verdict = name.rpartition(".")
            counts = feedback.setdefault(title, {"ok": 0, "bad": 0})
            counts[verdict] = counts.get(verdict, 0) + count
    return feedback


def _find_points(periods: Iterable[_Priced]) -> tuple[Point, ...]:
    points = []
    for start_s, each in _group(periods, lambda key: key.start_s).items():
        served, latency, failed = dict[str, int](), Histogram(), 0
        for one in each:
            if one.is_shadow:
                continue
            succeeded = one.sums.get("requests.success")
            if succeeded:
                served[one.key.provider] = served.get(one.key.provider, 0) + succeeded
            failed += one.sums.get("requests.error")
            add_counts(latency, one.sums.latency)
        cost = sum((one.cost for one in each), Cost())
        points.append(Point.from_histogram(start_s, served, failed, latency, cost))
    return tuple(points)
