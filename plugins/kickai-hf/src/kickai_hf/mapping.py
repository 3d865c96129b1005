"""Map every exception of the HTTP client, and of what it is built on, to an error of the core. Pure.

The table below names each class once; a class that it does not name is treated as the nearest one above it. What the
service itself says is read by `kickai_hf.verdicts`.
"""

from __future__ import annotations

import errno
import json
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpcore2
from kickai_providers_core.values import errors

if TYPE_CHECKING:
    from kickai_hf.patience import Patience

__all__ = ["from_exception"]

Rule = Callable[[Any, "Patience", bool], errors.ProviderError]


def from_exception(exc: Exception, patience: Patience, *, answering: bool) -> errors.ProviderError:
    """Return the error that an exception means.

    Its cause is a copy of the exception, without the traceback: the frames there hold the headers and the body of the
    request. There is no cause where the exception itself may hold a part of the answer.

    Args:
        exc: What was raised.
        patience: The bounds of the attempt; they know which one ran out.
        answering: Whether the service had begun to answer with success.
    """
    if isinstance(exc, errors.ProviderError):
        return exc.with_traceback(None)
    local = _local_fault(exc)
    if local is not None:
        return local
    rule = next(_RULES[kind] for kind in type(exc).__mro__ if kind in _RULES)
    error = rule(exc, patience, answering)
    error.__cause__ = _copy(exc)
    return error


def _copy(exc: Exception) -> Exception | None:
    if isinstance(exc, ValueError):
        return None
    try:
        return type(exc)(*exc.args)
    except TypeError:  # a class that wants more than a message
        return None


def _always(kind: type[errors.ProviderError], told: str) -> Rule:
    return lambda _exc, _patience, _answering: kind(told)


def _timeout(exc: Exception, patience: Patience, _answering: bool) -> errors.ProviderError:
    phase = (patience.connect if isinstance(exc, httpcore2.ConnectTimeout) else patience.wait).phase
    told = {
        "connect": "no connection in time",
        "first_token": "no first token in time",
        "idle": "the stream fell silent",
        "total": "no answer in time",
    }
    return errors.ProviderTimeoutError(told[phase], phase=phase)


def _no_connection(_exc: BaseException, _patience: Patience, _answering: bool) -> errors.ProviderError:
    return errors.ProviderUnavailableError("no connection to the service", reached=False)


def _local_fault(exc: BaseException) -> errors.ProviderError | None:
    """Return the error for a fault of this machine, wherever it is among the causes of an exception."""
    seen: set[int] = set()
    reason: BaseException | None = exc
    while reason is not None and id(reason) not in seen:  # a cause may lead back to its effect
        seen.add(id(reason))
        if isinstance(reason, ssl.SSLCertVerificationError):
            return errors.UnusableProviderError(
                "the service's certificate is not trusted: name its authority's certificate in SSL_CERT_FILE"
            )
        if isinstance(reason, OSError) and reason.errno in {errno.EMFILE, errno.ENFILE}:
            return errors.UnusableProviderError(
                "too many open files: raise the limit (ulimit -n), or send fewer requests"
            )
        if isinstance(reason, RuntimeError) and "start new thread" in str(reason):
            return errors.UnusableProviderError("no more threads can be started: raise the limit (ulimit -u)")
        if isinstance(reason, ImportError):
            return errors.UnusableProviderError(f"the module {reason.name or 'of a dependency'} cannot be imported")
        reason = reason.__cause__ or reason.__context__
    return None


def _broken_protocol(_exc: Exception, _patience: Patience, answering: bool) -> errors.ProviderError:
    if answering:
        return errors.InvalidReplyError("the answer was cut")
    return errors.ProviderUnavailableError("the connection ended without an answer in HTTP")


_MALFORMED = _always(errors.InvalidReplyError, "the answer cannot be read: it is no JSON, or not what was expected")
_BROKEN = _always(errors.ProviderUnavailableError, "the connection to the service broke")
_CLOSED = _always(errors.ProviderUnavailableError, "the client was closed, or is broken")

_RULES: dict[type[BaseException], Rule] = {
    # What it sends with.
    httpcore2.NetworkError: _BROKEN,
    httpcore2.ProtocolError: _BROKEN,
    httpcore2.UnsupportedProtocol: _BROKEN,
    httpcore2.TimeoutException: _timeout,
    httpcore2.ConnectError: _no_connection,
    httpcore2.ProxyError: lambda _exc, _patience, _answering: errors.ProviderUnavailableError(
        "the proxy refuses to connect to the service", reached=False
    ),
    httpcore2.RemoteProtocolError: _broken_protocol,
    # What it leaks: its parsers are not prepared for an answer of another shape.
    json.JSONDecodeError: _MALFORMED,
    ValueError: _MALFORMED,
    AttributeError: _MALFORMED,
    LookupError: _MALFORMED,
    TypeError: _MALFORMED,
    RecursionError: _MALFORMED,
    # And what lies below.
    TimeoutError: _timeout,
    ssl.SSLError: _no_connection,
    OSError: _BROKEN,
    RuntimeError: _CLOSED,
    Exception: lambda exc, _patience, _answering: errors.ProviderUnavailableError(
        f"the client failed with an error of its own: {type(exc).__name__}"
    ),
}
