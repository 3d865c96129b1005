"""How long metrics are kept."""

from __future__ import annotations

from kickai_providers_core.stores import retention


def test_only_whole_periods_are_added_up_and_deleted():
    """So that no period is divided."""
    now_s = 100 * retention.DAY_S + 5 * retention.HOUR_S + 59
    assert retention.find_compacted_before(retention.HOUR_S, now_s) == 98 * retention.DAY_S + 5 * retention.HOUR_S
    assert retention.find_compacted_before(retention.DAY_S, now_s) == 70 * retention.DAY_S
    assert retention.find_deleted_before(now_s, 7) == 93 * retention.DAY_S
