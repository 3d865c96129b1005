"""The trace of a request, rendered as text."""

from __future__ import annotations

import pickle

import pytest
from attrs import evolve
from simulator import Fixed, Target, World, always, script

from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.values.attempts import Skip, SkipReason
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ChainExhaustedError,
    ContentFilteredError,
    DeadlineExceededError,
    InvalidRequestError,
    ProviderUnavailableError,
    RateLimitedError,
)
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.trace import RequestTrace


def down() -> ProviderUnavailableError:
    """Return the error of a service that answers 503."""
    return ProviderUnavailableError("down", status_code=503)


def test_the_trace_of_an_answer_is_in_order() -> None:
    """Skips, attempts, waits, suspensions and the deadline are listed in the order in which they happened."""
    world = World(
        [
            Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "SOME_KEY")),
            Target(name="b", script=script(down(), RateLimitedError("slow down", retry_after_s=7.5)), latency_s=0.5),
            Target(name="c", latency_s=1.25),
        ],
        random=Fixed(1.0),
    )
    reply = world.ask(deadline_s=20.0).reply
    assert reply is not None
    assert reply.explain().splitlines() == [
        "   0.00 s  a:a: skipped, not configured (SOME_KEY)",
        "   0.00 s  b:b: ProviderUnavailableError after 0.50 s (down, HTTP 503)",
        "   0.50 s  waited 0.25 s",
        "   0.75 s  b:b: attempt 2, RateLimitedError after 0.50 s (slow down); suspended for 7.5 s",
        "   1.25 s  c:c: answered after 1.25 s",
        "c:c answered after 2.50 s of 20 s: 2.25 s in 3 calls, 0.25 s between them",
    ]
    later = world.ask(deadline_s=20.0).reply
    assert later is not None
    assert (
        later.explain().splitlines()[1]
        == "   0.00 s  b:b: skipped, suspended (RateLimitedError, 6.2 s left); available in 6.2 s"
    )


def test_an_exhausted_chain_explains_itself() -> None:
    """The error explains itself as the reply does, and so does its pickled copy."""
    world = World(
        [Target(name="a", script=always(down), retries=1), Target(name="b", script=always(down), retries=1)],
        random=Fixed(0.0),
        breaker=BreakerSettings(max_errors=1, cooldown_s=5.0),
        policy=Policy(retry_share=0.0, retry_floor=0),
    )
    error = world.ask().error
    assert isinstance(error, ChainExhaustedError)
    assert error.explain().splitlines() == [
        "   0.00 s  a:a: ProviderUnavailableError after 0.00 s (down, HTTP 503); suspended for 4.0 s",
        "   0.00 s  b:b: ProviderUnavailableError after 0.00 s (down, HTTP 503); suspended for 4.0 s",
        "ChainExhaustedError after 0.00 s of 30 s: 0.00 s in 2 calls, 0.00 s between them",
    ]
    assert pickle.loads(pickle.dumps(error)).explain() == error.explain()
    assert error.subgroup(lambda cause: cause is error.exceptions[0]).explain() == error.explain()


def test_a_withheld_retry_is_explained() -> None:
    """The trace says that the retry budget prevented a second attempt."""
    world = World([Target(name="a", script=always(down))], policy=Policy(retry_share=0.0, retry_floor=0))
    error = world.ask().error
    assert isinstance(error, ChainExhaustedError)
    assert error.explain().splitlines()[0].endswith("; not retried, the retry budget is used up")


def test_a_deadline_error_accounts_for_every_second() -> None:
    """Every second of it is accounted for."""
    world = World([Target(name="a", latency_s=99.0, timeout_s=4.0), Target(name="b", latency_s=99.0)])
    error = world.ask(deadline_s=6.0).error
    assert isinstance(error, DeadlineExceededError)
    assert error.explain().splitlines()[-1] == (
        "DeadlineExceededError after 6.00 s of 6 s: 6.00 s in 2 calls, 0.00 s between them"
    )


@pytest.mark.parametrize("refusal", [InvalidRequestError("temperature"), ContentFilteredError("no", reason="SAFETY")])
def test_a_refusal_explains_the_earlier_attempts(refusal: InvalidRequestError | ContentFilteredError) -> None:
    """An error of one provider that ends the request lists the attempts at the others."""
    world = World([Target(name="a", script=always(lambda: AuthenticationError("bad key"))), Target(name="b")])
    world.targets[1] = Target(name="b", script=script(refusal), latency_s=0.5)
    assert world.ask().error is refusal
    message = refusal.explain().splitlines()
    assert message[0] == "   0.00 s  a:a: AuthenticationError after 0.00 s (bad key); suspended for 3600.0 s"
    assert message[-1].startswith(f"{type(refusal).__name__} after 0.50 s of 30 s: 0.50 s in 2 calls")


def test_a_cancelled_attempt_is_explained_as_cancelled() -> None:
    """It neither answered nor failed."""
    walk = World([Target(name="a")]).walk()
    walk.next(1000.0)
    walk.record_cancellation(1001.5)
    reply = Reply(
        text="x", finish_reason=FinishReason.STOP, trace=RequestTrace(attempts=walk._recorder.attempts), provider="a"
    )
    assert reply.explain().splitlines()[0] == "   0.00 s  a:a: cancelled after 1.50 s"


def test_a_reply_made_by_hand_explains_itself() -> None:
    """So does an error made by hand."""
    assert ProviderUnavailableError("down").explain() == (
        "no target was called\nProviderUnavailableError after 0.00 s: 0.00 s in 0 calls, 0.00 s between them"
    )
    assert (
        Reply(text="x", finish_reason=FinishReason.STOP, provider="p")
        .explain()
        .endswith("p answered after 0.00 s: 0.00 s in 0 calls, 0.00 s between them")
    )


def test_a_skip_is_written_with_its_reason_and_detail() -> None:
    """The target as in a chain, then why it was skipped."""
    skip = Skip(position=0, provider="a", model="m", reason=SkipReason.NOT_CONFIGURED, detail="KEY")
    assert str(skip) == "a:m: not configured (KEY)"
    assert str(evolve(skip, model=None, detail="")) == "a: not configured"
    assert skip.as_dict() == {
        "position": 0,
        "provider": "a",
        "model": "m",
        "reason": "not_configured",
        "detail": "KEY",
        "at_s": 0.0,
        "retry_in_s": None,
    }
