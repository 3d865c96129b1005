"""The report: its sums, its JSON, its warnings, its tables and its periods."""

from __future__ import annotations

import json

import pytest
from report_cells import FLASH, QWEN, START_S, Recorder

from kickai_providers_core import Settings
from kickai_providers_core.operations.detail_tables import find_tables
from kickai_providers_core.operations.number_formats import (
    format_duration,
    format_known_cost,
    format_percentage,
    format_seconds,
    format_target,
    format_usd,
)
from kickai_providers_core.operations.report_building import ReportContext, build_report
from kickai_providers_core.operations.tables import list_measures, list_measures_by_role, list_summary
from kickai_providers_core.operations.timeline import choose_span
from kickai_providers_core.stores.api import Writer

HOUR_S, DAY_S = 3600, 86_400
END_S = START_S + 2 * HOUR_S

TOP_LEVEL = {
    *("version", "requests", "success_rate", "shares", "measures"),
    *("latency_s", "tokens", "cost", "unpriced_share"),
}
MEASURES = ["free_tier_share", "mean_response", "success_rate", "fallback_rate", "cost_saved"]
TITLES = ["By role", "Cost", "Arms of the rollout", "Fallbacks", "Skipped targets", "Errors", "Feedback"]


def report(recorder, **context):
    """Return the report on a recorder's cells."""
    times = {"since_s": START_S, "until_s": END_S, "now_s": END_S}
    return build_report(recorder.cells, ReportContext(**times | context))


@pytest.fixture
def recorder():
    """Return a recorder with requests of two roles, fallbacks, errors, skips and feedback."""
    recorder = Recorder()
    recorder.answer(count=80, role="team_manager", arm="candidate")
    recorder.answer("gemini", FLASH, count=20, role="squad_selector", arm="control", at_s=HOUR_S)
    recorder.answer("gemini", FLASH, count=5, role="team_manager", first=("huggingface", "RateLimitedError"))
    recorder.fail(count=2, role="team_manager")
    recorder.fail_attempt("huggingface", QWEN, "RateLimitedError", 5, estimated=800, role="team_manager")
    counters = recorder.cell("huggingface", QWEN, role="team_manager").counters
    counters |= {"skips.suspended": 3, "breaker.opened": 1, "feedback.helpful.ok": 4, "feedback.helpful.bad": 1}
    return recorder


def test_the_json_has_the_documented_names(recorder):
    """At its top level, and versioned."""
    found = json.loads(json.dumps(report(recorder).as_dict()))
    names = {
        "version",
        "requests",
        "success_rate",
        "shares",
        "measures",
        "latency_s",
        "tokens",
        "cost",
        "unpriced_share",
    }
    assert names <= set(found)
    assert found["version"] == 1
    assert found["requests"] == 107
    assert found["success_rate"] == pytest.approx(105 / 107)
    assert found["shares"] == {"gemini": pytest.approx(25 / 107), "huggingface": pytest.approx(80 / 107)}
    assert found["latency_s"]["mean"] == 0.5
    assert found["tokens"]["input"] == 105_000
    assert found["unpriced_share"] == 1.0
    assert list(found["measures"]) == [
        "free_tier_share",
        "mean_response",
        "success_rate",
        "fallback_rate",
        "cost_saved",
    ]
    assert found["measures"]["success_rate"]["roles"]["team_manager"]["requests"] == 87
    assert found["fallbacks"] == [{"from": "huggingface", "to": "gemini", "reason": "RateLimitedError", "requests": 5}]
    assert found["skips"] == {"huggingface": {"suspended": 3}}
    assert found["counts"]["breakers_opened"] == 1
    assert found["feedback"] == {"helpful": {"ok": 4, "bad": 1}}
    assert found["since"] == "2026-11-03T10:00:00Z"
    assert len(found["timeline"]["points"]) == 2


def test_a_role_has_a_report_of_its_own(recorder):
    """Only its cells count."""
    found = report(recorder, role="squad_selector")
    assert found.total.requests == 20
    assert list(found.by_role) == ["squad_selector"]
    assert found.role == "squad_selector"


def test_an_empty_store_gives_an_empty_report():
    """Nothing is applicable, and nothing fails."""
    found = report(Recorder())
    assert found.is_empty
    assert found.failed_measures == ()
    assert found.observed_s == 0
    assert found.as_dict()["success_rate"] is None


def test_failed_measures_are_those_of_all_requests_and_of_roles(recorder):
    """The free tier serves 80 of 107."""
    assert [each.name for each in report(recorder).failed_measures] == ["free_tier_share", "fallback_rate"]


def test_a_target_that_refuses_much_as_unsupported_is_a_warning():
    """More than 20 %, of at least 10 attempts."""
    recorder = Recorder()
    recorder.answer("local", "m", count=40, tokens=None)
    recorder.fail_attempt("local", "m", "UnsupportedRequestError", 10)
    recorder.fail_attempt("local", "few", "UnsupportedRequestError", 9)
    assert report(recorder).warnings == ()
    recorder.fail_attempt("local", "m", "UnsupportedRequestError", 1)
    (warning,) = report(recorder).warnings
    assert warning.startswith("local:m refuses 21.6 % of its 51 attempts as unsupported")


