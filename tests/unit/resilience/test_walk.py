"""The walk, row by row of the disposition table, on a virtual clock."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

import pytest
from simulator import Fixed, Target, World, always, script

from kickai_providers_core.resilience.actions import Call, Fail, Sleep
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy, Rule
from kickai_providers_core.values.attempts import Outcome, SkipReason
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ChainExhaustedError,
    ContentFilteredError,
    ContextLengthExceededError,
    DeadlineExceededError,
    InvalidReplyError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
)
from kickai_providers_core.values.events import (
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    RequestEnded,
    RequestStarted,
    RetryWithheld,
    TargetSkipped,
    Waiting,
)
from kickai_providers_core.values.requests import Capability


def down() -> ProviderUnavailableError:
    """Return the error of a service that answers 503."""
    return ProviderUnavailableError("down", status_code=503)


def world(*targets: Target, **settings: object) -> World:
    """Return a world without backoff waits, unless the settings say otherwise."""
    return World(list(targets), **{"random": Fixed(0.0), **settings})


def test_the_first_success_wins_and_nothing_is_called_after_it() -> None:
    """Promise 1: a healthy first target answers alone."""
    result = world(Target(name="a"), Target(name="b")).ask()
    assert result.order == ["a"]
    assert result.reply is not None
    assert (result.reply.provider, result.reply.model, result.reply.fell_back) == ("a", "a", False)
    assert [attempt.outcome for attempt in result.reply.attempts] == [Outcome.SUCCESS]


@pytest.mark.parametrize("make", [down, lambda: InvalidReplyError("half a reply")])
def test_an_unavailable_target_is_retried_before_the_fallback(make) -> None:
    """503s and malformed replies are retried as often as the target allows; then the next target is called."""
    result = world(Target(name="a", script=always(make), retries=2), Target(name="b")).ask()
    assert result.order == ["a", "a", "a", "b"]
    assert result.reply is not None
    assert result.reply.fell_back
    assert [attempt.number for attempt in result.reply.attempts] == [1, 2, 3, 1]


def test_retries_back_off_with_full_jitter_under_a_doubling_ceiling() -> None:
    """With the jitter drawn at its upper end, the waits are the ceilings themselves."""
    simulation = world(
        Target(name="a", script=always(down), retries=4), random=Fixed(1.0), breaker=BreakerSettings(max_errors=99)
    )
    times = [call.at for call in simulation.ask().calls]
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([0.25, 0.5, 1, 2])


def test_no_wait_follows_the_last_attempt() -> None:
    """The failure of the last attempt ends the request at once."""
    simulation = world(Target(name="a", script=always(down), retries=0), random=Fixed(1.0))
    began = simulation.now
    assert isinstance(simulation.ask().error, ChainExhaustedError)
    assert simulation.now == began


def test_a_backoff_that_exceeds_the_deadline_is_skipped() -> None:
    """With too little time for the wait and the retry, the next target is called instead."""
    simulation = world(Target(name="a", script=always(down)), Target(name="b"), random=Fixed(1.0))
    assert simulation.ask(deadline_s=0.2).order == ["a", "b"]


def test_a_503_with_a_short_stated_delay_is_retried_after_it() -> None:
    """The stated delay lengthens the backoff."""
    busy = ProviderUnavailableError("loading", status_code=503, retry_after_s=3.0)
    result = world(Target(name="a", script=script(busy)), Target(name="b")).ask()
    assert result.order == ["a", "a"]
    assert result.calls[1].at - result.calls[0].at == pytest.approx(3.0)


def test_a_503_with_a_long_stated_delay_falls_back() -> None:
    """The next target is called when the stated delay is longer than a backoff."""
    busy = ProviderUnavailableError("loading", status_code=503, retry_after_s=20.0)
    assert world(Target(name="a", script=script(busy)), Target(name="b")).ask().order == ["a", "b"]


def test_a_503_with_a_long_stated_delay_is_waited_for_without_a_fallback() -> None:
    """With no other target, the request waits for the stated delay if the deadline allows."""
    busy = ProviderUnavailableError("loading", status_code=503, retry_after_s=20.0)
    result = world(Target(name="a", script=script(busy))).ask()
    assert result.order == ["a", "a"]
    assert result.calls[1].at - result.calls[0].at == pytest.approx(20.0)


def test_a_timeout_falls_back_without_a_retry() -> None:
    """After a timeout the next target is called at once."""
    assert world(Target(name="a", script=script(ProviderTimeoutError("slow"))), Target(name="b")).ask().order == [
        "a",
        "b",
    ]


def test_a_timeout_is_retried_on_the_last_target() -> None:
    """With no other target left, a timeout is retried as often as allowed."""
    slow = always(lambda: ProviderTimeoutError("slow"))
    simulation = world(Target(name="a", script=slow), Target(name="b", script=slow, retries=1))
    assert simulation.ask().order == ["a", "b", "b"]


def test_a_timeout_that_opens_the_breaker_is_not_retried() -> None:
    """When the timeout opened the breaker, the last target is not called again."""
    slow = always(lambda: ProviderTimeoutError("slow"))
    simulation = world(Target(name="a", script=slow), breaker=BreakerSettings(max_errors=1))
    assert simulation.ask().order == ["a"]


def test_a_rate_limited_target_is_suspended_for_exactly_the_stated_delay() -> None:
    """It is skipped until the delay is over, and no breaker counts an error."""
    simulation = world(
        Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=7.5))), Target(name="b")
    )
    assert simulation.ask().order == ["a", "b"]
    simulation.now += 7.4
    again = simulation.ask()
    assert again.order == ["b"]
    assert again.reply is not None
    assert [skip.reason for skip in again.reply.skipped] == [SkipReason.RESTING]
    assert again.reply.skipped[0].retry_in_s == pytest.approx(0.1)
    simulation.now += 0.2
    assert simulation.ask().order == ["a"]
    assert simulation.candidates[0].health.target.breaker.errors == 0


def test_a_rate_limit_without_a_stated_delay_suspends_for_thirty_seconds() -> None:
    """Thirty seconds replace a delay that was not stated."""
    simulation = world(Target(name="a", script=script(RateLimitedError("slow down"))), Target(name="b"))
    simulation.ask()
    simulation.now += 29.9
    assert simulation.ask().order == ["b"]
    simulation.now += 0.2
    assert simulation.ask().order == ["a"]


def test_a_second_shorter_delay_never_shortens_a_longer_one() -> None:
    """The later of two ends counts."""
    simulation = world(Target(name="a"), Target(name="b"))
    both = [(simulation.walk(), delay_s) for delay_s in (10.0, 1.0)]  # both calls begin before either fails
    assert [walk.next(simulation.now).candidate.provider for walk, _ in both] == ["a", "a"]
    for walk, delay_s in both:
        walk.record_failure(RateLimitedError("slow down", retry_after_s=delay_s), simulation.now)
    simulation.now += 9.9
    assert simulation.ask().order == ["b"]


def test_a_rate_limit_is_waited_for_when_no_other_target_can_answer() -> None:
    """The only target is called again after its delay, if that fits the deadline."""
    simulation = world(Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=2.5))))
    result = simulation.ask()
    assert [call.at for call in result.calls] == pytest.approx([1000.0, 1002.5])
    assert result.reply is not None
    assert result.reply.skipped == ()


def test_a_rate_limit_that_outlasts_the_deadline_ends_the_request() -> None:
    """The request fails at once instead of waiting for a delay that it cannot outlast."""
    simulation = world(Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=40.0))))
    result = simulation.ask()
    assert result.order == ["a"]
    assert isinstance(result.error, ChainExhaustedError)
    assert simulation.now == 1000.0


def test_of_several_rate_limited_targets_the_one_due_first_is_called_again() -> None:
    """The target with the shortest delay gets the second attempt."""
    simulation = world(
        Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=9.0))),
        Target(name="b", script=script(RateLimitedError("slow down", retry_after_s=3.0))),
    )
    result = simulation.ask()
    assert result.order == ["a", "b", "b"]
    assert simulation.now == pytest.approx(1003.0)


def test_a_request_waits_for_a_rate_limit_that_another_request_met() -> None:
    """With nothing else left, the request waits for the suspension to end, and the reply lists no skip."""
    simulation = world(Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=5.0)), retries=0))
    simulation.ask()
    result = simulation.ask()
    assert result.order == ["a"]
    assert simulation.now == pytest.approx(1005.0)
    assert result.reply is not None
    assert (result.reply.skipped, result.reply.last_resort) == ((), False)


@pytest.mark.parametrize("error", [QuotaExhaustedError, AuthenticationError])
def test_credentials_and_quota_suspend_the_whole_provider_for_an_hour(error: type[ProviderError]) -> None:
    """Every other target of that provider is skipped, in this request and in later ones."""
    simulation = world(
        Target(name="a", provider="p", script=script(error("no"))), Target(name="b", provider="p"), Target(name="c")
    )
    assert simulation.ask().order == ["a", "c"]
    simulation.now += 3599.0
    assert simulation.ask().order == ["c"]
    simulation.now += 2.0
    assert simulation.ask().order == ["a"]


def test_a_quota_suspends_until_its_stated_reset() -> None:
    """The stated reset replaces the hour."""
    simulation = world(
        Target(name="a", script=script(QuotaExhaustedError("used up", retry_after_s=60.0))), Target(name="b")
    )
    simulation.ask()
    simulation.now += 61.0
    assert simulation.ask().order == ["a"]


def test_a_missing_model_is_suspended_alone() -> None:
    """The provider's other models are still called."""
    simulation = world(
        Target(name="a", provider="p", script=script(ModelNotFoundError("gone"))), Target(name="b", provider="p")
    )
    assert simulation.ask().order == ["a", "b"]
    assert simulation.ask().order == ["b"]


