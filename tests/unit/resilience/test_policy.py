"""The disposition table, row by row, and the backoff."""

from __future__ import annotations

import pytest
from attrs import evolve
from simulator import Fixed

from kickai_providers_core.resilience.policy import ROWS, Policy, Rule, choose_backoff_s
from kickai_providers_core.values import errors

TABLE = {
    errors.RateLimitedError: Rule(retry="wait", rests="target", rest_s=30.0),
    errors.QuotaExhaustedError: Rule(rests="provider", rest_s=3600.0),
    errors.ProviderTimeoutError: Rule(retry="last", counts=True),
    errors.ProviderUnavailableError: Rule(retry="backoff", counts=True),
    errors.InvalidReplyError: Rule(retry="backoff", counts=True),
    errors.AuthenticationError: Rule(rests="provider", rest_s=3600.0),
    errors.ModelNotFoundError: Rule(rests="target", rest_s=3600.0),
    errors.InvalidRequestError: Rule(fall_back="never"),
    errors.ContextLengthExceededError: Rule(fall_back="larger_window"),
    errors.ContentFilteredError: Rule(fall_back="never"),
    errors.TransientError: Rule(retry="backoff", counts=True),
    errors.UnusableProviderError: Rule(),
    errors.UnsupportedRequestError: Rule(),
    errors.RejectedRequestError: Rule(fall_back="never"),
    errors.ProviderError: Rule(retry="backoff", counts=True),
}


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_each_class_of_errors_has_its_row(kind: type[errors.ProviderError]) -> None:
    """The class of an error decides; a branch of the tree behaves like its mildest leaf."""
    assert Policy().rule_for(kind("x")) == TABLE[kind]


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_a_service_can_forbid_retries(kind: type[errors.ProviderError]) -> None:
    """Everything else in the row stays as it is."""
    assert Policy().rule_for(kind("x", may_retry=False)) == evolve(TABLE[kind], retry="never")
    assert Policy().rule_for(kind("x", may_retry=True)) == TABLE[kind]


def test_a_class_of_a_plugin_is_treated_as_the_one_above_it() -> None:
    """A plugin may say more exactly what happened, and the row stays."""

    class Throttled(errors.RateLimitedError):
        """A rate limit by another name."""

    own = Rule(retry="never")
    assert Policy(rate_limited=own).rule_for(Throttled("x")) is own


def test_every_row_is_a_setting() -> None:
    """Each row of the table can be replaced, and then speaks for its error."""
    for row in ROWS:
        own = Rule(retry="never", fall_back="always", rests="target", rest_s=1.5)
        policy = Policy(**{row: own})
        assert [kind for kind in TABLE if policy.rule_for(kind("x")) is own]
    assert len(ROWS) == 12


def test_the_other_settings_have_the_documented_defaults() -> None:
    """They are the documented ones."""
    policy = Policy()
    assert (policy.backoff_initial_s, policy.backoff_max_s, policy.min_attempt_s) == (0.25, 4.0, 0.05)
    assert (policy.last_resort, policy.retry_share, policy.retry_floor) == (True, 0.2, 10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"backoff_initial_s": 0.0},
        {"backoff_max_s": 0.0},
        {"min_attempt_s": -0.1},
        {"retry_share": -0.1},
        {"retry_floor": -1},
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """Waits must be positive, and nothing may be negative."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Policy(**wrong)


@pytest.mark.parametrize("wrong", [{"retry": "often"}, {"fall_back": "sometimes"}, {"rests": "all"}, {"rest_s": -1.0}])
def test_rules_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    """A rule accepts only the words that the table defines."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rule(**wrong)


def test_zero_is_a_valid_setting() -> None:
    """A suspension, a share, a floor and a minimum attempt may be zero."""
    assert Rule(rest_s=0.0).rest_s == 0.0
    policy = Policy(min_attempt_s=0.0, retry_share=0.0, retry_floor=0)
    assert (policy.min_attempt_s, policy.retry_share, policy.retry_floor) == (0.0, 0.0, 0)


def test_the_backoff_is_drawn_from_nothing_to_a_ceiling_that_doubles() -> None:
    """Full jitter: the draw is uniform below a quarter of a second, a half, one, two, and then four at most."""
    longest = [choose_backoff_s(Policy(), failures, Fixed(1.0)) for failures in range(1, 7)]
    assert longest == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]
    assert [choose_backoff_s(Policy(), failures, Fixed(0.0)) for failures in (1, 6)] == [0.0, 0.0]
    assert choose_backoff_s(Policy(), 2, Fixed(0.5)) == 0.25
