"""The bounds of an attempt, on a clock that the tests turn."""

from __future__ import annotations

import pytest

from kickai_ollama.deadline import Deadline


class Clock:
    """A clock that stands until it is set."""

    now = 100.0

    def __call__(self):
        """Return the time."""
        return self.now


@pytest.fixture
def clock():
    """Return a clock."""
    return Clock()


def test_the_whole_bounds_every_step(clock):
    """What is left is the time to the end of the attempt, and never less than none."""
    deadline = Deadline(10, 2, clock=clock)
    assert (deadline.left_s(), deadline.phase) == (10, "total")
    clock.now += 9
    assert deadline.left_s() == 1
    clock.now += 5
    assert deadline.left_s() == 0


def test_connecting_has_less_time(clock):
    """Steps of connecting end with the time to connect, or with the attempt if that is over first."""
    deadline = Deadline(10, 2, clock=clock)
    assert (deadline.left_s(connecting=True), deadline.phase, deadline.bound_s) == (2, "connect", 2)
    assert (deadline.left_s(), deadline.phase) == (10, "total")
    assert Deadline(1, 2, clock=clock).left_s(connecting=True) == 1


def test_a_phase_ends_before_the_whole(clock):
    """A phase bounds the steps until the next begins; the whole bounds them all."""
    deadline = Deadline(10, 2, clock=clock)
    deadline.expect("first_token", 4)
    clock.now += 3
    assert (deadline.left_s(), deadline.phase, deadline.bound_s) == (1, "first_token", 4)
    deadline.expect("idle", 4)
    assert (deadline.left_s(), deadline.phase) == (4, "idle")
    clock.now += 5
    assert (deadline.left_s(), deadline.phase) == (0, "idle")
    deadline.expect("idle", 4)
    assert (deadline.left_s(), deadline.phase, deadline.bound_s) == (2, "total", 10)
