"""Reading a report from a store: the shares of a rollout, unreadable rollouts, and unpriced models."""

from __future__ import annotations

import pytest
from attrs import evolve
from report_cells import START_S, Recorder

from kickai_providers_core import Settings
from kickai_providers_core.observability.rollout_controller import PLAN
from kickai_providers_core.operations.prices import load_price_list
from kickai_providers_core.operations.report_building import ReportContext, build_report
from kickai_providers_core.operations.report_reading import ReportReader, find_shares
from kickai_providers_core.resilience.rollout import ALL_ROLES, BUCKETS, Rollout, RolloutPlan
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.values.metrics import MetricsBatch

NOW_S = START_S + 3600.5


@pytest.fixture
def store():
    """Return a store with requests of one role."""
    recorder, store = Recorder(), MemoryStore()
    recorder.answer(model="some/model", count=10, role="team_manager")
    store.metrics.add(MetricsBatch(process="p", number=1, cells=dict(recorder.cells), is_final=True))
    return store


def free_tier(store):
    """Return the measure of the free tier's share."""
    report = ReportReader(store=store, settings=Settings()).read(START_S, NOW_S)
    return next(each for each in report.measures if each.name == "free_tier_share")


def test_the_share_of_a_rollout_is_that_of_hugging_face():
    """A rollout of Gemini leaves it the rest, and one of another provider does not limit it."""
    rollouts = {
        ALL_ROLES: Rollout(candidate="huggingface", share=BUCKETS // 4),
        "a": Rollout(candidate="gemini", share=BUCKETS // 4),
        "b": Rollout(candidate="local", share=BUCKETS // 4),
    }
    assert find_shares(RolloutPlan(rollouts=rollouts), Settings().kind_of) == {"": 0.25, "a": 0.75, "b": 1.0}


def test_a_small_rollout_in_the_store_makes_the_free_tier_not_applicable(store):
    """Without it, the measure passes."""
    assert free_tier(store).status == "pass"
    rollout = Rollout(candidate="huggingface", share=BUCKETS // 4)
    plan = RolloutPlan(rollouts={ALL_ROLES: rollout, "other": evolve(rollout, share=BUCKETS)})
    assert store.documents.write(PLAN, plan.as_dict(), expected_version=0)
    assert free_tier(store).status == "not yet applicable"
    assert free_tier(store).reason == "the rollout's share is 25.0 %"


def test_a_rollout_of_a_newer_version_does_not_keep_the_report_from_being_read(store):
    """The measures do without it."""
    assert store.documents.write(PLAN, {"format": 99}, expected_version=0)
    assert free_tier(store).status == "pass"


@pytest.mark.parametrize(("role", "first_s"), [(None, 30), ("scout", 3 * 86_400 + 1800), ("nobody", None)])
def test_the_store_adds_up_periods_of_the_right_length(store, role, first_s):
    """Those that the first request of the report's role leads to; the report is that of all cells."""
    recorder = Recorder()
    recorder.answer(count=3, role="team_manager", at_s=30)
    recorder.answer(count=4, role="scout", at_s=3 * 86_400 + 1800)
    recorder.answer(count=5, role="scout", at_s=3 * 86_400 + 3500)
    store = MemoryStore()
    store.metrics.add(MetricsBatch(process="p", number=1, cells=dict(recorder.cells), is_final=True))
    now_s = START_S + 3 * 86_400 + 3600
    periods = []
    reader = ReportReader(store=store, settings=Settings(), on_progress=periods.append)
    found = reader.read(START_S - 86_400, now_s, role)
    context = ReportContext(since_s=START_S - 86_400, until_s=now_s, now_s=now_s, role=role)
    assert found == evolve(build_report(recorder.cells, context), warnings=found.warnings)
    assert found.observed_s == (0 if first_s is None else now_s - (START_S + first_s - first_s % 60))
    assert periods == sorted(set(periods))


def test_metrics_ahead_of_the_clock_are_a_warning(store):
    """A clock that was stepped back hides what was counted before, until it has caught up."""
    reader = ReportReader(store=store, settings=Settings())
    warnings = [each for each in reader.read(START_S - 90_000, START_S - 86_400).warnings if "clock" in each]
    assert len(warnings) == 1
    assert warnings[0].startswith("the store has metrics from 2")
    assert not [each for each in reader.read(START_S - 90_000, START_S - 60).warnings if "clock" in each]
    assert not [each for each in reader.read(START_S, NOW_S).warnings if "clock" in each]


def test_models_without_a_price_are_named(store):
    """With the table that prices belong to."""
    price_list = load_price_list()
    if price_list is None:
        pytest.skip("genai-prices is not installed")
    report = ReportReader(store=store, settings=Settings(), price_list=price_list).read(START_S, NOW_S)
    assert report.warnings == (
        "100 % of tokens unpriced: add the prices of these models to [prices.models]: huggingface:some/model",
    )
