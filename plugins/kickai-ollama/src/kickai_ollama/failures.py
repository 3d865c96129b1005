"""Every way in which a call of the ollama client fails, translated into the core's errors. Pure.

The client's errors hold the body of the answer, and its frames the prompt: none of them becomes the cause of one of
ours. What does is the operating system's own word (``Connection refused``), without its traceback.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

import ollama
from attrs import frozen
from kickai_providers_core import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
)
from kickai_providers_core.authoring import error_for_exception, error_for_status, longest_retry_after
from kickai_providers_core.authoring.statuses import refused_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import Secret
    from kickai_providers_core.authoring import AttemptTimeouts

    from kickai_ollama.address import Address
    from kickai_ollama.exchange import Exchange
    from kickai_ollama.settings import OllamaSettings

__all__ = ["Scene", "says_missing", "translate"]

UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What the client raises over an answer in another form; pydantic's errors are among them."""

REDIRECT = 300
"""The first status that is no success."""

SAID = {
    re.compile(r"rate limit|too many requests|usage limit", re.IGNORECASE): 429,
    re.compile(r"unauthorized|forbidden", re.IGNORECASE): 401,
}
"""The status that words mean which came without one, in a stream that had begun."""

SPENT = re.compile(r"usage limit|quota|credit", re.IGNORECASE)
"""How ollama.com says that an account has used up what it has, rather than that it asks too fast."""

TOO_LITTLE_MEMORY = re.compile(
    r"more system memory|out of (device )?memory|out_of_device_memory|outofmemory|malloc failed|failed to allocate"
    r"|allocation failed|not enough memory|insufficient memory",
    re.IGNORECASE,
)
"""What ``server/sched.go`` and ``llm/status.go`` of Ollama say of memory."""

SIZE = re.compile(r"\((\d+(?:\.\d+)? [KMGT]?i?B)\)")

TOO_LONG = re.compile(
    r"context (length|size|window)|exceed_context_size|longer than the context|input length", re.IGNORECASE
)
"""What Ollama, and the llama.cpp server below it, say of a prompt that does not fit."""

WINDOW = re.compile(r"(?:size|length|window) \((\d+) tokens\)")

BUSY = re.compile(r"server busy|maximum pending requests")

LACKING = re.compile(r"does not support (tools|thinking|chat|images|vision)")

ONE_MODEL = re.compile(r"\bmodel\b|subscription", re.IGNORECASE)
"""How a server says that the key is good, and this model is not for it."""

MISSING = re.compile(r"model.*not found|try pulling|model is required|invalid model name|file does not exist")
"""What the chat and pull handlers of Ollama say of a model that is not there."""


@frozen(kw_only=True)
class Scene:
    """Where and when a call failed.

    Attributes:
        address: The server.
        model: The model asked for.
        status: The HTTP status of the answer; None when there was none.
        headers: Its headers, names in lower case.
        timeouts: The time limits of the attempt.
        failure: What the network raised, or None.
        api_key: Removed from the service's own words.
        expose: Whether the error carries them.
        key_withheld: Whether there is a key that may not be sent there.
    """

    address: Address
    model: str
    status: int | None
    headers: Mapping[str, str]
    timeouts: AttemptTimeouts
    failure: Exception | None = None
    api_key: Secret | None = None
    expose: bool = False
    key_withheld: bool = False

    @classmethod
    def of(cls, settings: OllamaSettings, model: str, exchange: Exchange) -> Self:
        """Return where and when an exchange failed."""
        return cls(
            address=settings.address,
            model=model,
            status=exchange.status,
            headers=exchange.headers,
            timeouts=exchange.timeouts,
            failure=exchange.failure,
            api_key=settings.api_key,
            expose=settings.expose_service_messages,
            key_withheld=bool(settings.api_key) and settings.sendable_key is None,
        )

    @property
    def retry_after_s(self) -> float | None:
        """The seconds for which the server asks to be left alone; None when it does not."""
        return longest_retry_after(self.headers)


def translate(exc: Exception, scene: Scene) -> ProviderError:
    """Return the error that stands for an exception of the client's, with the cause that it may show."""
    if isinstance(exc, ProviderError):
        return exc
    status = scene.status or 0
    is_refusal = isinstance(exc, ollama.ResponseError)
    if scene.failure is None and (is_refusal or (status >= REDIRECT and isinstance(exc, UNREADABLE))):
        error = _refused(_words(exc), scene)
        error.status_code = status if status >= REDIRECT else None
        if scene.expose:
            error.service_message = _exposed(exc, scene)
    elif scene.failure is None and status and isinstance(exc, UNREADABLE):
        error = InvalidReplyError("the answer cannot be read: it is not in the form of Ollama's protocol")
    elif isinstance(exc, ollama.RequestError):
        error = UnsupportedRequestError("the ollama client refused the request")
    else:
        error = _failed(scene.failure or exc, scene)
    error.request_id = scene.headers.get("x-request-id")
    return error