def test_gaps_are_warnings():
    """Processes that stopped without a final batch, and sums that were dropped."""
    recorder = Recorder()
    recorder.answer("local", "m", tokens=None)
    recorder.cell().counters["lost.requests"] = 1200
    writers = [
        Writer(process="dead", last_number=7, age_s=181, is_final=False),
        Writer(process="ended", last_number=7, age_s=1000, is_final=True),
        Writer(process="idle", last_number=7, age_s=61, is_final=False),
    ]
    assert report(recorder, writers=writers).warnings == (
        "1,200 requests are missing, because the store could not be written for too long",
        "1 process stopped writing without a final batch, so the last second of each may be missing",
    )


@pytest.mark.parametrize(
    ("age_s", "span_s"),
    [(HOUR_S, 60), (6 * HOUR_S, 60), (DAY_S, HOUR_S), (8 * DAY_S, HOUR_S), (9 * DAY_S, DAY_S), (400 * DAY_S, DAY_S)],
)
def test_periods_are_as_long_as_the_cells(age_s, span_s):
    """And there are at most 400 of them."""
    assert choose_span(END_S - age_s, END_S, END_S) == span_s
    assert age_s / span_s <= 400


def test_old_reports_have_long_periods():
    """A store has only hours and days left of them."""
    assert choose_span(START_S, START_S + HOUR_S, START_S + 3 * DAY_S) == HOUR_S
    assert choose_span(START_S, START_S + HOUR_S, START_S + 31 * DAY_S) == DAY_S


def test_the_tables_have_what_the_report_has(recorder):
    """A table for each grouping, and for what happened."""
    found = report(recorder)
    tables = {table.title: table for table in find_tables(found, ["role"])}
    assert list(tables) == [
        "By role",
        "Cost",
        "Arms of the rollout",
        "Fallbacks",
        "Skipped targets",
        "Errors",
        "Feedback",
    ]
    assert [row[0] for row in tables["By role"].rows] == ["squad_selector", "team_manager"]
    assert tables["Fallbacks"].rows == [("huggingface", "gemini", "RateLimitedError", "5", "4.7 %")]
    assert tables["Feedback"].rows == [("helpful", "4", "1", "80.0 %")]
    assert all(len(row) == len(table.columns) for table in find_tables(found) for row in table.rows)
    assert [row[1] for row in list_measures(found).rows][:2] == ["✗ fail", "✓ pass"]
    assert list_measures_by_role(found).rows[0][:3] == ("squad_selector", "✗ 0 %", "✓ 0.50 s")
    assert dict(list_summary(found))["Requests"] == "107"


def test_many_kinds_of_errors_fit_into_a_cell():
    """The arm's cell has the most frequent ones and the sum of the others; the errors' table and the JSON have all."""
    recorder = Recorder()
    for number in range(1, 31):
        recorder.fail_attempt("huggingface", QWEN, f"Error{number}", number, role="team_manager", arm="candidate")
    found = report(recorder)
    tables = {table.title: table for table in find_tables(found)}
    (arm,) = tables["Arms of the rollout"].rows
    assert arm[-1] == "Error30 30, Error29 29, Error28 28, Error27 27, Error26 26, others 325"
    assert len(tables["Errors"].rows) == 30
    assert len(found.as_dict()["arms"]["candidate"]["attempt_errors"]) == 30


def test_fallbacks_to_another_model_say_so():
    """The provider is the same."""
    recorder = Recorder()
    recorder.answer(first=("huggingface", "ModelNotFoundError"))
    tables = {table.title: table for table in find_tables(report(recorder))}
    assert tables["Fallbacks"].rows[0][1] == "huggingface (another model)"


def test_a_retired_gemini_model_of_a_role_is_priced_as_its_successor():
    """The default catalogue still names gemini-1.5-flash; a role without Gemini has that of the default role."""
    from kickai_providers_core.operations.report_building import BaselineTargets

    targets = BaselineTargets(Settings())
    assert targets.find("team_manager") == ("gemini", FLASH)
    assert targets.find("unknown") == ("gemini", FLASH)


@pytest.mark.parametrize(
    ("formatted", "text"),
    [
        (format_percentage(None), "–"),
        (format_percentage(0), "0 %"),
        (format_percentage(1e-6), "< 0.1 %"),
        (format_percentage(0.99999), "> 99.9 %"),
        (format_percentage(1.0), "100 %"),
        (format_percentage(0.955), "95.5 %"),
        (format_seconds(None), "–"),
        (format_seconds(0.0123), "12 ms"),
        (format_seconds(1.239), "1.24 s"),
        (format_usd(None), "–"),
        (format_usd(0), "$0.00"),
        (format_usd(1_234_567_890_123), "$1,234.57"),
        (format_usd(-450_000_000), "-$0.45"),
        (format_usd(45_000), "$0.000045"),
        (format_usd(1), "$0.000000001"),
        (format_duration(0), "0 s"),
        (format_duration(2 * DAY_S + 3 * HOUR_S + 59), "2 d 3 h"),
        (format_duration(61), "1 min 1 s"),
        (format_target("", ""), "–"),
        (format_target("a", "b/c"), "a:b/c"),
    ],
)
def test_figures_are_formatted_for_readers(formatted, text):
    """No share that is not 0 or 1 looks like it, and no amount that is not 0 looks like 0."""
    assert formatted == text


def test_what_has_no_price_is_never_shown_as_zero():
    """A cost without a price is unpriced, and one with a known part is a lower bound."""
    assert format_known_cost(0, unpriced_tokens=5) == "unpriced"
    assert format_known_cost(10_000_000, unpriced_tokens=5) == "≥ $0.010"
    assert format_known_cost(10_000_000, unpriced_tokens=0) == "$0.010"
    assert format_known_cost(None, unpriced_tokens=5) == format_known_cost(None, unpriced_tokens=0)
