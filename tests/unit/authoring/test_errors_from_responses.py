"""What a status and the body of an error mean."""

import json

import pytest

from kickai_providers_core.authoring import error_for_body, error_for_status, request_id_in
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ContentFilteredError,
    ContextLengthExceededError,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
)


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (301, "", ProviderUnavailableError),
        (400, "", UnsupportedRequestError),
        (400, "This model's maximum context length is 8192 tokens", ContextLengthExceededError),
        (400, "the response was filtered: content_filter", ContentFilteredError),
        (400, "API key not valid. Please pass a valid API key.", AuthenticationError),
        (400, "The model `x` does not exist", ModelNotFoundError),
        (400, "rate limit", UnsupportedRequestError),
        (400, "The model `org/x-1.5` does not exist.", ModelNotFoundError),
        (401, "The model `x` does not exist", AuthenticationError),
        (402, "", QuotaExhaustedError),
        (403, "", AuthenticationError),
        (403, "You do not have access to model x", ModelNotFoundError),
        (403, "Access to model meta/x is restricted", ModelNotFoundError),
        (403, "Your project is not allowed to use this model", ModelNotFoundError),
        (403, "Model org/x-1.5 is not enabled for this account", ModelNotFoundError),
        (403, "exceeded your current quota", QuotaExhaustedError),
        (404, "", ModelNotFoundError),
        (405, "", ModelNotFoundError),
        (408, "", ProviderTimeoutError),
        (409, "", ProviderUnavailableError),
        (413, "", UnsupportedRequestError),
        (413, "prompt is too long", ContextLengthExceededError),
        (415, "", UnsupportedRequestError),
        (418, "", UnsupportedRequestError),
        (422, "", UnsupportedRequestError),
        (422, "`inputs` must have less than 1024 tokens", ContextLengthExceededError),
        (424, "", ProviderUnavailableError),
        (424, "inputs` must have less than 10 tokens", ContextLengthExceededError),
        (425, "", ProviderUnavailableError),
        (429, "", RateLimitedError),
        (429, "insufficient_quota", QuotaExhaustedError),
        (429, "you have reached your weekly usage limit", QuotaExhaustedError),
        (429, "requests per day", QuotaExhaustedError),
        (451, "", ContentFilteredError),
        (500, "", ProviderUnavailableError),
        (500, "context length", ContextLengthExceededError),
        (500, "tools param requires --jinja flag", UnsupportedRequestError),
        (503, "context length", ProviderUnavailableError),
        (529, "", ProviderUnavailableError),
    ],
)
@pytest.mark.parametrize("form", ["openai", "text", "google", "plain"])
def test_statuses(status: int, words: str, kind: type[ProviderError], form: str) -> None:
    """Each status has its error; the words decide where the status is ambiguous, whatever the body's form."""
    body: object = {
        "openai": {"error": {"message": words}},
        "text": json.dumps({"detail": [{"msg": words}]}).encode(),
        "google": [{"error": {"code": status, "message": words, "status": "X"}}],
        "plain": words,
    }[form]
    error = error_for_status(status, body=body)
    assert type(error) is kind
    assert error.status_code == status
    assert error.service_message == ""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("max_tokens must be at most 4096", ": max_tokens, limit 4096"),
        ("`max_tokens` is too large: 9999. This model supports up to 4096 tokens", ": max_tokens, limit 4096"),
        ("Invalid value: temperature must be less than or equal to 2.0", ": temperature, limit 2.0"),
        ("unsupported parameter: 'seed'", ": seed"),
        ("'n' must be 1", ": n"),
        ("tools are not supported", ": tools"),
        ("the secret must be at most 4096", ""),
        ("oops", ""),
    ],
)
def test_the_refused_parameter(words: str, what: str) -> None:
    """The message names the parameter and the limit, from closed sets, and repeats no other words."""
    error = error_for_status(400, body={"error": {"message": words}})
    assert str(error) == f"the service does not accept this request{what} (HTTP 400)"


def test_the_services_own_words() -> None:
    """The service's words are attached only when exposed, without the key, on one line of limited length."""
    body = {"error": {"message": "the key sk-123 is\nwrong \x1b[31m" + "x" * 1000}}
    assert error_for_status(401, body=body).service_message == ""
    error = error_for_status(401, body=body, expose=True, secrets=["sk-1", "sk-123", ""])
    assert error.service_message.startswith("the key *** is wrong")
    assert len(error.service_message) <= 500
    assert "sk-" not in str(error)
    assert "\x1b" not in str(error)
    assert 'the service said: "the key' in str(error)


