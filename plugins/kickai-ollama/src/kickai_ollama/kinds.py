"""What each exception that the ollama client raises or lets through is about: data, by name, importing nothing."""

from __future__ import annotations

from enum import Enum

__all__ = ["KINDS", "Kind", "kind_of"]


class Kind(Enum):
    """What an exception is about."""

    LATE = "late"
    UNREACHED = "unreached"
    BROKEN = "broken"
    CUT = "cut"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    ENDLESS = "endless"
    MISUSED = "misused"


KINDS = {
    # The clock
    "httpx.TimeoutException": Kind.LATE,
    "httpx.ConnectTimeout": Kind.LATE,
    "httpx.ReadTimeout": Kind.LATE,
    "httpx.WriteTimeout": Kind.LATE,
    "httpx.PoolTimeout": Kind.LATE,
    "builtins.TimeoutError": Kind.LATE,
    # No connection. The client turns httpx's ConnectError into the builtin ConnectionError, but not for streams.
    "builtins.ConnectionError": Kind.UNREACHED,
    "httpx.ConnectError": Kind.UNREACHED,
    "httpx.ProxyError": Kind.UNREACHED,
    "httpx.UnsupportedProtocol": Kind.UNREACHED,
    "httpx.InvalidURL": Kind.UNREACHED,
    # A connection that broke, or that speaks another language
    "httpx.HTTPError": Kind.BROKEN,
    "httpx.RequestError": Kind.BROKEN,
    "httpx.TransportError": Kind.BROKEN,
    "httpx.NetworkError": Kind.BROKEN,
    "httpx.ReadError": Kind.BROKEN,
    "httpx.WriteError": Kind.BROKEN,
    "httpx.CloseError": Kind.BROKEN,
    "httpx.ProtocolError": Kind.BROKEN,
    "httpx.LocalProtocolError": Kind.BROKEN,
    "httpx.RemoteProtocolError": Kind.CUT,
    "httpx.StreamError": Kind.BROKEN,
    "httpx.StreamClosed": Kind.BROKEN,
    "httpx.StreamConsumed": Kind.BROKEN,
    "httpx.RequestNotRead": Kind.BROKEN,
    "httpx.ResponseNotRead": Kind.BROKEN,
    # The server's no
    "ollama.ResponseError": Kind.REFUSED,
    "httpx.HTTPStatusError": Kind.REFUSED,
    "httpx.TooManyRedirects": Kind.REFUSED,
    # An answer that is none
    "json.JSONDecodeError": Kind.UNREADABLE,
    "pydantic_core.ValidationError": Kind.UNREADABLE,
    "builtins.UnicodeDecodeError": Kind.UNREADABLE,
    "builtins.ValueError": Kind.UNREADABLE,
    "builtins.AttributeError": Kind.UNREADABLE,
    "builtins.TypeError": Kind.UNREADABLE,
    "builtins.RecursionError": Kind.UNREADABLE,
    "httpx.DecodingError": Kind.UNREADABLE,
    "httpx.CookieConflict": Kind.UNREADABLE,
    "kickai_ollama.OversizedReplyError": Kind.ENDLESS,
    # The client's own no, before it sends anything
    "ollama.RequestError": Kind.MISUSED,
}
"""Every exception class that the client raises or lets through, by its top-level package and name."""


def kind_of(exc: Exception) -> Kind | None:
    """Return what an exception is about: as its own class says, or the nearest one above it."""
    names = (f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(exc).__mro__)
    return next((KINDS[name] for name in names if name in KINDS), None)
