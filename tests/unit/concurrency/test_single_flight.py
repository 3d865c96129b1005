"""A blocking call that is made once for all callers."""

from __future__ import annotations

import pytest

from kickai_providers_core.concurrency import single_flight
from kickai_providers_core.concurrency.single_flight import SingleFlight


def test_a_call_whose_thread_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not count as running for ever."""

    def refuse(_run: object) -> None:
        raise RuntimeError("can't start new thread")

    shared = SingleFlight(lambda: 7)
    with monkeypatch.context() as patched:
        patched.setattr(single_flight, "start", refuse)
        with pytest.raises(RuntimeError, match="thread"):
            shared.wait(5.0)
    assert not shared.is_running
    assert shared.wait(20.0) == 7


def test_a_failure_is_raised_for_each_caller_and_the_next_one_tries_again() -> None:
    """Each has its own copy of the exception."""
    outcomes = iter([ValueError("first"), None])

    def run() -> str:
        error = next(outcomes)
        if error is not None:
            raise error
        return "second"

    shared = SingleFlight(run)
    with pytest.raises(ValueError, match="first"):
        shared.wait(20.0)
    assert shared.is_done
    assert shared.wait(20.0) == "second"
    assert shared.wait(0.0) == "second"
