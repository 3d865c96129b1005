"""What a status means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfoNotFoundError

import pytest
from gemini_service import error_body, quota_failure, retry_info
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    Secret,
    UnsupportedRequestError,
)

from kickai_gemini import errors
from kickai_gemini.errors import Refusal, error_for_refusal

NOON = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
"""Noon in California, in winter."""


def told(status, *details, headers=None, **error):
    """Return what the service says with a status."""
    body = {"error": {**error_body(status), **error, "details": list(details)}}
    return Refusal.from_response(status, headers or {}, json.dumps(body))


@pytest.mark.parametrize(
    ("details", "headers", "delay_s"),
    [
        ([retry_info("17.489s")], {}, 17.489),
        ([retry_info("0.4s")], {}, 0.4),
        ([], {"Retry-After": "7"}, 7.0),
        ([], {"retry-after": "Mon, 23 Nov 2026 20:00:30 GMT"}, 30.0),
        ([], {"retry-after": "Mon, 23 Nov 2026 19:00:00 GMT"}, 0.0),
        ([retry_info("3s")], {"retry-after": "30"}, 30.0),
        ([retry_info("30s")], {"retry-after": "3"}, 30.0),
        ([retry_info("soon")], {"retry-after": "later"}, None),
        ([], {}, None),
    ],
)
def test_the_longest_delay_that_is_stated_counts(details, headers, delay_s):
    """Delays come in the body and in a header, as seconds, fractions and dates; a shorter one shortens nothing."""
    error = error_for_refusal(told(429, *details, headers=headers), NOON)
    assert type(error) is RateLimitedError
    assert error.retry_after_s == (None if delay_s is None else pytest.approx(delay_s))


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (NOON, 12),
        (datetime(2026, 7, 1, 19, 0, tzinfo=UTC), 12),  # noon in summer
        (datetime(2026, 11, 24, 7, 59, tzinfo=UTC), 1 / 60),
        (datetime(2026, 3, 8, 8, 0, tzinfo=UTC), 23),  # the day on which summer time begins
        (NOON.astimezone(timezone(timedelta(hours=9))), 12),
    ],
)
def test_a_daily_quota_is_full_again_at_midnight_in_california(now, hours):
    """A per-day quota rests until the reset, and not for the delay for minutes that comes with it."""
    daily = quota_failure("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
    error = error_for_refusal(told(429, daily, retry_info("37s")), now)
    assert type(error) is QuotaExhaustedError
    assert error.retry_after_s == pytest.approx(hours * 3600)


def test_a_system_without_time_zones_is_late_by_an_hour_at_most(monkeypatch):
    """Without a time zone database the reset is told as that of winter time."""

    def no_zone(_):
        raise ZoneInfoNotFoundError

    monkeypatch.setattr(errors, "ZoneInfo", no_zone)
    daily = quota_failure("RequestsPerDay")
    assert error_for_refusal(told(429, daily), datetime(2026, 7, 1, 19, 0, tzinfo=UTC)).retry_after_s == 13 * 3600


def test_one_daily_quota_among_others_is_enough():
    """When minute and day are both exceeded, the day counts."""
    error = error_for_refusal(told(429, quota_failure("RequestsPerMinute"), quota_failure("RequestsPerDay")), NOON)
    assert type(error) is QuotaExhaustedError


def test_the_size_of_the_window_is_read():
    """A prompt that is too long is told with the window's size, when the service says it."""
    error = error_for_refusal(Refusal(status=400, body={"error": error_body(400, "context_length")}), NOON)
    assert type(error) is ContextLengthExceededError
    assert error.limit_tokens == 1048576


def test_a_key_s_reason_is_read_from_the_details():
    """A key that is not valid comes as 400, and its reason tells it from other requests that are refused."""
    error = error_for_refusal(
        told(400, {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}), NOON
    )
    assert type(error) is AuthenticationError
    assert "API_KEY_INVALID" in str(error)


def test_no_words_of_the_service_s_are_repeated():
    """Its messages quote prompts, and for a suspended key the key; neither goes into an error."""
    message = "Consumer 'api_key:AIza-canary' has been suspended: 'my secret prompt'"
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "AIza-canary lower case is no reason"}
    for status in (400, 401, 403, 404, 429, 500):
        error = error_for_refusal(told(status, info, message=message), NOON)
        assert "canary" not in f"{error}{error!r}{vars(error)}"
        assert "prompt'" not in f"{error}{error!r}{vars(error)}"


@given(st.integers(100, 599), st.dictionaries(st.text(), st.text()), st.binary() | st.text())
def test_any_answer_is_a_typed_error(status, headers, body):
    """However odd a response is, a `ProviderError` with its status comes of it."""
    error = error_for_refusal(Refusal.from_response(status, headers, body), NOON)
    assert isinstance(error, ProviderError)
    assert error.status_code == status


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "details", "@type", "violations", "reason", "retryDelay", "quotaId", "status", "message"]
            ),
            inner,
        )
    ),
)


