"""Every exception that the ollama client raises or lets through becomes an error of the core."""

from __future__ import annotations

import builtins
import json

import httpcore
import httpx
import ollama
import pydantic_core
import pytest
from calling import MODES, Caller
from kickai_providers_core import (
    InvalidReplyError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    UnsupportedRequestError,
    UnusableProviderError,
)
from kickai_providers_core.authoring import http_transport
from kickai_providers_core.authoring.http_transport import HttpTransport
from ollama import _client, _types

from kickai_ollama.settings import OllamaSettings

LEAKED = (
    json.JSONDecodeError,
    pydantic_core.ValidationError,
    builtins.AttributeError,
    builtins.ConnectionError,
    builtins.RecursionError,
    builtins.TimeoutError,
    builtins.TypeError,
    builtins.UnicodeDecodeError,
    builtins.ValueError,
)
"""Exceptions of other packages that the client lets through."""

TIMEOUTS = (httpx.TimeoutException, httpcore.TimeoutException, builtins.TimeoutError)
LOCAL = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.LocalProtocolError,
)
UNREADABLE = (ValueError, TypeError, AttributeError, RecursionError, httpx.DecodingError)
CUT = (
    httpx.TransportError,
    httpx.StreamError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    builtins.ConnectionError,
)
PROXY = (httpx.ProxyError, httpcore.ProxyError)


def expected_error(cls, *, early):
    """Return the class of the error for an exception before the answer, or in the middle of it."""
    if issubclass(cls, TIMEOUTS):
        return ProviderTimeoutError
    if issubclass(cls, LOCAL):
        return UnusableProviderError
    if issubclass(cls, ollama.RequestError):
        return UnsupportedRequestError
    if not early and issubclass(cls, (*UNREADABLE, *CUT)) and cls not in PROXY:
        return InvalidReplyError
    if early and issubclass(cls, (httpx.DecodingError, json.JSONDecodeError, UnicodeDecodeError)):
        return InvalidReplyError
    return ProviderUnavailableError


HANDLED_INSIDE = {httpcore.ConnectionNotAvailable}
"""Exceptions that httpcore's pool raises and catches itself."""


def name_of(cls):
    """Return the name of a class, for the ids of tests."""
    return f"{cls.__module__.partition('.')[0]}.{cls.__name__}"


def errors_of(*modules):
    """Return the exception classes of some modules."""
    named = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return sorted((cls for cls in named if issubclass(cls, Exception)), key=name_of)


VENDORS = [cls for cls in errors_of(httpcore, httpx, ollama, _client, _types) if cls not in HANDLED_INSIDE]


def make(cls):
    """Return an exception of the class without calling its constructor, which differs from class to class."""
    if cls is pydantic_core.ValidationError:
        return cls.from_exception_data("m", [])
    if cls is httpx.HTTPStatusError:
        return cls("", request=httpx.Request("POST", "http://x"), response=httpx.Response(500))
    return cls.__new__(cls, *(("utf-8", b"\xff", 0, 1, "bad") if cls is UnicodeDecodeError else ()))


class RaisingPool:
    """A connection pool that raises before the answer, or in the middle of it."""

    def __init__(self, error, *, early):
        self.error = error
        self.early = early

    def handle_request(self, _request):
        """Raise, or answer with a body that raises."""
        if self.early:
            raise self.error
        return httpcore.Response(200, content=self._body())

    async def handle_async_request(self, _request):
        """Raise, or answer with a body that raises."""
        if self.early:
            raise self.error
        return httpcore.Response(200, content=self._abody())

    async def current(self):
        """Return the pool, as the pool of the running loop."""
        return self

    def _body(self):
        yield b'{"model": "m", '
        raise self.error

    async def _abody(self):
        yield b'{"model": "m", '
        raise self.error


def caller(error, *, early):
    """Return a caller whose connections raise."""
    settings = OllamaSettings(model="m")
    pool = RaisingPool(error, early=early)
    made = http_transport(settings.address.url, environ={})._connections
    return Caller(settings, HttpTransport(type(made)(made.url, made.httpx, made.httpcore, pool, pool)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("early", [True, False], ids=["early", "late"])
@pytest.mark.parametrize("cls", [*VENDORS, *LEAKED], ids=name_of)
def test_every_exception_becomes_a_typed_error(cls, early, mode):
    """An exception below the client, before the answer or in the middle of it, becomes the error of its kind."""
    error = caller(make(cls), early=early)(mode).error
    assert type(error) is expected_error(cls, early=early)
    assert error.__context__ is None or isinstance(error.__context__, OSError)
    assert error.__cause__ is None or isinstance(error.__cause__, OSError)


def test_an_unknown_exception_is_unavailable_and_named():
    """The error of an unknown exception contains the name of its class, and not its message."""

    class NovelError(Exception):
        pass

    error = caller(NovelError("secret"), early=True)("invoke").error
    assert type(error) is ProviderUnavailableError
    assert "NovelError" in error.message
    assert "secret" not in error.message
