"""The tally of retries before anything was seen."""

from __future__ import annotations

import pytest

from kickai_providers_core.budget import Tally


@pytest.mark.parametrize(
    ("tally", "affords"),
    [
        (Tally(0.0, 0), False),
        (Tally(0.0, 1), True),
        (Tally(0.0, 1, spent=1), False),
        (Tally(1.0, 0, requests=1), True),
        (Tally(1.0, 0, requests=1, spent=1), False),
    ],
)
def test_a_tally_that_never_looked_counts_from_nothing(tally: Tally, *, affords: bool) -> None:
    """All requests and all retries so far belong to its first minute."""
    assert tally.affords() is affords
