"""That whatever the ollama client raises or lets through becomes an error of the core's."""

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
from ollama import _client, _types

from kickai_ollama import client, exchange
from kickai_ollama.pools import Pools
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
"""Exceptions of others that the client was seen to let through, or that this plugin raises under it."""

TIMEOUTS = (httpx.TimeoutException, builtins.TimeoutError)
LOCAL = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
UNREADABLE = (ValueError, TypeError, AttributeError, RecursionError, httpx.DecodingError)
CUT = (httpx.TransportError, httpx.StreamError, builtins.ConnectionError)


def becomes(cls, *, early):
    """Return the error that a class stands for, before there is an answer or in the middle of one."""
    if issubclass(cls, TIMEOUTS):
        return ProviderTimeoutError
    if issubclass(cls, LOCAL):
        return UnusableProviderError
    if issubclass(cls, ollama.RequestError):
        return UnsupportedRequestError
    if not early and issubclass(cls, (*UNREADABLE, *CUT)) and cls is not httpx.ProxyError:
        return InvalidReplyError
    if early and issubclass(cls, (httpx.DecodingError, json.JSONDecodeError, UnicodeDecodeError)):
        return InvalidReplyError
    return ProviderUnavailableError


HANDLED_INSIDE = {httpcore.ConnectionNotAvailable}
"""Exceptions that httpcore's pool raises to itself."""


def errors_of(*modules):
    """Return the exception classes that modules name."""
    named = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return sorted((cls for cls in named if issubclass(cls, Exception)), key=lambda cls: cls.__qualname__)


VENDORS = errors_of(httpx, ollama, _client, _types)


def named(cls):
    """Return the name of a class as the table has it."""
    return f"{cls.__module__.partition('.')[0]}.{cls.__name__}"


def raised(cls):
    """Return an exception of the class; made without its constructor, which each class has in another form."""
    if cls is pydantic_core.ValidationError:
        return cls.from_exception_data("m", [])
    if cls is httpx.HTTPStatusError:
        return cls("", request=httpx.Request("POST", "http://x"), response=httpx.Response(500))
    return cls.__new__(cls, *(("utf-8", b"\xff", 0, 1, "bad") if cls is UnicodeDecodeError else ()))


@pytest.mark.parametrize("cls", errors_of(httpcore), ids=named)
def test_every_exception_of_the_network_has_a_namesake_in_httpx(cls):
    """What the network raises reaches the client as the exception of httpx that has the same name."""
    if cls in HANDLED_INSIDE:
        pytest.skip("never leaves the pool")
    assert issubclass(getattr(httpx, cls.__name__), Exception)
    if cls is not httpcore.ProxyError:  # there are no proxies here
        assert issubclass(cls, exchange.FAILURES)


class Raising:
    """A pool that raises, before an answer or in the middle of one."""

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

    def _body(self):
        yield b'{"model": "m", '
        raise self.error

    async def _abody(self):
        yield b'{"model": "m", '
        raise self.error


class RaisingPools(Pools):
    """Pools of which each raises."""

    def __init__(self, settings, error, *, early):
        super().__init__(settings.address)
        self.blocking.close()
        self.blocking = self.pool = Raising(error, early=early)
        self.per_loop = self

    async def current(self):
        """Return the pool that raises."""
        return self.pool


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("early", [True, False], ids=["early", "late"])
@pytest.mark.parametrize("cls", [*VENDORS, *LEAKED], ids=named)
def test_every_exception_becomes_a_typed_error(cls, early, mode):
    """Whatever is raised under the client, before an answer or in the middle of it, becomes the error of its kind."""
    settings = OllamaSettings(model="m")
    caller = Caller(settings)
    caller.provider = client.OllamaProvider(settings, RaisingPools(settings, raised(cls), early=early))
    error = caller(mode).error
    assert type(error) is becomes(cls, early=early)
    assert error.__context__ is None or isinstance(error.__context__, OSError)
    assert error.__cause__ is None or isinstance(error.__cause__, OSError)


def test_an_unheard_of_exception_is_unavailable_and_named():
    """An exception that nobody knows is an unavailable provider, whose error names its class."""

    class NovelError(Exception):
        pass

    settings = OllamaSettings(model="m")
    caller = Caller(settings)
    caller.provider = client.OllamaProvider(settings, RaisingPools(settings, NovelError("secret"), early=True))
    error = caller("invoke").error
    assert type(error) is ProviderUnavailableError
    assert "NovelError" in error.message
    assert "secret" not in error.message