def test_an_invalid_request_is_raised_at_once() -> None:
    """No other provider is called, and the error carries the trace."""
    result = world(Target(name="a", script=script(InvalidRequestError("temperature"))), Target(name="b")).ask()
    assert result.order == ["a"]
    assert isinstance(result.error, InvalidRequestError)
    assert [attempt.target for attempt in result.error.attempts] == ["a:a"]


def test_a_refusal_is_not_routed_around() -> None:
    """The provider's refusal reaches the caller with its reason."""
    refusal = ContentFilteredError("refused", reason="SAFETY")
    result = world(Target(name="a", script=script(refusal)), Target(name="b")).ask()
    assert result.order == ["a"]
    assert result.error is refusal


def test_a_setting_routes_around_refusals() -> None:
    """Every row of the table is a setting."""
    policy = Policy(content_filtered=Rule(fall_back="always"))
    result = world(Target(name="a", script=script(ContentFilteredError("no"))), Target(name="b"), policy=policy).ask()
    assert result.order == ["a", "b"]


def test_a_prompt_that_is_too_long_goes_only_to_a_larger_window() -> None:
    """Targets with smaller, equal and unknown windows are skipped with that reason."""
    simulation = world(
        Target(name="a", window=8_000, script=script(ContextLengthExceededError("too long"))),
        Target(name="b", window=4_000),
        Target(name="c", window=8_000),
        Target(name="d"),
        Target(name="e", window=32_000),
    )
    result = simulation.ask()
    assert result.order == ["a", "e"]
    assert result.reply is not None
    assert [(skip.target, skip.reason) for skip in result.reply.skipped] == [
        (f"{name}:{name}", SkipReason.WINDOW_TOO_SMALL) for name in "bcd"
    ]


