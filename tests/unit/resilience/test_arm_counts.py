"""The counts of one arm: what one attempt adds, and which counts are impossible."""

from __future__ import annotations

import pytest

from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.guard_settings import GuardSettings

SETTINGS = GuardSettings(latency_limit_s=0.5, first_token_limit_s=0.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n": 2, "failures": 3}, "ArmCounts: the bad events of failures must be at most 2, got 3"),
        ({"n": 3, "failures": 2, "slow": 2}, "ArmCounts: the bad events of slow must be at most 1, got 2"),
        ({"streams": 1, "slow_first_token": 2}, "ArmCounts: the bad events of first_token must be at most 1, got 2"),
    ],
)
def test_a_part_is_not_larger_than_its_whole(fields: dict[str, int], message: str) -> None:
    """Only answers can be slow, and only streams have a first token."""
    with pytest.raises(ValueError, match=message):
        ArmCounts(**fields)


def test_an_attempt_without_figures_is_not_slow() -> None:
    """Nor is a stream whose first token came at once."""
    assert ArmCounts.from_attempt(SETTINGS, failed=False) == ArmCounts(n=1)
    assert ArmCounts.from_attempt(SETTINGS, failed=False, first_token_s=0.0) == ArmCounts(n=1, streams=1)
    late = ArmCounts.from_attempt(SETTINGS, failed=False, latency_s=1.0, first_token_s=0.6)
    assert late == ArmCounts(n=1, slow=1, streams=1, slow_first_token=1)
