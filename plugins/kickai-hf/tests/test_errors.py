"""Every exception of the HTTP client, and of what it is built on, becomes an error of the core."""

from __future__ import annotations

import errno
import inspect
import json
import pickle
import ssl
import traceback

import httpcore2
import pytest
from kickai_providers_core import ProviderSettings
from kickai_providers_core.values import errors

from kickai_hf.mapping import _RULES, from_exception
from kickai_hf.patience import Patience


def test_every_exception_of_the_transport_is_mapped():
    """A release of the transport that brings a new exception fails here until somebody has decided what it means."""
    named = {
        name: kind
        for name, kind in inspect.getmembers(httpcore2, inspect.isclass)
        if issubclass(kind, Exception) and name != "ConnectionNotAvailable"  # never leaves its pool
    }
    unmapped = {
        name for name, kind in named.items() if not any(k in _RULES for k in kind.__mro__ if k is not Exception)
    }
    assert unmapped == set()


def caused(exc, cause):
    """Return an exception with a cause."""
    exc.__cause__ = cause
    return exc


def cyclic(exc):
    """Return an exception whose causes lead back to itself."""
    other = RuntimeError("other")
    other.__cause__ = exc
    exc.__context__ = other
    return exc


UNTRUSTED = ssl.SSLCertVerificationError("x")
NO_FILES = OSError(errno.EMFILE, "Too many open files")

CASES = [
    (httpcore2.ConnectTimeout("x"), errors.ProviderTimeoutError, {"phase": "connect"}),
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
    (httpcore2.UnsupportedProtocol("x"), errors.ProviderUnavailableError, {}),
    (httpcore2.LocalProtocolError("x"), errors.ProviderUnavailableError, {}),
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
    """Each class of exception has one meaning, and the error carries no frame and no text of the answer."""
    made = from_exception(raised, Patience(ProviderSettings(), 10.0), answering=False)
    assert type(made) is error
    assert {name: getattr(made, name) for name in fields} == fields
    told = "".join(traceback.format_exception(made))
    assert "the answer" not in told.replace("the answer cannot be read", "")
    assert pickle.loads(pickle.dumps(made)).args == made.args


def test_a_cut_answer_is_not_an_outage():
    """The same exception means another thing once the service has begun to answer."""
    made = from_exception(httpcore2.RemoteProtocolError("x"), Patience(ProviderSettings(), 10.0), answering=True)
    assert type(made) is errors.InvalidReplyError
