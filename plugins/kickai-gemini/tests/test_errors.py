"""Errors from refusals."""

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


def refuse(status, *details, headers=None, **error):
    """Return a refusal by the service."""
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
def test_longest_delay_counts(details, headers, delay_s):
    """Delays are in the body and in a header, as seconds, fractions or dates; the longest counts."""
    error = error_for_refusal(refuse(429, *details, headers=headers), NOON)
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
def test_daily_quota_lasts_until_midnight_in_california(now, hours):
    """A daily quota lasts until its reset, not for the short delay that is stated with it."""
    daily = quota_failure("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
    error = error_for_refusal(refuse(429, daily, retry_info("37s")), now)
    assert type(error) is QuotaExhaustedError
    assert error.retry_after_s == pytest.approx(hours * 3600)


def test_system_without_time_zones_uses_winter_time(monkeypatch):
    """Without a time zone database the reset is at midnight in winter time."""

    def no_zone(_):
        raise ZoneInfoNotFoundError

    monkeypatch.setattr(errors, "ZoneInfo", no_zone)
    daily = quota_failure("RequestsPerDay")
    assert error_for_refusal(refuse(429, daily), datetime(2026, 7, 1, 19, 0, tzinfo=UTC)).retry_after_s == 13 * 3600


def test_daily_quota_counts_among_others():
    """When the quotas of the minute and of the day are both exceeded, the day counts."""
    error = error_for_refusal(refuse(429, quota_failure("RequestsPerMinute"), quota_failure("RequestsPerDay")), NOON)
    assert type(error) is QuotaExhaustedError


def test_context_window_is_read():
    """The error for a prompt that is too long has the size of the window, when the service states it."""
    error = error_for_refusal(Refusal(status=400, body={"error": error_body(400, "context_length")}), NOON)
    assert type(error) is ContextLengthExceededError
    assert error.limit_tokens == 1048576


def test_invalid_key_is_read_from_the_details():
    """An invalid key is a 400, and the reason distinguishes it from other refused requests."""
    error = error_for_refusal(
        refuse(400, {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}), NOON
    )
    assert type(error) is AuthenticationError
    assert "API_KEY_INVALID" in str(error)


def test_service_message_is_not_repeated():
    """Messages of the service may quote the prompt or the key; the error contains neither."""
    message = "Consumer 'api_key:AIza-canary' has been suspended: 'my secret prompt'"
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "AIza-canary lower case cannot be a reason"}
    for status in (400, 401, 403, 404, 429, 500):
        error = error_for_refusal(refuse(status, info, message=message), NOON)
        assert "canary" not in f"{error}{error!r}{vars(error)}"
        assert "prompt'" not in f"{error}{error!r}{vars(error)}"


@given(st.integers(100, 599), st.dictionaries(st.text(), st.text()), st.binary() | st.text())
def test_any_response_is_a_typed_error(status, headers, body):
    """Any response becomes a `ProviderError` with its status."""
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
    """Any JSON value becomes a `ProviderError`."""
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
def test_refusal_names_the_parameter_and_the_limit(message, facts):
    """The message contains the parameter and the limit that the service names, and nothing else."""
    error = error_for_refusal(Refusal(status=400, body={"error": {"message": message}}), NOON)
    assert error.message == f"the service does not accept this request{facts}"
    assert type(error) is UnsupportedRequestError


def test_refused_field_is_read_from_the_details():
    """Fields are named in the details of a bad request."""
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
def test_403_is_about_the_model_or_the_key(error, kind):
    """A 403 that names the requested model is about the model; any other is about the key."""
    assert type(error_for_refusal(Refusal(status=403, body={"error": error}), NOON, model="gemini-x")) is kind


@pytest.mark.parametrize("status", [201, 204])
def test_success_without_an_answer_is_an_invalid_reply(status):
    """A success status other than 200 is an invalid reply."""
    assert type(error_for_refusal(Refusal(status=status), NOON)) is InvalidReplyError


def test_error_within_a_stream_states_its_status():
    """An error within a stream states its status; an invalid one counts as 500."""
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
    """A status without a reason becomes one error class, which keeps the status."""
    made = error_for_refusal(Refusal(status=status, body={"error": error}), NOON)
    assert (type(made), made.status_code) == (kind, status)


def test_service_message_has_no_keys():
    """The service's message contains neither the key that was sent nor any other key of Google's."""
    refusal = Refusal(status=400, body={"error": {"message": "bad key canary-key and AIza" + "x" * 35}})
    error = error_for_refusal(refusal, NOON, secrets=(Secret("canary-key"), Secret("")), expose=True)
    assert error.service_message == "bad key *** and ***"