def test_a_target_whose_window_is_too_small_is_skipped() -> None:
    """A target is called when the request just fits its window, or when the window is unknown."""
    simulation = world(Target(name="a", window=999), Target(name="b", window=1000))
    reply = simulation.ask(tokens=1000).reply
    assert reply is not None
    assert [str(skip) for skip in reply.skipped] == [
        "a:a: window too small (its window is 999 tokens, and prompt and answer take at least 1000)"
    ]
    assert simulation.ask(tokens=999).order == ["a"]
    assert world(Target(name="a")).ask(tokens=10**9).order == ["a"]


def test_a_prompt_that_no_window_fits_is_sent_nowhere() -> None:
    """The error lists the window of every target."""
    error = world(Target(name="a", window=10), Target(name="b", window=20)).ask(tokens=30).error
    assert isinstance(error, ChainExhaustedError)
    assert [skip.reason for skip in error.skipped] == [SkipReason.WINDOW_TOO_SMALL] * 2


def test_the_stated_window_counts_more_than_the_known_one() -> None:
    """A limit in the error replaces what the settings say."""
    too_long = ContextLengthExceededError("too long", limit_tokens=50_000)
    simulation = world(Target(name="a", window=8_000, script=script(too_long)), Target(name="b", window=32_000))
    assert simulation.ask().order == ["a"]


