"""Every exception of the HTTP client, and of the layers below it, becomes an error of the core."""

from __future__ import annotations

import errno
import inspect
import json
import pickle
import ssl
import traceback
from contextlib import closing

import httpcore2
import httpx2
import pytest

from kickai_providers_core import ProviderSettings
from kickai_providers_core.authoring import AttemptTimeouts, Endpoint, HttpService
from kickai_providers_core.authoring.errors_from_exceptions import classify_exception
from kickai_providers_core.values import errors


@pytest.mark.parametrize("library", [httpcore2, httpx2])
def test_every_exception_of_the_client_is_known(library):
    """A new exception in a release of the client fails here until its meaning is decided."""
    known_elsewhere = {"ConnectionNotAvailable", "CookieConflict", "HTTPStatusError", "TooManyRedirects", "HTTPError"}
    exceptions = {
        name: kind
        for name, kind in inspect.getmembers(library, inspect.isclass)
        if issubclass(kind, Exception) and name not in known_elsewhere  # never raised here
    }
    unknown = {name for name, kind in exceptions.items() if classify_exception(kind.__new__(kind)) is None}
    assert {name for name in unknown if not issubclass(exceptions[name], (RuntimeError, Warning))} <= {"RequestError"}


def caused(exc, cause):
    """Return an exception with a cause."""
    exc.__cause__ = cause
    return exc


def cyclic(exc):
    """Return an exception whose causes form a cycle."""
    other = RuntimeError("other")
    other.__cause__ = exc
    exc.__context__ = other
    return exc


def error_for(exc, *, has_begun=False):
    """Return the error for an exception that a call raises."""
    with closing(HttpService(Endpoint(url="http://127.0.0.1:1"), ProviderSettings(), user_agent="test")) as service:
        attempt = service.attempt(AttemptTimeouts(10.0), 1000)
        attempt.status = 200 if has_begun else None
        return service.error_for(exc, attempt)


UNTRUSTED = ssl.SSLCertVerificationError("x")
NO_FILES = OSError(errno.EMFILE, "Too many open files")

CASES = [
    (httpcore2.ConnectTimeout("x"), errors.ProviderTimeoutError, {"phase": "total"}),
    (httpcore2.PoolTimeout("x"), errors.ProviderTimeoutError, {"phase": "total"}),
    (httpcore2.ReadTimeout("x"), errors.ProviderTimeoutError, {"phase": "total"}),
    (httpcore2.WriteTimeout("x"), errors.ProviderTimeoutError, {"phase": "total"}),
    (httpcore2.ConnectError("x"), errors.ProviderUnavailableError, {"reached": False}),
    (caused(httpcore2.ConnectError("x"), ssl.SSLError("x")), errors.ProviderUnavailableError, {"reached": False}),
    (caused(httpcore2.ConnectError("x"), UNTRUSTED), errors.UnusableProviderError, {}),
    (caused(httpcore2.ConnectError("x"), NO_FILES), errors.UnusableProviderError, {}),
    (OSError(errno.ENFILE, "x"), errors.UnusableProviderError, {}),
    (RuntimeError("can't start new thread"), errors.UnusableProviderError, {}),
    (ImportError("x", name="socksio"), errors.UnusableProviderError, {}),
    (cyclic(httpcore2.ReadError("x")), errors.ProviderUnavailableError, {"reached": True}),
    (httpcore2.ReadError("x"), errors.ProviderUnavailableError, {"reached": True}),
    (httpcore2.WriteError("x"), errors.ProviderUnavailableError, {"reached": True}),
    (httpcore2.ProxyError("x"), errors.ProviderUnavailableError, {"reached": False}),
    (httpcore2.UnsupportedProtocol("x"), errors.UnusableProviderError, {}),
    (httpcore2.LocalProtocolError("x"), errors.UnusableProviderError, {}),
    (httpcore2.RemoteProtocolError("x"), errors.ProviderUnavailableError, {}),
    (json.JSONDecodeError("x", "the answer", 0), errors.InvalidReplyError, {}),
    (UnicodeDecodeError("utf-8", b"the answer", 0, 1, "x"), errors.InvalidReplyError, {}),
    (ValueError("the answer"), errors.InvalidReplyError, {}),
    (KeyError("choices"), errors.InvalidReplyError, {}),
    (TypeError("x"), errors.InvalidReplyError, {}),
    (RecursionError("x"), errors.InvalidReplyError, {}),
    (TimeoutError(), errors.ProviderTimeoutError, {"phase": "total"}),
    (ssl.SSLError("x"), errors.ProviderUnavailableError, {"reached": False}),
    (ConnectionResetError(104, "x"), errors.ProviderUnavailableError, {"reached": True}),
    (RuntimeError("Event loop is closed"), errors.ProviderUnavailableError, {}),
    (MemoryError(), errors.ProviderUnavailableError, {}),
]


@pytest.mark.parametrize(
    ("raised", "error", "fields"), CASES, ids=lambda value: getattr(value, "__class__", value).__name__
)
def test_an_exception_becomes_its_error(raised, error, fields):
    """The error contains no frame of the call and no text of the answer."""
    made = error_for(raised)
    assert type(made) is error
    assert {name: getattr(made, name) for name in fields} == fields
    text = "".join(traceback.format_exception(made))
    assert "the answer" not in text.replace("the answer cannot be read", "")
    assert pickle.loads(pickle.dumps(made)).args == made.args


def test_a_cut_answer_is_not_an_outage():
    """Once the service has begun to answer, a broken protocol means a cut answer, and a reset is still an outage."""
    assert type(error_for(httpcore2.RemoteProtocolError("x"), has_begun=True)) is errors.InvalidReplyError
    assert type(error_for(httpcore2.ReadError("x"), has_begun=True)) is errors.ProviderUnavailableError


def test_a_proxy_that_cannot_be_used_is_an_error_of_this_machine(monkeypatch):
    """Nothing is sent; the error names the variable."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "https://proxy.example")
    with pytest.raises(errors.UnusableProviderError, match="HTTPS_PROXY"):
        HttpService(Endpoint(url="https://h"), ProviderSettings(), user_agent="test")
