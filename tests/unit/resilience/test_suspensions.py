"""Suspensions as values: which of them are kept."""

from __future__ import annotations

import pytest

from kickai_providers_core.resilience.suspensions import Suspension, Suspensions


@pytest.mark.parametrize("stated", [True, False])
def test_a_suspension_replaces_one_that_ends_at_the_same_moment(*, stated: bool) -> None:
    """The latest reason is reported."""
    old, new = (Suspension(1010.0, reason, stated=stated) for reason in ("old", "new"))
    suspensions = Suspensions().begin(old).begin(new)
    assert [each.reason for each in suspensions.active] == ["new"]
    assert suspensions.longest.reason == "new"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Suspension(1010.0, "old", stated=True), Suspension(1020.0, "new")),
        (Suspension(1010.0, "old"), Suspension(1005.0, "new", stated=True)),
    ],
)
def test_a_suspension_that_may_matter_is_kept(old: Suspension, new: Suspension) -> None:
    """A longer one does not replace a stated delay, and a stated delay does not replace a longer one."""
    assert [each.reason for each in Suspensions().begin(old).begin(new).active] == ["old", "new"]