def test_a_prompt_that_fits_nowhere_raises_the_context_length_error() -> None:
    """The caller gets the error about the length, not that the chain is exhausted."""
    too_long = ContextLengthExceededError("too long")
    result = world(Target(name="a", script=script(too_long)), Target(name="b")).ask()
    assert result.error is too_long
    assert [skip.reason for skip in too_long.skipped] == [SkipReason.WINDOW_TOO_SMALL]


def test_targets_that_cannot_serve_are_skipped_with_the_reason() -> None:
    """Targets that are not configured or incapable are skipped, and the reply says so."""
    simulation = world(
        Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "SOME_KEY")),
        Target(name="b"),
        Target(name="c", capabilities=frozenset({Capability.TOOLS})),
    )
    result = simulation.ask(needs=[Capability.TOOLS])
    assert result.order == ["c"]
    assert result.reply is not None
    assert [str(skip) for skip in result.reply.skipped] == [
        "a:a: not configured (SOME_KEY)",
        "b:b: incapable (no tools)",
    ]


def test_a_chain_that_skips_every_target_has_one_cause_per_skip() -> None:
    """With nothing to try, the error holds one cause per skipped target."""
    simulation = world(Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "SOME_KEY")))
    error = simulation.ask().error
    assert isinstance(error, ChainExhaustedError)
    assert str(error.exceptions[0]) == "a:a: not configured (SOME_KEY)"
    assert error.attempts == ()


def test_every_failed_attempt_is_one_cause() -> None:
    """Promise 5: the group holds the errors of the attempts in order, each signed with its target."""
    simulation = world(
        Target(name="a", script=always(down), retries=1), Target(name="b", script=script(AuthenticationError("no")))
    )
    error = simulation.ask().error
    assert isinstance(error, ChainExhaustedError)
    assert [str(cause) for cause in error.exceptions] == [
        "a:a: down (HTTP 503)",
        "a:a: down (HTTP 503)",
        "b:b: no",
    ]


def test_an_attempt_has_at_most_the_time_that_is_left() -> None:
    """Promise 3: the timeout of an attempt is capped by the deadline."""
    simulation = world(Target(name="a", latency_s=99.0, timeout_s=4.0), Target(name="b", timeout_s=10.0))
    result = simulation.ask(deadline_s=6.0)
    assert [call.timeout_s for call in result.calls] == pytest.approx([4.0, 2.0])


def test_no_attempt_starts_that_could_not_finish() -> None:
    """Promise 3: after the deadline the next target is not called, and the error says why."""
    simulation = world(Target(name="a", latency_s=99.0, timeout_s=10.0), Target(name="b"))
    result = simulation.ask(deadline_s=5.0)
    assert result.order == ["a"]
    assert isinstance(result.error, DeadlineExceededError)
    assert (result.error.deadline_s, result.error.elapsed_s) == (5.0, 5.0)
    assert len(result.error.attempts) == 1


def test_a_very_short_deadline_still_gets_one_attempt() -> None:
    """The least time for an attempt is never more than half the deadline."""
    assert world(Target(name="a")).ask(deadline_s=0.01).order == ["a"]


@pytest.mark.parametrize(
    ("deadline_s", "left_s", "is_called"),
    [(1.2, 0.55, True), (1.2, 0.45, False), (0.8, 0.45, True), (0.8, 0.35, False)],
)
def test_the_least_time_is_that_of_the_policy_or_half_the_deadline(
    deadline_s: float, left_s: float, *, is_called: bool
) -> None:
    """The smaller of the two counts."""
    silent = Target(name="a", latency_s=99.0, timeout_s=deadline_s - left_s)
    simulation = world(silent, Target(name="b"), policy=Policy(min_attempt_s=0.5))
    assert simulation.ask(deadline_s=deadline_s).order == (["a", "b"] if is_called else ["a"])


