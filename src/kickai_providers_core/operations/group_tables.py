"""The tables of a report that compare providers, models, roles and arms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.operations.number_formats import (
    NOTHING,
    format_known_cost,
    format_number,
    format_percentage,
    format_seconds,
    format_target,
)
from kickai_providers_core.operations.tables import NO_ROLE, Column, Grouping, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kickai_providers_core.operations.figures import Figures
    from kickai_providers_core.operations.report import Report

__all__ = ["list_arms", "list_groups"]

NOBODY = "(nobody answered)"

LARGEST = 5
"""The most counts that are listed in one cell."""


def list_groups(report: Report, by: Grouping) -> Table:
    """Return the figures by instance, by model or by role."""
    groups: Iterable[tuple[str, Figures]]
    if by == "provider":
        groups = ((name or NOBODY, figures) for name, figures in report.by_provider.items())
    elif by == "model":
        groups = ((format_target(*key) if any(key) else NOBODY, figures) for key, figures in report.by_model.items())
    else:
        groups = ((name or NO_ROLE, figures) for name, figures in report.by_role.items())
    columns = (
        Column(by.capitalize(), is_number=False),
        Column("Requests"),
        Column("Share", is_optional=True),
        Column("Success" if by == "role" else "Attempts ok"),
        Column("Attempts", is_minor=True),
        Column("Mean", is_optional=True),
        Column("p50", is_minor=True),
        Column("p95", is_optional=True),
        Column("p99", is_minor=True),
        Column("First token p50", is_minor=True),
        Column("Tokens in", is_optional=True),
        Column("Tokens out", is_optional=True),
        Column("Cost"),
        Column("Unpriced", is_minor=True),
    )
    rows = [
        # Requests that fail have no provider, so its attempts say how it does.
        _list_figures(
            name, figures, report.total, figures.success_rate if by == "role" else figures.attempt_success_rate
        )
        for name, figures in groups
    ]
    return Table(title=f"By {by}", columns=columns, rows=rows)


def _list_figures(name: str, figures: Figures, total: Figures, success: float | None) -> tuple[str, ...]:
    latency = figures.latency
    share = figures.completed / total.completed if total.completed and figures.completed else None
    return (
        name,
        format_number(figures.requests),
        format_percentage(share),
        format_percentage(success),
        format_number(figures.calls),
        format_seconds(latency.mean_s),
        format_seconds(latency.p50_s),
        format_seconds(latency.p95_s),
        format_seconds(latency.p99_s),
        format_seconds(figures.first_token.p50_s),
        format_number(figures.tokens.input + figures.tokens.estimated_input),
        format_number(figures.tokens.output),
        format_known_cost(figures.cost.nano_usd, unpriced_tokens=figures.cost.unpriced_tokens),
        format_percentage(figures.cost.unpriced_share),
    )


def list_arms(report: Report) -> Table:
    """Return the arms of the rollout, compared."""
    columns = (
        Column("Arm", is_number=False),
        Column("Requests"),
        Column("Success"),
        Column("Attempts ok"),
        Column("Mean"),
        Column("p95"),
        Column("Cost"),
        Column("Cost per answer"),
        Column("Failed attempts", is_number=False),
    )
    rows = [
        (
            arm or "(no arm)",
            format_number(figures.requests),
            format_percentage(figures.success_rate),
            format_percentage(figures.attempt_success_rate),
            format_seconds(figures.latency.mean_s),
            format_seconds(figures.latency.p95_s),
            format_known_cost(figures.cost.nano_usd, unpriced_tokens=figures.cost.unpriced_tokens),
            format_known_cost(
                _divide(figures.cost.nano_usd, figures.attempts.get("success", 0)),
                unpriced_tokens=figures.cost.unpriced_tokens,
            ),
            _format_counts(figures.attempt_errors),
        )
        for arm, figures in report.by_arm.items()
    ]
    return Table(title="Arms of the rollout", columns=columns, rows=rows)


def _divide(amount: int, count: int) -> int | None:
    return round(amount / count) if count else None


def _format_counts(counts: Mapping[str, int]) -> str:
    """Return the largest counts by name, and the sum of the others: another table has each of them."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    parts = [f"{name} {format_number(count)}" for name, count in ordered[:LARGEST]]
    if len(ordered) > LARGEST:
        parts.append(f"others {format_number(sum(count for _, count in ordered[LARGEST:]))}")
    return ", ".join(parts) or NOTHING
