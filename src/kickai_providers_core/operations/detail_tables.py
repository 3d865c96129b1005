"""The further tables of a report: cost, fallbacks, skips, errors, feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.operations.group_tables import list_arms, list_groups
from kickai_providers_core.operations.number_formats import (
    NOTHING,
    format_duration,
    format_known_cost,
    format_number,
    format_percentage,
    format_target,
    format_usd,
)
from kickai_providers_core.operations.tables import Column, Grouping, Table, format_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kickai_providers_core.operations.report import Report

__all__ = ["find_tables"]


def find_tables(report: Report, by: Sequence[Grouping] = ("provider", "model", "role")) -> Iterator[Table]:
    """Yield the tables of a report that have rows.

    Args:
        report: The report.
        by: How requests are grouped, a table for each.
    """
    for grouping in by:
        yield list_groups(report, grouping)
    tables = (_list_costs(report), list_arms(report), _list_fallbacks(report), _list_skips(report))
    yield from (table for table in (*tables, _list_errors(report), _list_feedback(report)) if table.rows)


def _list_costs(report: Report) -> Table:
    """Return the parts of the cost, with their sources."""
    cost, savings, month = report.total.cost, report.savings, report.savings.project()
    prices = report.price_list or "the prices of the settings"
    rows = [
        ("Reported by services", format_usd(cost.reported_nano_usd), NOTHING),
        (f"Calculated with {prices}", format_usd(cost.calculated_nano_usd), NOTHING),
        ("Estimated, for attempts without reported tokens", format_usd(cost.estimated_nano_usd), NOTHING),
        ("Covered by the free credit", format_usd(-savings.credit_nano_usd), NOTHING),
        (
            "Charged",
            format_known_cost(savings.charged_nano_usd, unpriced_tokens=cost.unpriced_tokens),
            NOTHING
            if month is None
            else format_known_cost(month.charged_nano_usd, unpriced_tokens=cost.unpriced_tokens),
        ),
        (
            "With Gemini alone",
            format_usd(savings.baseline.nano_usd),
            NOTHING if month is None else format_usd(month.baseline_nano_usd),
        ),
        (
            "Saved",
            format_range(savings.least_nano_usd, savings.most_nano_usd),
            NOTHING if month is None else format_range(month.least_nano_usd, month.most_nano_usd),
        ),
    ]
    columns = (
        Column("Cost", is_number=False),
        Column(f"In {format_duration(report.observed_s)}"),
        Column("In a month at this rate"),
    )
    return Table(title="Cost", columns=columns, rows=rows if cost.tokens or savings.baseline.nano_usd else ())


def _list_fallbacks(report: Report) -> Table:
    columns = (
        Column("From", is_number=False),
        Column("To", is_number=False),
        Column("Reason", is_number=False),
        Column("Requests"),
        Column("Share"),
    )
    completed = report.total.completed
    rows = [
        (
            each.first,
            each.answered_by if each.answered_by != each.first else f"{each.answered_by} (another model)",
            each.reason,
            format_number(each.requests),
            format_percentage(each.requests / completed if completed else None),
        )
        for each in report.fallbacks
    ]
    return Table(title="Fallbacks", columns=columns, rows=rows)


def _list_skips(report: Report) -> Table:
    columns = (Column("Provider", is_number=False), Column("Reason", is_number=False), Column("Skips"))
    rows = [
        (provider or NOTHING, reason, format_number(count))
        for provider, reasons in report.skips.items()
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1])
    ]
    return Table(title="Skipped targets", columns=columns, rows=rows)


def _list_errors(report: Report) -> Table:
    columns = (Column("Target", is_number=False), Column("Error", is_number=False), Column("Failures"))
    rows = [
        ("requests that nobody answered", error, format_number(count)) for error, count in report.total.errors.items()
    ]
    for key, figures in report.by_model.items():
        errors = sorted(figures.attempt_errors.items(), key=lambda item: -item[1])
        rows += [(format_target(*key), error, format_number(count)) for error, count in errors]
    return Table(title="Errors", columns=columns, rows=rows)


def _list_feedback(report: Report) -> Table:
    columns = (Column("Feedback", is_number=False), Column("Good"), Column("Bad"), Column("Share of good"))
    rows = [
        (
            name,
            format_number(counts["ok"]),
            format_number(counts["bad"]),
            format_percentage(counts["ok"] / max(1, sum(counts.values()))),
        )
        for name, counts in report.feedback.items()
    ]
    return Table(title="Feedback", columns=columns, rows=rows)