def test_an_open_breaker_is_skipped() -> None:
    """After three failures the target is skipped until its cool-down is over, then probed and used again."""
    simulation = world(Target(name="a", script=script(down(), down(), down())), Target(name="b"))
    assert simulation.ask().order == ["a", "a", "a", "b"]
    skipped = simulation.ask()
    assert skipped.order == ["b"]
    assert skipped.reply is not None
    assert skipped.reply.skipped[0].reason is SkipReason.BREAKER_OPEN
    assert skipped.reply.skipped[0].retry_in_s == pytest.approx(4.0)
    simulation.now += 4.1
    assert simulation.ask().order == ["a"]
    assert simulation.candidates[0].health.get_breaker_states() == (BreakerState.CLOSED, BreakerState.CLOSED)


def test_other_requests_skip_a_target_while_it_is_probed() -> None:
    """A half-open target serves its probe and no other call."""
    simulation = world(Target(name="a", script=script(down(), down(), down())), Target(name="b"))
    simulation.ask()
    simulation.now += 5.0
    prober = simulation.walk()
    action = prober.next(simulation.now)
    assert isinstance(action, Call)
    assert action.candidate.provider == "a"
    other = simulation.ask()
    assert other.order == ["b"]
    assert other.reply is not None
    assert "its probe is running" in str(other.reply.skipped[0])
    prober.record_cancellation(simulation.now)
    assert simulation.ask().order == ["a"]


def test_an_unreachable_provider_is_skipped_as_a_whole() -> None:
    """Failures to connect count against the provider too, so that its other models are not tried one by one."""
    gone = always(lambda: ProviderUnavailableError("refused", reached=False))
    simulation = world(
        Target(name="a", provider="p", script=gone), Target(name="b", provider="p", script=gone), Target(name="c")
    )
    assert simulation.ask().order == ["a", "a", "a", "c"]


def test_a_connect_timeout_counts_against_the_provider() -> None:
    """A connection that cannot be made in time is a failure to connect."""
    simulation = world(
        Target(name="a", provider="p", script=always(lambda: ProviderTimeoutError("no", phase="connect"))),
        Target(name="b", provider="p"),
        breaker=BreakerSettings(max_errors=1),
    )
    assert simulation.ask().order == ["a"]


def test_when_every_target_is_suspended_the_one_due_first_is_called_once() -> None:
    """Promise 2: the walk probes that target early instead of failing without a call, and the reply says so."""
    simulation = world(
        Target(name="a", script=script(down(), down(), down())), Target(name="b", script=script(down(), down(), down()))
    )
    simulation.ask()
    result = simulation.ask()
    assert result.order == ["a"]
    assert result.reply is not None
    assert result.reply.last_resort
    assert [skip.target for skip in result.reply.skipped] == ["b:b"]


def test_the_last_resort_is_a_setting() -> None:
    """Promise 2: without it, a request to a chain whose targets are all suspended fails at once."""
    simulation = world(Target(name="a", script=script(down(), down(), down())), policy=Policy(last_resort=False))
    simulation.ask()
    result = simulation.ask()
    assert result.order == []
    assert isinstance(result.error, ChainExhaustedError)


def test_the_last_resort_is_tried_once_only() -> None:
    """When it fails, the request fails."""
    simulation = world(Target(name="a", script=always(down)))
    simulation.ask()
    assert simulation.ask().order == ["a"]


def test_there_is_no_last_resort_while_a_probe_is_under_way() -> None:
    """One call at a time finds out whether a target works again, however many requests arrive."""
    simulation = world(Target(name="a", script=script(down(), down(), down())))
    simulation.ask()
    simulation.now += 5.0
    prober = simulation.walk()
    prober.next(simulation.now)
    before = simulation.candidates[0].health.target.breaker
    result = simulation.ask()
    assert result.calls == []
    assert isinstance(result.error, ChainExhaustedError)
    assert simulation.candidates[0].health.target.breaker is before


def test_an_answer_ends_a_suspension() -> None:
    """The next request calls a target again once it has answered as the last resort."""
    simulation = world(Target(name="a", script=script(AuthenticationError("refused"))), policy=Policy())
    simulation.ask()
    assert simulation.ask().reply is not None
    again = simulation.ask()
    assert again.reply is not None
    assert not again.reply.last_resort


def test_a_cancelled_attempt_is_recorded_and_changes_no_breaker() -> None:
    """Cancellation touches no breaker and starts no other call."""
    simulation = world(Target(name="a"))
    walk = simulation.walk()
    walk.next(simulation.now)
    walk.record_cancellation(simulation.now + 1.5)
    walk.record_cancellation(simulation.now + 2.0)
    assert [(attempt.outcome, attempt.latency_s) for attempt in walk._recorder.attempts] == [(Outcome.CANCELLED, 1.5)]
    assert [event.outcome for event in simulation.events if isinstance(event, RequestEnded)] == ["cancelled"]


