"""The meaning of each exception of the common HTTP clients, by name, without importing any of them."""

from __future__ import annotations

import errno
import ssl
from enum import IntEnum

__all__ = ["Kind", "kind_of"]


class Kind(IntEnum):
    """What an exception means. Of several behind one failure, the lowest is the most specific."""

    UNTRUSTED = 1
    MISCONFIGURED = 2
    CONNECT_TIMEOUT = 3
    TIMEOUT = 4
    PROXY = 5
    UNREACHED = 6
    UNREADABLE = 7
    BROKEN = 8


_BY_NAME: dict[Kind, tuple[str, ...]] = {
    Kind.UNTRUSTED: ("ssl.SSLCertVerificationError", "aiohttp.ClientConnectorCertificateError"),
    Kind.MISCONFIGURED: (
        "builtins.ImportError",
        "httpx.InvalidURL",
        "httpx.UnsupportedProtocol",
        "httpx.LocalProtocolError",
        "httpcore.UnsupportedProtocol",
        "httpcore.LocalProtocolError",
        "requests.InvalidURL",
        "requests.InvalidSchema",
        "requests.MissingSchema",
        "requests.InvalidProxyURL",
        "requests.InvalidHeader",
        "urllib3.LocationValueError",
        "urllib3.URLSchemeUnknown",
        "urllib3.ProxySchemeUnknown",
        "urllib3.ProxySchemeUnsupported",
        "aiohttp.InvalidURL",
    ),
    Kind.CONNECT_TIMEOUT: (
        "httpx.ConnectTimeout",
        "httpx.PoolTimeout",
        "httpcore.ConnectTimeout",
        "httpcore.PoolTimeout",
        "requests.ConnectTimeout",
        "urllib3.ConnectTimeoutError",
        "aiohttp.ConnectionTimeoutError",
    ),
    Kind.TIMEOUT: (
        "httpx.TimeoutException",
        "httpcore.TimeoutException",
        "requests.Timeout",
        "urllib3.TimeoutError",
        "aiohttp.ServerTimeoutError",
        "builtins.TimeoutError",
    ),
    Kind.PROXY: (
        "httpx.ProxyError",
        "httpcore.ProxyError",
        "requests.ProxyError",
        "urllib3.ProxyError",
        "aiohttp.ClientProxyConnectionError",
    ),
    Kind.UNREACHED: (
        "httpx.ConnectError",
        "httpcore.ConnectError",
        "requests.SSLError",
        "urllib3.NewConnectionError",
        "urllib3.SSLError",
        "aiohttp.ClientConnectorError",
        "builtins.ConnectionRefusedError",
        "socket.gaierror",
        "ssl.SSLError",
    ),
    Kind.UNREADABLE: (
        "httpx.DecodingError",
        "requests.ContentDecodingError",
        "requests.JSONDecodeError",
        "urllib3.DecodeError",
        "aiohttp.ContentTypeError",
        "json.JSONDecodeError",
        "builtins.UnicodeDecodeError",
    ),
    Kind.BROKEN: (
        "httpx.TransportError",
        "httpx.StreamError",
        "httpcore.NetworkError",
        "httpcore.ProtocolError",
        "requests.ConnectionError",
        "requests.ChunkedEncodingError",
        "urllib3.ProtocolError",
        "aiohttp.ClientError",
        "http.HTTPException",
        "h11.RemoteProtocolError",
        "builtins.ConnectionError",
    ),
}

_NAMES = {name: kind for kind, names in _BY_NAME.items() for name in names}

_PACKAGES = {"httpx2": "httpx", "httpcore2": "httpcore", "_ssl": "ssl", "_socket": "socket"}
"""Forks with the same class names, and modules of the standard library."""

_UNREACHED = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL, errno.ECONNREFUSED}
)


def kind_of(exc: BaseException) -> Kind | None:
    """Return what an exception means, by its class or the nearest base class; None when unknown."""
    if isinstance(exc, OSError) and exc.errno in _UNREACHED:
        return Kind.UNREACHED
    if isinstance(exc, OSError) and exc.errno == errno.ETIMEDOUT:  # the system's own timeout, in any phase
        return Kind.BROKEN
    if isinstance(exc, (ssl.SSLWantReadError, ssl.SSLWantWriteError)):  # these only mean that no data has arrived yet
        return None
    for cls in type(exc).__mro__:
        package = cls.__module__.partition(".")[0]
        kind = _NAMES.get(f"{_PACKAGES.get(package, package)}.{cls.__name__}")
        if kind is not None:
            return kind
    return None
