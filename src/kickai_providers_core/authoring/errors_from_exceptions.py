"""Errors of the core for the exceptions that HTTP clients raise.

Exceptions of httpx, httpx2, httpcore, requests, urllib3, aiohttp, ssl and socket are recognised by the names of their
classes, so nothing is imported. No error made here quotes a service, a prompt, a key or a header. Its cause is at most
what the operating system reported, as a new exception without frames.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from enum import IntEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kickai_providers_core.authoring.network_environment import network_problems
from kickai_providers_core.plugin_api.attempt_timer import TIMEOUT_MESSAGES
from kickai_providers_core.values.errors import (
    InvalidReplyError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    UnusableProviderError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kickai_providers_core.authoring.network_environment import NetworkClient
    from kickai_providers_core.values.errors import TimeoutPhase

__all__ = ["classify_exception", "error_for_exception", "system_cause"]

MOST_BEHIND = 100
"""The most exceptions that are examined behind one."""

WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)

NO_HANDLES = frozenset({errno.EMFILE, errno.ENFILE})


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


def classify_exception(exc: BaseException) -> Kind | None:
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


def error_for_exception(
    exc: BaseException,
    *,
    url: str = "",
    phase: TimeoutPhase = "total",
    has_begun: bool = False,
    client: NetworkClient = "httpx",
    environ: Mapping[str, str] | None = None,
) -> ProviderError:
    """Return the error for an exception that a client raised.

    ================================================  ==================================================
    what happened                                     error
    ================================================  ==================================================
    already a `ProviderError`                         itself
    too many open files; a certificate that is not    `UnusableProviderError`, naming the variable, file
    trusted; a file or package that is missing; an    or setting and what to do
    invalid address or proxy variable
    a timeout                                         `ProviderTimeoutError` with its phase
    refused, unknown host, TLS, proxy                 `ProviderUnavailableError`, ``reached=False``
    the connection broke before an answer             `ProviderUnavailableError`
    the connection broke within an answer             `InvalidReplyError`
    a body that cannot be decoded                     `InvalidReplyError`
    anything else                                     `ProviderUnavailableError`, naming the class
    ================================================  ==================================================

    Args:
        exc: What the client raised. It is not changed.
        url: The address of the service, for the message; a user name and password in it are left out.
        phase: The limit that was running, for a timeout other than one of connecting.
        has_begun: Whether the head of an answer with a success status has arrived.
        client: Whose variables for proxies and certificates may be the reason.
        environ: The environment; None for that of this process.
    """
    if isinstance(exc, ProviderError):
        return exc
    behind = tuple(_find_causes(exc))
    error = _find_local_error(behind, url, client, environ) or _build_remote_error(
        behind, url, phase, has_begun=has_begun
    )
    error.__cause__ = system_cause(exc)
    return error


def system_cause(exc: BaseException) -> OSError | None:
    """Return the error that the operating system reported, as a new exception without frames or file names; or None."""
    found = _find_system_error(_find_causes(exc))
    if found is None or found.errno is None:
        return None
    if isinstance(found, socket.gaierror):
        return socket.gaierror(found.errno, found.strerror)
    if isinstance(found, ssl.SSLError):
        return ssl.SSLError(found.errno, _get_tls_reason(found))
    return OSError(found.errno, os.strerror(found.errno))


def _find_causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those behind it, nearest first, each once: causes may form a circle."""
    seen: set[int] = set()
    waiting: list[object] = [exc]
    while waiting and len(seen) < MOST_BEHIND:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, None if each.__suppress_context__ else each.__context__]
        # Where urllib3, requests and aiohttp put the exception that is the reason of theirs.
        waiting += [getattr(each, name, None) for name in ("reason", "os_error", "certificate_error")]
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else each.args


def _find_system_error(behind: Iterable[BaseException]) -> OSError | None:
    """Return the nearest error with a number, except those by which a non-blocking socket asks to wait."""
    numbered = (each for each in behind if isinstance(each, OSError) and each.errno is not None)
    return next((each for each in numbered if not isinstance(each, WAITING)), None)