def says_missing(exc: Exception) -> bool:
    """Say whether an exception of the client's means that the server does not have the model."""
    return isinstance(exc, ollama.ResponseError) and MISSING.search(_words(exc)) is not None


def _failed(exc: Exception, scene: Scene) -> ProviderError:
    """Return the error of a connection that failed, in the words of someone who runs a server."""
    url = scene.address.url
    error = error_for_exception(exc, url=url, phase=scene.timeouts.phase, has_begun=bool(scene.status), environ={})
    if isinstance(error, ProviderTimeoutError):
        return _late(scene)
    if isinstance(error, ProviderUnavailableError) and not error.reached:
        why = f" ({_why(error.__cause__)})" if error.__cause__ else ""
        words = f"no Ollama server answers at {url}{why}: {_how_to_start(scene.address)}"
        unreached = ProviderUnavailableError(words, reached=False)
        unreached.__cause__ = error.__cause__
        return unreached
    return error


def _why(cause: BaseException) -> str:
    return (isinstance(cause, OSError) and cause.strerror) or type(cause).__name__


def _exposed(exc: Exception, scene: Scene) -> str:
    secrets = [scene.api_key.reveal()] if scene.api_key else []
    return error_for_status(400, body=_words(exc), expose=True, secrets=secrets).service_message


def _words(exc: Exception) -> str:
    """Return what the server said. It goes into no message: it may quote the prompt."""
    told = getattr(exc, "error", "")
    if isinstance(told, dict):
        told = told.get("message", "")
    return told if isinstance(told, str) else ""


def _late(scene: Scene) -> ProviderTimeoutError:
    phase, bound_s = scene.timeouts.phase, scene.timeouts.limit_s
    told = {
        "connect": f"no connection to {scene.address.url} within {bound_s:g} s: {_how_to_start(scene.address)}",
        "first_token": f"no first token within {bound_s:g} s: the model may still be loading",
        "idle": f"the stream fell silent for {bound_s:g} s",
        "total": f"no answer within {bound_s:g} s",
    }
    return ProviderTimeoutError(told[phase], phase=phase)


def _how_to_start(address: Address) -> str:
    if address.on_this_machine:
        return "start it with `ollama serve`"
    return "start it there with `OLLAMA_HOST=0.0.0.0 ollama serve`, or correct host"


def _refused(words: str, scene: Scene) -> ProviderError:
    """Return the error that the server's no means: by its status, and among those with one status by its words."""
    status = scene.status or 0
    if status < REDIRECT:  # told in a stream, or in a body that came with a success
        status = next((code for pattern, code in SAID.items() if pattern.search(words)), 500)
    if status == 403 and ONE_MODEL.search(words):  # noqa: PLR2004
        return ModelNotFoundError(f"the server does not serve {scene.model} to this account")
    if status in {401, 403}:
        why = (
            ": api_key is not sent over plain HTTP; use https://"
            if scene.key_withheld
            else ": check api_key, or sign in there with `ollama signin`"
        )
        return AuthenticationError(f"the server refuses access{why}")
    if status == 402 or (status == 429 and SPENT.search(words)):  # noqa: PLR2004
        return QuotaExhaustedError("the account's usage is spent", retry_after_s=scene.retry_after_s)
    if status == 429:  # noqa: PLR2004
        return RateLimitedError("the server limits requests", retry_after_s=scene.retry_after_s)
    if status < 400:  # noqa: PLR2004
        return ProviderUnavailableError(
            f"{scene.address.url} redirects elsewhere, and prompts go nowhere but there: set host to the new address"
        )
    return _unable(words, status, scene)


def _unable(words: str, status: int, scene: Scene) -> ProviderError:
    """Return the error of a server that lets us in but cannot do what is asked."""
    model = scene.model
    if TOO_LITTLE_MEMORY.search(words):
        sizes = SIZE.findall(words)
        told = f" (it needs {sizes[0]}, there are {sizes[1]})" if len(sizes) == 2 else ""  # noqa: PLR2004
        return ProviderUnavailableError(
            f"the server is out of memory for {model}{told}: use a smaller model or a smaller context_window"
        )
    if TOO_LONG.search(words):
        limit = WINDOW.search(words)
        return ContextLengthExceededError(
            f"the prompt does not fit the window that the server gives {model}",
            limit_tokens=int(limit[1]) if limit else None,
        )
    lacking = LACKING.search(words)
    if lacking:
        return UnsupportedRequestError(f"{model} does not support {lacking[1]}")
    if MISSING.search(words):
        return ModelNotFoundError(f"{model} is not pulled: get it with `ollama pull {model}`")
    if status in {404, 405, 410}:
        return ModelNotFoundError(f"{scene.address.url} knows no /api/chat: is it an Ollama server?")
    if status < 500 and status not in {408, 425, 499}:  # noqa: PLR2004
        return UnsupportedRequestError(f"the server does not accept this request{refused_parameter(words)}")
    told = "the server's queue is full" if BUSY.search(words) else "the server failed: its log may say why"
    return ProviderUnavailableError(told, retry_after_s=scene.retry_after_s)
