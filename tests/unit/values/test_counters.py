"""The counters: their names, their documentation, and reading them."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.values.counters import COUNTERS, Feedback, get_family, read_fallbacks, read_feedback
from kickai_providers_core.values.metrics import SIZE_BOUNDS, SIZE_CLASSES, find_size_class

PAGE = Path(__file__).parents[3] / "docs/metrics.md"


def test_the_page_lists_every_counter() -> None:
    """The table of docs/metrics.md has each counter with its cell and its meaning, and no other one."""
    rows = re.findall(r"^\| `([\w.<>]+)` \| (\w+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    counters = [(counter.name, counter.cell, counter.meaning) for counter in COUNTERS]
    assert [row for row in rows if row[0] not in {"latency", "first_token"}] == counters


def test_the_page_lists_the_size_classes() -> None:
    """The bounds of the page are those of the code."""
    page = PAGE.read_text(encoding="utf-8")
    listed = page[page.index("A class is named by its") :].split("\n\n")[1]
    assert tuple(re.findall(r"`(\d+|larger)`[,.]", listed)) == SIZE_CLASSES


@given(st.integers(0, 2_000_000) | st.sampled_from([bound + step for bound in SIZE_BOUNDS for step in (-1, 0, 1)]))
def test_a_bound_belongs_to_the_lower_class(tokens: int) -> None:
    """The class of a size is named by the lowest bound that it does not exceed."""
    assert find_size_class(tokens) == SIZE_CLASSES[sum(tokens > bound for bound in SIZE_BOUNDS)]


def test_a_family_is_read_by_the_rest_of_the_name() -> None:
    """A family leaves out counters that only begin similarly."""
    counters = {"requests.error": 3, "requests.error.TimeoutError": 2, "requests.error.other": 1}
    assert get_family(counters, "requests.error.") == {"TimeoutError": 2, "other": 1}


def test_fallbacks_are_read_by_provider_and_reason() -> None:
    """The name of a provider may contain dots; a reason does not."""
    counters = {"fallback.hugging.face.suspended": 2, "fallback.gemini.slow": 1, "requests.success": 9}
    assert read_fallbacks(counters) == {("hugging.face", "suspended"): 2, ("gemini", "slow"): 1}


def test_feedback_is_read_by_name() -> None:
    """Both ratings of a name come together, and a missing one is 0."""
    counters = {"feedback.answer.ok": 5, "feedback.answer.bad": 2, "feedback.tone.bad": 1}
    assert read_feedback(counters) == {"answer": Feedback(5, 2), "tone": Feedback(0, 1)}
