"""A target whose settings are still being validated: the walk waits for it once, and then decides."""

from __future__ import annotations

import pytest
from attrs import evolve
from simulator import Target, World

from kickai_providers_core.resilience.actions import Call, Validate
from kickai_providers_core.resilience.candidates import UNVALIDATED
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.values.attempts import SkipReason

BEGAN = 1000.0


def world(*names: str, pending: str, timeout_s: float = 10.0, **settings: object) -> tuple[World, list[object]]:
    """Return a world, and the obstacles that one target reports one after the other; the last one stays."""
    obstacles: list[object] = [UNVALIDATED]
    simulation = World([Target(name=name, timeout_s=timeout_s) for name in names], **settings)

    def find_obstacle() -> object:
        return obstacles.pop(0) if len(obstacles) > 1 else obstacles[0]

    simulation.candidates = [
        evolve(each, find_obstacle=find_obstacle) if each.provider == pending else each
        for each in simulation.candidates
    ]
    return simulation, obstacles


@pytest.mark.parametrize(
    ("names", "deadline_s", "timeout_s", "expected_s"),
    [
        ("ab", 30.0, 10.0, 10.0),  # the target's own timeout
        ("ab", 12.0, 10.0, 6.0),  # half of the time is left for the other target
        ("a", 8.0, 10.0, 8.0),  # the only target has all of it
    ],
)
def test_the_walk_waits_for_the_validation(names: str, deadline_s: float, timeout_s: float, expected_s: float) -> None:
    """It waits as long as for a slot of the target."""
    simulation, _ = world(*names, pending="a", timeout_s=timeout_s)
    assert simulation.walk(deadline_s).next(BEGAN) == Validate(simulation.candidates[0], expected_s)


def test_a_validated_target_is_called() -> None:
    """The walk returns to it, before any other."""
    simulation, obstacles = world("a", "b", pending="a")
    walk = simulation.walk()
    walk.next(BEGAN)
    obstacles[:] = [None]
    action = walk.next(BEGAN + 1.0)
    assert isinstance(action, Call)
    assert action.candidate.provider == "a"


def test_a_target_that_is_still_not_validated_is_skipped() -> None:
    """The walk does not wait for it again."""
    simulation, _ = world("a", "b", pending="a")
    walk = simulation.walk()
    walk.next(BEGAN)
    action = walk.next(BEGAN + 1.0)
    assert isinstance(action, Call)
    assert action.candidate.provider == "b"
    assert [skip.reason for skip in walk._recorder.build_trace(BEGAN).skipped] == [SkipReason.NOT_CONFIGURED]


def test_each_target_is_waited_for() -> None:
    """Having waited for one does not excuse the next."""
    simulation = World([Target(name="a"), Target(name="b")])
    simulation.candidates = [evolve(each, find_obstacle=lambda: UNVALIDATED) for each in simulation.candidates]
    walk = simulation.walk()
    assert [walk.next(BEGAN + at).candidate.provider for at in (0.0, 1.0)] == ["a", "b"]


def test_a_hedge_does_not_wait_for_a_validation() -> None:
    """It would come too late."""
    simulation, _ = world("a", "b", "c", pending="b", hedging=Hedging(after_s=1.0, budget=1.0))
    plain = simulation.walk()
    walk = Walk(simulation.candidates, plain.chain, plain.request, BEGAN)
    walk.next(BEGAN)
    hedge = walk.hedge(BEGAN + 1.0)
    assert hedge is not None
    assert hedge.candidate.provider == "c"
