"""The rules of adding up, compacting and limiting cells."""

from __future__ import annotations

import pytest

from kickai_providers_core.stores import cells as rules
from kickai_providers_core.values.metrics import Cell, CellKey


def test_the_sum_of_two_cells():
    """Neither of them changes."""
    one, other = Cell(counters={"a": 1}, latency={1: 2}), Cell(counters={"a": 2, "b": 3}, first_token={0: 1})
    assert rules.add_cells(None, one) is one
    assert rules.add_cells(one, other) == Cell(counters={"a": 3, "b": 3}, latency={1: 2}, first_token={0: 1})
    assert one == Cell(counters={"a": 1}, latency={1: 2})


@pytest.mark.parametrize(
    ("name", "family"),
    [("requests", ""), ("error.X", "error."), ("skip:open", "skip:"), ("a.b:c", "a.b:"), ("a:b.c", "a:b."), ("", "")],
)
def test_the_family_of_a_counter(name, family):
    """It ends with the last separator."""
    assert rules.find_family(name) == family


def test_a_longer_period_contains_the_shorter_one():
    """All else stays."""
    key = CellKey(start_s=100 * rules.DAY_S + 5 * rules.HOUR_S + 60, role="r", arm="control")
    hour = rules.widen(key, rules.HOUR_S)
    assert (hour.start_s, hour.span_s, hour.role, hour.arm) == (key.start_s - 60, rules.HOUR_S, "r", "control")
    assert rules.widen(hour, rules.DAY_S).start_s == 100 * rules.DAY_S


def test_names_that_are_not_admitted_are_added_to_other():
    """Two of them become one, with their sum; each name is looked up with its day."""
    questions = []

    def is_admitted(day, family, name):
        questions.append((day, family, name))
        return name in {"known", "K"}

    key = CellKey(start_s=rules.DAY_S + 60, model="new")
    counters = {"requests": 1, "error.K": 2, "error.A": 4, "error.B": 8, "error.other": 16}
    limited = rules.limit_names(
        {key: Cell(counters=counters), CellKey(start_s=60, model="known"): Cell(latency={1: 1})}, is_admitted
    )
    assert limited == {
        CellKey(start_s=rules.DAY_S + 60, model="other"): Cell(
            counters={"requests": 1, "error.K": 2, "error.other": 28}
        ),
        CellKey(start_s=60, model="known"): Cell(latency={1: 1}),
    }
    assert set(questions) == {
        (1, "model", "new"),
        (0, "model", "known"),
        *((1, "error.", name) for name in ("K", "A", "B")),
    }


@pytest.mark.parametrize(
    ("model", "kept"),
    [("", ""), ("a\x00b", "a b"), ("\ud800", "other"), ("x" * 300, "x" * 199 + "…"), ("modèle", "modèle")],
    ids=ascii,
)
def test_names_are_cleaned(model, kept):
    """A service chooses them."""
    [key] = rules.limit_names({CellKey(start_s=60, model=model): Cell()}, lambda *_: True)
    assert key.model == kept
