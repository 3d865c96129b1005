"""The error for what a server says, and for a failure on the way to it."""

from __future__ import annotations

import errno
import ssl

import pytest
from kickai_providers_core import (
    AuthenticationError,
    ContextLengthExceededError,
    ModelNotFoundError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    Secret,
    UnsupportedRequestError,
    UnusableProviderError,
)
from kickai_providers_core.authoring import AttemptTimeouts, http_transport

from kickai_ollama.errors import error_for_exception, error_for_refusal, says_missing
from kickai_ollama.settings import OllamaSettings


def attempt(status=None, headers=None):
    """Return an attempt that got an answer with this status."""
    found = http_transport("http://127.0.0.1:1", environ={}).attempt(AttemptTimeouts(1))
    found.status, found.headers = status, headers or {}
    return found


def refusal(words, status=500, headers=None, **settings):
    """Return the error of a server that says these words."""
    body = {"error": words}
    return error_for_refusal(attempt(status, headers), body, settings=OllamaSettings(**settings), model="m")


@pytest.mark.parametrize(
    ("words", "status", "kind", "part"),
    [
        ("model 'm' not found", 404, ModelNotFoundError, "`ollama pull m`"),
        ('model "m" not found, try pulling it first', 404, ModelNotFoundError, "`ollama pull m`"),
        ("invalid model name", 400, ModelNotFoundError, "`ollama pull m`"),
        ("404 page not found", 404, ModelNotFoundError, "is it an Ollama server"),
        ("405 method not allowed", 405, ModelNotFoundError, "is it an Ollama server"),
        ('"m" does not support thinking', 400, UnsupportedRequestError, "does not support thinking"),
        ("registry.ollama.ai/library/m does not support tools", 400, UnsupportedRequestError, "does not support tools"),
        (
            "model requires more system memory (9 GiB) than is available (3.2 GiB)",
            500,
            ProviderUnavailableError,
            "it needs 9 GiB, available are 3.2 GiB",
        ),
        ("model requires more system memory than is available", 500, ProviderUnavailableError, "out of memory"),
        ("CUDA error: out of memory", 500, ProviderUnavailableError, "out of memory"),
        ("cudaMalloc failed", 500, ProviderUnavailableError, "smaller model"),
        ("server busy, please try again.  maximum pending requests exceeded", 503, ProviderUnavailableError, "queue"),
        ("the input length exceeds the context length", 400, ContextLengthExceededError, "window"),
        ("the prompt is longer than the context length currently available", 400, ContextLengthExceededError, "window"),
        ("request (9 tokens) exceeds the available context size (8 tokens)", 500, ContextLengthExceededError, "window"),
        ("unauthorized", 401, AuthenticationError, "api_key"),
        ("you've reached your usage limit, please upgrade to continue", 429, QuotaExhaustedError, "used up"),
        ("slow down", 429, RateLimitedError, "no more requests"),
        ("request canceled", 499, ProviderUnavailableError, "failed"),
        ("too early", 425, ProviderUnavailableError, "failed"),
        ("teapot", 418, UnsupportedRequestError, "does not accept"),
        ("num_predict must be at most 4096", 400, UnsupportedRequestError, "num_predict, limit 4096"),
        ("this model requires a subscription", 403, ModelNotFoundError, "this account"),
        ("forbidden", 403, AuthenticationError, "api_key"),
        ("too large", 413, UnsupportedRequestError, "does not accept"),
        ("input length exceeds the context length", 413, ContextLengthExceededError, "window"),
        ("rate limit exceeded", 200, RateLimitedError, "no more requests"),
        ("you have reached your weekly usage limit", 200, QuotaExhaustedError, "used up"),
        ("unauthorized", 200, AuthenticationError, "api_key"),
        ("model 'm' not found", 200, ModelNotFoundError, "`ollama pull m`"),
    ],
)
def test_status_and_words_decide_the_error(words, status, kind, part):
    """The status, and where it leaves a choice the words, decide the class and the message."""
    error = refusal(words, status)
    assert type(error) is kind
    assert part in error.message
    assert error.status_code == (status if status >= 300 else None)


def test_the_size_of_the_window_is_kept():
    """The chain can then choose a target with a larger window."""
    assert refusal("request (9 tokens) exceeds the available context size (8 tokens)", 400).limit_tokens == 8
    assert refusal("the input length exceeds the context length", 400).limit_tokens is None


def test_a_withheld_key_is_named_as_the_reason():
    """When the key was not sent, the error says so and what to do."""
    assert "https://" in refusal("unauthorized", 401, host="http://gpu-box", api_key=Secret("key")).message


@pytest.mark.parametrize("words", [{"message": "out of memory"}, {"code": 7}, {"message": 7}])
def test_an_error_in_another_form_is_unavailable(words):
    """Other servers send an object as the error."""
    assert type(refusal(words)) is ProviderUnavailableError


def test_only_a_missing_model_can_be_pulled():
    """A model that the server has, and that lacks a capability, is not pulled."""
    assert says_missing({"error": "model 'm' not found"})
    assert not says_missing({"error": '"m" does not support tools'})
    assert not says_missing(b"404 page not found")


def test_the_request_id_of_a_proxy_is_kept():
    """The error contains the id under which a proxy logged the request."""
    assert refusal("x", 502, {"x-request-id": "r-17"}).request_id == "r-17"


@pytest.mark.parametrize(
    ("headers", "delay_s"), [({"retry-after": "7"}, 7), ({"retry-after": "soon"}, None), ({}, None)]
)
def test_a_delay_is_read_from_the_headers(headers, delay_s):
    """A valid delay is kept."""
    assert refusal("busy", 503, headers).retry_after_s == delay_s


def test_a_server_on_another_machine_is_started_there():
    """The advice for another machine includes the address on which the server must listen."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "x")
    error = error_for_exception(refused, attempt(), OllamaSettings(host="gpu-box"))
    assert error.message.startswith("the service cannot be reached at http://gpu-box:11434 (Connection refused)")
    assert "OLLAMA_HOST=0.0.0.0 ollama serve" in error.message
    assert error.reached is False


def test_the_servers_words_are_exposed_only_when_the_settings_say_so():
    """With ``expose_service_messages`` the error contains the server's words, without the key."""
    words = "num_predict is wrong for key-123"
    assert refusal(words, 400).service_message == ""
    error = refusal(words, 400, expose_service_messages=True, api_key=Secret("key-123"))
    assert error.service_message == "num_predict is wrong for ***"


@pytest.mark.parametrize(
    ("exc", "part"),
    [
        (OSError(errno.EMFILE, "x"), "ulimit -n"),
        (ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]"), "SSL_CERT_FILE"),
    ],
)
def test_a_fault_of_this_machine_does_not_count_as_an_outage(exc, part):
    """Too many open files and an untrusted certificate are errors of this machine, with advice."""
    failed = attempt()
    failed.failure = ConnectionError("x")
    failed.failure.__cause__ = exc
    error = error_for_exception(ConnectionError("the client's words"), failed, OllamaSettings(host="https://o"))
    assert type(error) is UnusableProviderError
    assert part in error.message


def test_causes_that_form_a_circle_are_followed_once():
    """Such an exception is translated, and is not changed."""
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert type(error_for_exception(first, attempt(), OllamaSettings())) is ProviderUnavailableError
    assert first.__cause__ is second