@given(st.sampled_from([400, 403, 429, 500]), JSON)
def test_any_json_is_a_typed_error(status, body):
    """However odd an error's JSON is, a `ProviderError` comes of it."""
    assert isinstance(error_for_refusal(Refusal(status=status, body=body), NOON), ProviderError)


@pytest.mark.parametrize(
    ("message", "facts"),
    [
        ("max_tokens must be at most 4096", ": max_tokens, limit 4096"),
        ("The supported range is from 1 (inclusive) to 65537 for maxOutputTokens", ": max_tokens, limit 65537"),
        ("JSON mode is not enabled for models/x", ": json_schema"),
        ("temperature and topP are not supported", ": temperature, top_p"),
        ("'a secret prompt' of at most 12 words", ""),
        ("attemperature", ""),
    ],
)
def test_a_refusal_names_the_parameter_and_the_limit(message, facts):
    """The parameter that the service names, and its limit, are told in the request's own words, and nothing else is."""
    error = error_for_refusal(Refusal(status=400, body={"error": {"message": message}}), NOON)
    assert error.message == f"the service does not accept this request{facts}"
    assert type(error) is UnsupportedRequestError


def test_a_refused_field_is_read_from_the_details():
    """The details of a bad request name fields."""
    detail = {"@type": "x.BadRequest", "fieldViolations": [{"field": "generation_config.top_k"}, 7]}
    error = error_for_refusal(
        Refusal(status=422, body={"error": {"details": [detail, {"@type": "x.BadRequest"}]}}), NOON
    )
    assert error.message == "the service does not accept this request: top_k"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "No access to models/gemini-x."}, ModelNotFoundError),
        ({"message": "The model gemini-x is private."}, ModelNotFoundError),
        ({"details": [{"@type": "x.ResourceInfo", "resourceType": "Model"}]}, ModelNotFoundError),
        ({"details": [{"@type": "x.ResourceInfo", "resourceName": "models/gemini-x"}]}, ModelNotFoundError),
        ({"message": "No access to models/another."}, AuthenticationError),
        ({"message": "Denied."}, AuthenticationError),
        (
            {"message": "models/gemini-x", "details": [{"@type": "x.ErrorInfo", "reason": "SERVICE_DISABLED"}]},
            AuthenticationError,
        ),
        (
            {"message": "models/gemini-x", "details": [{"@type": "x.ErrorInfo", "reason": "API_KEY_SERVICE_BLOCKED"}]},
            AuthenticationError,
        ),
    ],
)
def test_a_403_for_one_model_suspends_that_model(error, kind):
    """A refusal that names the model that was asked is about it; any other is about the key."""
    assert type(error_for_refusal(Refusal(status=403, body={"error": error}), NOON, model="gemini-x")) is kind


@pytest.mark.parametrize("status", [201, 204])
def test_a_success_without_an_answer_is_no_answer(status):
    """Another status of success than 200 is an invalid reply."""
    assert type(error_for_refusal(Refusal(status=status), NOON)) is InvalidReplyError


def test_an_error_in_a_stream_has_a_status_of_its_own():
    """An error in the middle of a stream states its status; one that is none counts as 500."""
    for code, status in ((503, 503), (429, 429), (200, 500), ("x", 500), (None, 500)):
        assert Refusal.from_event({"error": {"code": code}}).status == status


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (402, {}, QuotaExhaustedError),
        (400, {"status": "FAILED_PRECONDITION"}, AuthenticationError),
        (404, {}, ModelNotFoundError),
        (410, {}, ModelNotFoundError),
        (408, {}, ProviderUnavailableError),
        (409, {}, ProviderUnavailableError),
        (499, {}, ProviderUnavailableError),
        (302, {}, ProviderUnavailableError),
        (500, {}, ProviderUnavailableError),
        (400, {}, UnsupportedRequestError),
        (413, {}, UnsupportedRequestError),
        (422, {}, UnsupportedRequestError),
        (418, {}, UnsupportedRequestError),
    ],
)
def test_each_status_has_its_error(status, error, kind):
    """A status without a reason has one error, and keeps its number."""
    made = error_for_refusal(Refusal(status=status, body={"error": error}), NOON)
    assert (type(made), made.status_code) == (kind, status)


def test_the_service_s_words_lose_keys():
    """The words that are asked for hold no key: not the one that was sent, and no other of Google's."""
    told = Refusal(status=400, body={"error": {"message": "bad key canary-key and AIza" + "x" * 35}})
    error = error_for_refusal(told, NOON, secrets=(Secret("canary-key"), Secret("")), expose=True)
    assert error.service_message == "bad key *** and ***"