def test_a_result_without_an_attempt_is_a_driver_error() -> None:
    """The walk does not invent an attempt."""
    with pytest.raises(RuntimeError, match="no attempt"):
        world(Target(name="a")).walk().record_failure(down(), 0.0)


def test_after_a_part_was_handed_out_the_error_is_final() -> None:
    """A live stream that breaks off is neither retried nor followed by a fallback."""
    simulation = world(Target(name="a"), Target(name="b"))
    walk = simulation.walk()
    walk.next(simulation.now)
    action = walk.record_failure(down(), simulation.now, final=True)
    assert str(action.error) == "a:a: down (HTTP 503)"


def test_a_wait_that_ended_early_is_continued() -> None:
    """The walk sleeps for the rest of the wait; a wait that is over but for a moment is over."""
    simulation = world(Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=2.0))))
    walk = simulation.walk()
    walk.next(simulation.now)
    action = walk.record_failure(RateLimitedError("slow down", retry_after_s=2.0), simulation.now)
    assert action == Sleep(2.0)
    assert walk.next(simulation.now + 1.5) == Sleep(0.5)
    assert isinstance(walk.next(simulation.now + 1.9995), Call)


def test_observers_get_every_event_in_order() -> None:
    """Start, attempts, waits, skips, breaker changes and the end are reported in order, with names for machines."""
    simulation = world(
        Target(name="a", script=script(down())),
        Target(name="b"),
        breaker=BreakerSettings(max_errors=1),
        random=Fixed(1.0),
    )
    simulation.ask()
    simulation.ask()
    kinds = [type(event) for event in simulation.events]
    assert kinds == [
        RequestStarted,
        AttemptStarted,
        AttemptEnded,
        BreakerChanged,
        AttemptStarted,
        AttemptEnded,
        RequestEnded,
        RequestStarted,
        TargetSkipped,
        AttemptStarted,
        AttemptEnded,
        RequestEnded,
    ]
    failed = simulation.events[2].attributes()
    assert failed["error.type"] == "ProviderUnavailableError"
    assert failed["gen_ai.provider.name"] == "a"
    assert failed["http.response.status_code"] == 503
    assert all(str(event) and "object at" not in str(event) for event in simulation.events)


def test_a_wait_emits_an_event() -> None:
    """The event says how long the request will wait, and for which target."""
    simulation = world(Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=2.0))))
    simulation.ask()
    waits = [event for event in simulation.events if isinstance(event, Waiting)]
    assert [(event.provider, event.wait_s) for event in waits] == [("a", 2.0)]


def test_the_errors_on_a_reply_keep_no_frames() -> None:
    """A traceback would keep requests, clients and keys alive."""

    def failing(_now: float) -> ProviderError:
        try:
            raise ConnectionError
        except ConnectionError as exc:
            error = down()
            error.__cause__ = exc
            return error

    simulation = world(Target(name="a", script=failing, retries=0), Target(name="b"))
    reply = simulation.ask().reply
    assert reply is not None
    error = reply.attempts[0].error
    assert error is not None
    assert type(error.__cause__) is ConnectionError
    assert error.__cause__.__traceback__ is None


class UncopyableError(Exception):
    """An exception that only its own constructor can make."""

    def __new__(cls, *_args: object, code: int) -> Self:
        made = super().__new__(cls)
        made.args = ("three",)
        return made

    def __init__(self, *, code: int) -> None:
        self.code = code


