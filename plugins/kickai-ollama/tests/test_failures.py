"""What the server's words and headers add to an error's class."""

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
from kickai_providers_core.authoring import AttemptTimeouts
from ollama import ResponseError

from kickai_ollama.address import Address
from kickai_ollama.failures import Scene, says_missing, translate


def refused(words, status=500, **scene):
    """Return the error of a server that says these words."""
    address = Address.parse(scene.pop("host", None))
    more = {"headers": {}, "timeouts": AttemptTimeouts(1), "model": "m", **scene}
    return translate(ResponseError(words, status), Scene(address=address, status=status, **more))


@pytest.mark.parametrize(
    ("words", "status", "kind", "told"),
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
            "9 GiB",
        ),
        ("model requires more system memory than is available", 500, ProviderUnavailableError, "out of memory"),
        ("CUDA error: out of memory", 500, ProviderUnavailableError, "out of memory"),
        ("cudaMalloc failed", 500, ProviderUnavailableError, "smaller model"),
        ("server busy, please try again.  maximum pending requests exceeded", 503, ProviderUnavailableError, "queue"),
        ("the input length exceeds the context length", 400, ContextLengthExceededError, "window"),
        ("the prompt is longer than the context length currently available", 400, ContextLengthExceededError, "window"),
        ("request (9 tokens) exceeds the available context size (8 tokens)", 500, ContextLengthExceededError, "window"),
        ("unauthorized", 401, AuthenticationError, "api_key"),
        ("you've reached your usage limit, please upgrade to continue", 429, QuotaExhaustedError, "spent"),
        ("slow down", 429, RateLimitedError, "limits"),
        ("request canceled", 499, ProviderUnavailableError, "failed"),
        ("too early", 425, ProviderUnavailableError, "failed"),
        ("teapot", 418, UnsupportedRequestError, "does not accept"),
        ("num_predict must be at most 4096", 400, UnsupportedRequestError, "num_predict, limit 4096"),
        ("this model requires a subscription", 403, ModelNotFoundError, "this account"),
        ("forbidden", 403, AuthenticationError, "api_key"),
        ("too large", 413, UnsupportedRequestError, "does not accept"),
        ("input length exceeds the context length", 413, ContextLengthExceededError, "window"),
        ("rate limit exceeded", 200, RateLimitedError, "limits"),
        ("you have reached your weekly usage limit", 200, QuotaExhaustedError, "spent"),
        ("unauthorized", 200, AuthenticationError, "api_key"),
        ("model 'm' not found", 200, ModelNotFoundError, "`ollama pull m`"),
    ],
)
def test_what_the_server_says_becomes_its_error(words, status, kind, told):
    """The status, and among those with one status the words, make the error's class and its message."""
    error = refused(words, status)
    assert type(error) is kind
    assert told in error.message
    assert error.status_code == (status if status >= 300 else None)


def test_the_windows_size_is_kept():
    """A server that says how large its window is lets the chain pick a target with a larger one."""
    assert refused("request (9 tokens) exceeds the available context size (8 tokens)", 400).limit_tokens == 8
    assert refused("the input length exceeds the context length", 400).limit_tokens is None


def test_a_key_that_was_not_sent_is_named_as_the_reason():
    """Where the key was withheld, a refusal says so, and what to do."""
    assert "https://" in refused("unauthorized", 401, key_withheld=True, host="http://gpu-box").message


@pytest.mark.parametrize("error", [{"message": "out of memory"}, {"code": 7}, {"message": 7}])
def test_an_error_in_another_vendors_form_is_read_as_far_as_it_goes(error):
    """An error that is an object, as other servers send it, is unavailable all the same."""
    exc = ResponseError("")
    exc.error = error
    scene = Scene(address=Address.parse(None), status=500, headers={}, timeouts=AttemptTimeouts(1), model="m")
    assert type(translate(exc, scene)) is ProviderUnavailableError


def test_only_a_missing_model_can_be_pulled():
    """A model that is there, and lacks something, is not pulled."""
    assert says_missing(ResponseError("model 'm' not found", 404))
    assert not says_missing(ResponseError('"m" does not support tools', 400))
    assert not says_missing(ResponseError("404 page not found", 404))
    assert not says_missing(ConnectionError("model 'm' not found"))


def test_a_proxys_name_for_the_request_is_kept():
    """What a proxy on the way calls the request stands in the error, for its log."""
    assert refused("x", 502, headers={"x-request-id": "r-17"}).request_id == "r-17"


@pytest.mark.parametrize(
    ("headers", "delay_s"), [({"retry-after": "7"}, 7), ({"retry-after": "soon"}, None), ({}, None)]
)
def test_a_delay_is_read_from_the_headers(headers, delay_s):
    """A delay is kept when it is one."""
    scene = Scene(address=Address.parse("gpu-box"), status=503, headers=headers, timeouts=AttemptTimeouts(1), model="m")
    assert scene.retry_after_s == delay_s


def test_elsewhere_the_server_is_started_there():
    """The hint for a server on another machine says that it must listen beyond its own."""
    scene = Scene(address=Address.parse("gpu-box"), status=None, headers={}, timeouts=AttemptTimeouts(1), model="m")
    error = translate(ConnectionRefusedError(errno.ECONNREFUSED, "x"), scene)
    assert error.message.startswith("no Ollama server answers at http://gpu-box:11434")
    assert "OLLAMA_HOST=0.0.0.0 ollama serve" in error.message
    assert error.reached is False


def test_the_services_words_are_given_on_request():
    """With ``expose_service_messages`` the error carries the server's words, without the key; otherwise it does not."""
    words = "num_predict is wrong for key-123"
    assert refused(words, 400).service_message == ""
    error = refused(words, 400, expose=True, api_key=Secret("key-123"))
    assert error.service_message == "num_predict is wrong for ***"


@pytest.mark.parametrize(
    ("exc", "what"),
    [
        (OSError(errno.EMFILE, "x"), "ulimit -n"),
        (ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]"), "SSL_CERT_FILE"),
    ],
)
def test_a_fault_of_this_machine_is_no_outage(exc, what):
    """Too many open files or a certificate that is not trusted says what to do, and no server is blamed."""
    failure = ConnectionError("x")
    failure.__cause__ = exc
    scene = Scene(
        address=Address.parse("https://o"),
        status=None,
        headers={},
        timeouts=AttemptTimeouts(1),
        model="m",
        failure=failure,
    )
    error = translate(ConnectionError("the client's words"), scene)
    assert type(error) is UnusableProviderError
    assert what in error.message


def test_a_circle_of_causes_ends():
    """An exception whose causes form a circle is translated, and left as it was."""
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    scene = Scene(address=Address.parse(None), status=None, headers={}, timeouts=AttemptTimeouts(1), model="m")
    assert type(translate(first, scene)) is ProviderUnavailableError
    assert first.__cause__ is second
