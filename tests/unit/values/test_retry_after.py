"""Parsing ``Retry-After`` headers."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core import retry_after_s

NOW_S = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110


@pytest.mark.parametrize(
    ("value", "delay_s"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("2.5", 2.5),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        ("Sun Nov  6 08:50:07 1994", 30.0),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30.0),
        ("Sun, 06 Nov 1994 09:50:07 +0100", 30.0),
        ("Sun, 06 Nov 1994 08:49:07 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1_000", None),
        ("1e3", None),
        ("9" * 400, None),
        ("٣", None),
        ("Sun, 99 Nov 1994 08:50:07 GMT", None),
        ("Sun, 06 Nov 99999999999 08:50:07 GMT", None),
    ],
)
def test_seconds_and_dates_are_read_and_nothing_else(value: str, delay_s: float | None) -> None:
    """Whole seconds, fractions, the three forms of a date; never a negative number and never an infinite one."""
    assert retry_after_s(value, now_s=NOW_S) == delay_s


def test_a_date_is_counted_from_now() -> None:
    """A date counts from the given time, or from now."""
    assert retry_after_s(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=30)


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,9}( [A-Z+0-9]*)?"))
def test_any_text_gives_a_delay_or_none(value: str) -> None:
    """A header is written by others."""
    delay_s = retry_after_s(value, now_s=NOW_S)
    assert delay_s is None or 0.0 <= delay_s < float("inf")