@pytest.mark.parametrize("shape", ["a chain", "a cycle", "a cause that cannot be copied"])
def test_the_error_of_an_event_keeps_its_traceback(shape: str) -> None:
    """The reply gets a copy without frames; the error of the event keeps its traceback, its causes and theirs."""

    def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
        try:
            raise error from cause
        except Exception as exc:  # noqa: BLE001
            return exc

    cause = raised(UncopyableError(code=3) if shape == "a cause that cannot be copied" else ConnectionError("reset"))
    error = raised(down(), cause)
    if shape == "a cycle":
        cause.__cause__ = error
    simulation = world(Target(name="a", script=lambda _now: error, retries=0), Target(name="b"))
    reply = simulation.ask().reply
    assert reply is not None
    (seen,) = [event.attempt.error for event in simulation.events if isinstance(event, AttemptEnded) and event.failed]
    assert seen is error
    assert seen.__traceback__ is not None
    assert seen.__cause__ is cause
    assert cause.__traceback__ is not None
    bare = reply.attempts[0].error
    assert bare is not None
    assert (type(bare), str(bare)) == (type(error), str(error))
    assert bare.__traceback__ is None
    assert bare.__suppress_context__
    assert bare.__cause__ is not cause
    assert bare.__cause__ is not None
    assert bare.__cause__.__traceback__ is None
    assert (bare.__cause__.__cause__ is bare) is (shape == "a cycle")
    if shape == "a cause that cannot be copied":
        assert repr(bare.__cause__) == "Exception('UncopyableError')"


def test_without_retry_budget_no_attempt_is_retried() -> None:
    """When the retries of all requests have used up their share, the next target is called, and the trace says why."""
    simulation = world(
        Target(name="a", script=always(down)),
        Target(name="b"),
        policy=Policy(retry_share=0.0, retry_floor=1),
        breaker=BreakerSettings(max_errors=99),
    )
    assert simulation.ask().order == ["a", "a", "b"]
    result = simulation.ask()
    assert result.order == ["a", "b"]
    assert result.reply is not None
    assert [attempt.retry_withheld for attempt in result.reply.attempts] == [True, False]
    withheld = [event for event in simulation.events if isinstance(event, RetryWithheld)]
    assert [(event.request, event.provider) for event in withheld] == [(1, "a"), (2, "a")]


def test_without_retry_budget_only_a_first_attempt_is_waited_for() -> None:
    """A request waits for a rate-limited target that it has not called yet, and not for one that it has."""
    limited = always(lambda: RateLimitedError("slow down", retry_after_s=2.0))
    simulation = world(Target(name="a", script=limited), policy=Policy(retry_share=0.0, retry_floor=0))
    assert simulation.ask().order == ["a"]
    assert simulation.now == 1000.0
    assert simulation.ask().order == ["a"]
    assert simulation.now == pytest.approx(1002.0)


def test_a_first_attempt_at_another_target_needs_no_retry_budget() -> None:
    """Withholding one target's retry does not withhold the targets that were not called yet."""
    simulation = world(
        Target(name="a", script=always(lambda: RateLimitedError("slow down", retry_after_s=1.0))),
        Target(name="b", script=script(RateLimitedError("slow down", retry_after_s=3.0))),
        policy=Policy(retry_share=0.0, retry_floor=0),
    )
    simulation.ask()
    simulation.now += 1.5
    result = simulation.ask()
    assert result.order == ["a", "b"]
    assert simulation.now == pytest.approx(1003.0)


def test_the_retry_budget_is_available_again_after_a_minute() -> None:
    """The window slides."""
    simulation = world(
        Target(name="a", script=always(down), retries=1),
        policy=Policy(retry_share=0.0, retry_floor=1, last_resort=False),
        breaker=BreakerSettings(max_errors=99),
    )
    counts = []
    for _ in range(4):
        counts.append(len(simulation.ask().calls))
        simulation.now += 31.0
    assert counts == [2, 1, 2, 1]


def test_a_cancelled_walk_returns_fail() -> None:
    """A driver that asks for the next action after a cancellation gets `Fail`."""
    simulation = world(Target(name="a"))
    walk = simulation.walk()
    walk.next(simulation.now)
    walk.record_cancellation(simulation.now)
    assert isinstance(walk.next(simulation.now), Fail)


def test_the_trace_of_the_error_that_ends_a_request_has_a_copy_of_it() -> None:
    """Otherwise the error would refer to itself, and live until the garbage collector finds it."""
    simulation = world(Target(name="a"))
    walk = simulation.walk()
    assert isinstance(walk.next(simulation.now), Call)
    refused = InvalidRequestError("empty")
    ended = walk.record_failure(refused, simulation.now)
    assert isinstance(ended, Fail)
    assert ended.error is refused
    (attempt,) = refused.trace.attempts
    assert isinstance(attempt.error, InvalidRequestError)
    assert attempt.error is not refused