def _find_local_error(
    behind: tuple[BaseException, ...], url: str, client: NetworkClient, environ: Mapping[str, str] | None
) -> ProviderError | None:
    """Return the error for a fault of this machine, or None."""
    kinds = [classify_exception(each) for each in behind]
    if any(isinstance(each, OSError) and each.errno in NO_HANDLES for each in behind):
        return UnusableProviderError("too many open files: raise the limit (ulimit -n), or run fewer requests at once")
    if any(isinstance(each, RuntimeError) and "start new thread" in str(each) for each in behind):
        return UnusableProviderError("no more threads can be started: raise the limit (ulimit -u)")
    if Kind.UNTRUSTED in kinds or any("CERTIFICATE_VERIFY_FAILED" in str(each) for each in behind if _is_tls(each)):
        return _build_certificate_error(behind, url)
    if Kind.MISCONFIGURED not in kinds and not any(map(_is_file_fault, behind)):
        return None
    problems = network_problems(environ, url=url, client=client)
    if problems:
        return UnusableProviderError(str(problems[0]).rstrip("."))
    missing = next(filter(_is_file_fault, behind), None)
    if isinstance(missing, OSError):
        return UnusableProviderError(f"{missing.filename or 'a file'} cannot be read ({_get_message(missing)})")
    package = next((each for each in behind if isinstance(each, ImportError)), None)
    if package is not None:
        named = f": {package.name}" if package.name else ""
        return UnusableProviderError(f"a package cannot be imported{named}")
    return UnusableProviderError(f"the address or a header cannot be used{_format_url(url)}: check the settings")


def _build_remote_error(
    behind: tuple[BaseException, ...], url: str, phase: TimeoutPhase, *, has_begun: bool
) -> ProviderError:
    kinds = [kind for kind in map(classify_exception, behind) if kind is not None]
    system = _find_system_error(behind)
    kind = min(kinds, default=None, key=lambda each: each.value)
    if kind is Kind.CONNECT_TIMEOUT or (kind is Kind.UNREACHED and system and system.errno == errno.ETIMEDOUT):
        return ProviderTimeoutError(f"{TIMEOUT_MESSAGES['connect']}{_format_url(url)}", phase="connect")
    if kind is Kind.TIMEOUT:
        return ProviderTimeoutError(f"{TIMEOUT_MESSAGES[phase]}{_format_url(url)}", phase=phase)
    if kind is Kind.PROXY:
        return ProviderUnavailableError(f"the proxy refused or could not be reached{_format_url(url)}", reached=False)
    if kind is Kind.UNREACHED and not has_begun:
        why = f" ({_get_message(system)})" if system else ""
        return ProviderUnavailableError(f"the service cannot be reached{_format_url(url)}{why}", reached=False)
    if kind is Kind.UNREADABLE:
        return InvalidReplyError("the answer cannot be read: it is not in the expected form")
    if kind in {Kind.BROKEN, Kind.UNREACHED}:
        if has_begun:
            return InvalidReplyError("the answer was cut: the connection ended in the middle of it")
        return ProviderUnavailableError(f"the service hung up, or does not speak HTTP{_format_url(url)}")
    return ProviderUnavailableError(f"the client failed with {type(behind[0]).__name__}")


def _build_certificate_error(behind: tuple[BaseException, ...], url: str) -> ProviderError:
    words = next(filter(None, (getattr(each, "verify_message", "") for each in behind)), "")
    why = f" ({words})" if words else ""
    return UnusableProviderError(
        f"the certificate of the service is not trusted{_format_url(url)}{why}: put the authority's into SSL_CERT_FILE"
    )


def _is_tls(exc: BaseException) -> bool:
    return isinstance(exc, ssl.SSLError) or "SSL" in type(exc).__name__ or "Connect" in type(exc).__name__


def _is_file_fault(exc: BaseException) -> bool:
    """Return whether a file is missing or cannot be read; requests reports it as an OSError without a number."""
    if not isinstance(exc, OSError) or isinstance(exc, (ssl.SSLError, socket.gaierror)):
        return False  # their numbers are of other kinds: SSL_ERROR_WANT_READ is ENOENT's 2
    if exc.errno in {errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR}:
        return True
    return exc.errno is None and "CA certificate bundle" in str(exc)


def _get_message(exc: OSError) -> str:
    """Return the system's message: asyncio replaces it, and resolvers and TLS have numbers of their own."""
    if isinstance(exc, ssl.SSLError):
        return _get_tls_reason(exc)
    if isinstance(exc, socket.gaierror) or exc.errno is None:
        return exc.strerror or type(exc).__name__
    return os.strerror(exc.errno)


def _get_tls_reason(exc: ssl.SSLError) -> str:
    """Return OpenSSL's name for what went wrong; only errors that OpenSSL itself raised have one."""
    return getattr(exc, "reason", None) or "TLS failed"


def _format_url(url: str) -> str:
    """Return the address as a part of a sentence, without a user name, password, path or query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f" at {parts.scheme}://{shown}{f':{port}' if port else ''}"
