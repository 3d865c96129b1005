"""From every exception that the vendor's client, or what it stands on, can raise to an error of the core. Pure.

The table below names each class once; a class that it does not name is treated as the nearest one above it. What the
service itself says is read by `kickai_hf.verdicts`.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx2
from huggingface_hub import errors as hub
from kickai_providers_core import errors

from kickai_hf import verdicts

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
    rule = next(_RULES[kind] for kind in type(exc).__mro__ if kind in _RULES)
    error = rule(exc, patience, answering)
    error.__cause__ = _copy(exc)
    return error


def _copy(exc: Exception) -> Exception | None:
    if isinstance(exc, (ValueError, hub.HfHubHTTPError, hub.TextGenerationError)):
        return None
    try:
        return type(exc)(*exc.args)
    except TypeError:  # a class that wants more than a message
        return None


def _always(kind: type[errors.ProviderError], told: str) -> Rule:
    return lambda _exc, _patience, _answering: kind(told)


def _timeout(exc: Exception, patience: Patience, _answering: bool) -> errors.ProviderError:
    phase = (patience.connect if isinstance(exc, httpx2.ConnectTimeout) else patience.wait).phase
    told = {
        "connect": "no connection in time",
        "first_token": "no first token in time",
        "idle": "the stream fell silent",
        "total": "no answer in time",
    }
    return errors.ProviderTimeoutError(told[phase], phase=phase)


def _no_connection(exc: BaseException, _patience: Patience, _answering: bool) -> errors.ProviderError:
    reason: BaseException | None = exc
    while reason is not None and not isinstance(reason, ssl.SSLCertVerificationError):
        reason = reason.__cause__ or reason.__context__
    told = "no connection to the service" if reason is None else "the service's certificate cannot be verified"
    return errors.ProviderUnavailableError(told)


def _broken_protocol(_exc: Exception, _patience: Patience, answering: bool) -> errors.ProviderError:
    if answering:
        return errors.InvalidReplyError("the answer was cut")
    return errors.ProviderUnavailableError("the connection ended without an answer in HTTP")


def _status(exc: Any, _patience: Patience, _answering: bool) -> errors.ProviderError:
    try:
        body = exc.response.content
    except httpx2.ResponseNotRead:
        body = (getattr(exc, "server_message", None) or "").encode()
    return verdicts.from_response(exc.response.status_code, exc.response.headers, body)


def _generation(otherwise: type[errors.ProviderError]) -> Rule:
    """Return the rule of an error that TGI told: in a response, which is its cause then, or in a stream."""

    def rule(exc: Any, patience: Patience, answering: bool) -> errors.ProviderError:
        if isinstance(exc.__cause__, hub.HfHubHTTPError):
            return _status(exc.__cause__, patience, answering)
        return verdicts.from_document({"error": exc.args[0] if exc.args else None}, otherwise)

    return rule


_MALFORMED = _always(errors.InvalidReplyError, "the answer cannot be read: it is no JSON, or not what was expected")
_BROKEN = _always(errors.ProviderUnavailableError, "the connection to the service broke")
_CLOSED = _always(errors.ProviderUnavailableError, "the client was closed, or is broken")

_RULES: dict[type[BaseException], Rule] = {
    # The vendor's client.
    hub.HfHubHTTPError: _status,
    hub.InferenceTimeoutError: _timeout,
    hub.TextGenerationError: _generation(errors.ProviderUnavailableError),
    hub.ValidationError: _generation(errors.InvalidRequestError),
    hub.GenerationError: _generation(errors.ProviderUnavailableError),
    hub.OverloadedError: _generation(errors.RateLimitedError),
    hub.IncompleteGenerationError: _generation(errors.InvalidReplyError),
    hub.UnknownError: _generation(errors.ProviderUnavailableError),
    hub.OfflineModeIsEnabled: _always(
        errors.ProviderUnavailableError, "HF_HUB_OFFLINE forbids to ask Hugging Face; a base_url can still be asked"
    ),
    hub.LocalTokenNotFoundError: _always(errors.AuthenticationError, "there is no token"),
    hub.HFValidationError: _always(errors.ModelNotFoundError, "this is no name of a model"),
    # What it sends with.
    httpx2.HTTPStatusError: _status,
    httpx2.HTTPError: _BROKEN,
    httpx2.TimeoutException: _timeout,
    httpx2.ConnectError: _no_connection,
    httpx2.ProxyError: _always(errors.ProviderUnavailableError, "the proxy does not let us through"),
    httpx2.RemoteProtocolError: _broken_protocol,
    httpx2.DecodingError: _MALFORMED,
    httpx2.InvalidURL: _always(errors.ProviderUnavailableError, "the service's address cannot be read"),
    httpx2.CookieConflict: _CLOSED,
    httpx2.StreamError: _CLOSED,
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