def test_the_fields_of_an_error() -> None:
    """The delay, the request id, the context window and the reason are fields."""
    error = error_for_status(429, headers={"Retry-After": "7", "X-Request-Id": "r1"}, now_s=0.0)
    assert (error.retry_after_s, error.request_id) == (7.0, "r1")
    assert error_for_status(500, request_id="r2").request_id == "r2"
    window = error_for_status(400, body="maximum context length is 8192 tokens")
    assert isinstance(window, ContextLengthExceededError)
    assert window.limit_tokens == 8192
    refused = error_for_status(400, body="content filter")
    assert isinstance(refused, ContentFilteredError)
    assert refused.reason == "content_filter"


@pytest.mark.parametrize(
    "body", [None, b"\xff", "[" * 100_000, [], {}, 3, {"error": None}, {"prompt": "context length secret"}]
)
def test_bodies_that_say_nothing(body: object) -> None:
    """A body without words, or with the prompt in another member, decides nothing and is not repeated."""
    error = error_for_status(400, body=body, expose=True)
    assert type(error) is UnsupportedRequestError
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"message": "x", "code": 429}}, RateLimitedError, 429),
        ({"error": {"message": "x", "code": "429"}}, RateLimitedError, 429),
        ({"object": "error", "message": "maximum context length is 64", "code": 400}, ContextLengthExceededError, 400),
        ({"error": {"message": "x", "code": 200}}, ProviderUnavailableError, None),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, QuotaExhaustedError, None),
        ({"error": "overloaded", "error_type": "overloaded"}, RateLimitedError, None),
        ({"error": "Incomplete generation", "error_type": "incomplete_generation"}, InvalidReplyError, None),
        ({"error": "boom"}, ProviderUnavailableError, None),
        (b"out of memory", ProviderUnavailableError, None),
        (None, ProviderUnavailableError, None),
    ],
)
def test_errors_without_a_status(body: object, kind: type[ProviderError], status: int | None) -> None:
    """The status in the body decides, then the words; an unexplained error means that the service is unavailable."""
    error = error_for_body(body)
    assert (type(error), error.status_code, error.service_message) == (kind, status, "")


def test_errors_without_a_status_can_expose_the_words() -> None:
    """They are attached only when exposed, without secrets."""
    error = error_for_body({"error": "the key sk-1 is wrong"}, expose=True, secrets=["sk-1"], request_id="r1")
    assert (error.service_message, error.request_id) == ("the key *** is wrong", "r1")


def test_the_header_of_the_hub_decides() -> None:
    """The Hugging Face Hub puts its error code into a header, and the request's id into one of several headers."""
    error = error_for_status(403, headers={"X-Error-Code": "GatedRepo", "x-amzn-trace-id": "r3"})
    assert (type(error), error.request_id) == (ModelNotFoundError, "r3")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-request-id": "", "request-id": "r1"}, "r1"),
        ({"x-amz-cf-id": "r3", "x-amzn-trace-id": "r2"}, "r2"),
        ({"x-request-id": "r\x1b[2J" + "x" * 1000}, "r[2J" + "x" * 196),
    ],
)
def test_the_id_of_a_request(headers: dict[str, str], expected: str | None) -> None:
    """The first header that names the request counts; its name is printable and not longer than 200 characters."""
    assert request_id_in(headers) == expected


@pytest.mark.parametrize(
    ("status", "header", "kind", "may_retry"),
    [
        (503, "false", ProviderUnavailableError, False),
        (503, "TRUE ", ProviderUnavailableError, True),
        (503, "maybe", ProviderUnavailableError, None),
        (429, "false", RateLimitedError, False),
        (400, "true", ProviderUnavailableError, True),
        (400, "false", UnsupportedRequestError, False),
    ],
)
def test_the_service_may_forbid_or_allow_a_retry(
    status: int, header: str, kind: type[ProviderError], may_retry: bool | None
) -> None:
    """``x-should-retry`` is kept; a refusal that a retry would cure is an outage."""
    error = error_for_status(status, headers={"X-Should-Retry": header})
    assert (type(error), error.may_retry) == (kind, may_retry)
