"""The report adds up: its figures are the sums of the cells, exactly, however they are grouped."""

from __future__ import annotations

from collections import Counter

from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st
from report_cells import START_S

from kickai_providers_core import Settings
from kickai_providers_core.config.price_settings import ModelPrice, PriceSettings
from kickai_providers_core.operations.report_building import ReportContext, build_report
from kickai_providers_core.values.metrics import SIZE_CLASSES, Cell, CellKey

COUNTERS = [
    *("requests.success", "requests.error", "requests.cancelled", "requests.latency_us", "requests.streamed"),
    *("requests.error.DeadlineExceededError", "requests.error.ChainExhaustedError"),
    *("attempts.success", "attempts.error", "attempts.cancelled", "attempts.error.RateLimitedError"),
    *("fallback.huggingface.suspended", "fallback.my.instance.slow", "skips.busy", "breaker.opened"),
    *("cost.reported_nano_usd", "reported.attempts", "reported.input", "reported.output"),
    *(f"{name}.{k}" for k in SIZE_CLASSES for name in ("usage", "tokens.input", "tokens.output", "tokens.estimated")),
]

KEYS = st.builds(
    CellKey,
    start_s=st.integers(0, 300).map(lambda minutes: START_S + 60 * minutes),
    provider=st.sampled_from(["", "huggingface", "gemini", "local"]),
    model=st.sampled_from(["", "a/b", "gemini-3.5-flash-lite"]),
    role=st.sampled_from(["", "team_manager", "other"]),
    arm=st.sampled_from(["", "candidate", "control", "shadow"]),
)
HISTOGRAMS = st.dictionaries(st.integers(-100, 200), st.integers(1, 10**6), max_size=5)
CELLS = st.builds(
    Cell,
    counters=st.dictionaries(st.sampled_from(COUNTERS), st.integers(1, 10**12), max_size=12),
    latency=HISTOGRAMS,
    first_token=HISTOGRAMS,
)
SETTINGS = Settings(
    prices=PriceSettings(
        models={
            "a/b": ModelPrice(input_usd_per_million=0.0185, output_usd_per_million=0.0333),
            "gemini-3.5-flash-lite": ModelPrice(input_usd_per_million=0.3, output_usd_per_million=2.5),
        }
    )
)


def report(cells, **context):
    """Return the report on cells in order of time."""
    until_s = START_S + 86_400
    times = {"since_s": START_S, "until_s": until_s, "now_s": until_s, "settings": SETTINGS}
    return build_report(sorted(cells.items(), key=lambda item: item[0]), ReportContext(**times | context))


def add_up(cells, *, with_shadow):
    """Return the sums of all counters."""
    sums = Counter()
    for key, cell in cells.items():
        if with_shadow or key.arm != "shadow":
            sums.update(cell.counters)
    return sums


@settings(deadline=None, max_examples=count_examples(60))
@given(st.dictionaries(KEYS, CELLS, max_size=25))
def test_the_figures_of_all_requests_are_the_sums_of_the_cells(cells):
    """Requests without shadow calls, attempts with them."""
    found, of_callers, of_all = report(cells), add_up(cells, with_shadow=False), add_up(cells, with_shadow=True)
    total = found.total
    assert total.succeeded == of_callers["requests.success"]
    assert total.failed == of_callers["requests.error"]
    assert total.cancelled == of_callers["requests.cancelled"]
    assert total.streamed == of_callers["requests.streamed"]
    assert sum(total.errors.values()) == sum(n for name, n in of_callers.items() if name.startswith("requests.error."))
    assert total.calls == sum(of_all[f"attempts.{name}"] for name in ("success", "error", "cancelled"))
    assert sum(each.requests for each in found.fallbacks) == sum(
        count for name, count in of_callers.items() if name.startswith("fallback.")
    )
    latencies = [cell.latency for key, cell in cells.items() if key.arm != "shadow"]
    assert total.latency.count == sum(sum(each.values()) for each in latencies)
    assert total.first_token.count == sum(sum(cell.first_token.values()) for cell in cells.values())
    for name in ("input", "output"):
        expected = sum(of_all[f"tokens.{name}.{k}"] for k in SIZE_CLASSES) + of_all[f"reported.{name}"]
        assert getattr(total.tokens, name) == expected
    assert total.cost.reported_nano_usd == of_all["cost.reported_nano_usd"]
    estimated = sum(of_all[f"tokens.estimated.{k}"] for k in SIZE_CLASSES)
    assert total.cost.tokens == total.tokens.input + total.tokens.output + estimated


@settings(deadline=None, max_examples=count_examples(60))
@given(st.dictionaries(KEYS, CELLS, max_size=25))
def test_every_grouping_adds_up_to_the_same(cells):
    """Providers, models, roles, periods, and reports on one role each."""
    found = report(cells)
    for grouping in (found.by_provider, found.by_model, found.by_role):
        groups = list(grouping.values())
        assert sum(group.requests for group in groups) == found.total.requests
        assert sum(group.calls for group in groups) == found.total.calls
        assert sum(group.cost.nano_usd for group in groups) == found.total.cost.nano_usd
        assert sum(group.cost.unpriced_tokens for group in groups) == found.total.cost.unpriced_tokens
        assert sum(group.latency.count for group in groups) == found.total.latency.count
    assert sum(point.succeeded for point in found.timeline) == found.total.succeeded
    assert sum(point.cost.nano_usd for point in found.timeline) == found.total.cost.nano_usd
    if found.by_arm:
        assert sum(arm.cost.nano_usd for arm in found.by_arm.values()) == found.total.cost.nano_usd
    of_roles = [report(cells, role=role) for role in found.by_role]
    assert sum(each.total.requests for each in of_roles) == found.total.requests


@settings(deadline=None, max_examples=count_examples(60))
@given(st.dictionaries(KEYS, CELLS, max_size=25))
def test_savings_are_bounded_by_what_is_unknown(cells):
    """The least is never more than the most, and both are equal when every price is known."""
    savings = report(cells).savings
    assert savings.least_nano_usd <= savings.most_nano_usd
    if not savings.cost.unpriced_tokens:
        assert savings.least_nano_usd == savings.most_nano_usd
