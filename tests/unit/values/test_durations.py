"""Durations in text."""

from __future__ import annotations

import pytest

from kickai_providers_core.values.durations import parse_duration, write_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1s"),
        (90, "90s"),
        (60, "1m"),
        (1800, "30m"),
        (3600, "1h"),
        (5400, "90m"),
        (172_800, "2d"),
        (0.5, "0.5s"),
        (0, "0s"),
    ],
)
def test_a_duration_is_written_in_its_greatest_unit_and_read_back(seconds: float, text: str) -> None:
    """The greatest unit that it fills without a fraction."""
    assert write_duration(seconds) == text
    assert parse_duration(f" {text} ") == seconds


@pytest.mark.parametrize("text", ["", "soon", "5", "m", "-1m", "1 m", "1h30m", "1e3s", "1w", "infs"])
def test_what_is_not_a_number_with_a_unit_is_refused(text: str) -> None:
    """The error says what was found, and what was expected."""
    with pytest.raises(ValueError, match="a duration must be a number with a unit, such as 90s, 30m, 1h or 2d, got"):
        parse_duration(text)
