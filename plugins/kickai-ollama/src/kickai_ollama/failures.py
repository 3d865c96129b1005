"""Every way in which a call of the ollama client fails, translated into the core's errors. Pure.

The client's errors hold the body of the answer, and its frames the prompt: none of them becomes the cause of one of
ours. What does is the operating system's own word (``Connection refused``), without its traceback.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Self

from attrs import frozen
from kickai_providers_core import retry_after_s
from kickai_providers_core.errors import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidReplyError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
)

from kickai_ollama.kinds import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_ollama.address import Address
    from kickai_ollama.deadline import Deadline
    from kickai_ollama.exchange import Exchange
    from kickai_ollama.settings import OllamaSettings

__all__ = ["Scene", "says_missing", "translate"]


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
        deadline: The bounds of the attempt.
        key_withheld: Whether there is a key that may not be sent there.
    """

    address: Address
    model: str
    status: int | None
    headers: Mapping[str, str]
    deadline: Deadline
    key_withheld: bool = False

    @classmethod
    def of(cls, settings: OllamaSettings, model: str, exchange: Exchange) -> Self:
        """Return where and when an exchange failed."""
        return cls(
            address=settings.address,
            model=model,
            status=exchange.status,
            headers=exchange.headers,
            deadline=exchange.deadline,
            key_withheld=bool(settings.api_key) and settings.sendable_key is None,
        )

    @property
    def retry_after_s(self) -> float | None:
        """The seconds for which the server asks to be left alone; None when it does not."""
        return retry_after_s(self.headers.get("retry-after", ""))


def translate(exc: Exception, scene: Scene) -> ProviderError:
    """Return the error that stands for an exception of the client's, with the cause that it may show."""
    if isinstance(exc, ProviderError):
        return exc
    kind = kind_of(exc)
    status = scene.status or 0
    if kind is Kind.REFUSED or (kind is Kind.UNREADABLE and status >= REDIRECT):
        error = _refused(_words(exc), scene)
        error.status_code = status if status >= REDIRECT else None
    elif kind is Kind.LATE:
        error = _late(scene)
    elif kind is Kind.UNREACHED:
        error = _unreached(_root(exc), scene)
    elif kind is Kind.CUT and status:
        error = InvalidReplyError("the answer was cut: the connection ended in the middle of it")
    elif kind is Kind.UNREADABLE and status:
        error = InvalidReplyError("the answer cannot be read: it is not in the form of Ollama's protocol")
    elif kind is Kind.ENDLESS:
        error = InvalidReplyError("the answer is larger than any answer should be")
    elif kind is Kind.MISUSED:
        error = InvalidRequestError("the ollama client refused the request")
    elif kind in {Kind.BROKEN, Kind.CUT}:
        error = ProviderUnavailableError(f"{scene.address.url} hung up, or does not speak HTTP")
    else:
        error = ProviderUnavailableError(f"the ollama client failed with {type(exc).__name__}")
    error.request_id = scene.headers.get("x-request-id")
    error.__cause__ = _root(exc)
    return error


def says_missing(exc: Exception) -> bool:
    """Say whether an exception of the client's means that the server does not have the model."""
    return kind_of(exc) is Kind.REFUSED and MISSING.search(_words(exc)) is not None


def _root(exc: BaseException | None) -> OSError | None:
    """Return what the operating system said, when an exception goes back to that, bare of traceback and context."""
    while exc is not None:
        if isinstance(exc, OSError) and exc.errno is not None:
            exc.__traceback__ = exc.__cause__ = exc.__context__ = None
            return exc
        exc = exc.__cause__ or exc.__context__
    return None


def _words(exc: Exception) -> str:
    """Return what the server said. It goes into no message: it may quote the prompt."""
    told = getattr(exc, "error", "")
    if isinstance(told, dict):
        told = told.get("message", "")
    return told if isinstance(told, str) else ""


def _late(scene: Scene) -> ProviderTimeoutError:
    phase, bound_s = scene.deadline.phase, scene.deadline.bound_s
    told = {
        "connect": f"no connection to {scene.address.url} within {bound_s:g} s: {_how_to_start(scene.address)}",
        "first_token": f"no first token within {bound_s:g} s: the model may still be loading",
        "idle": f"the stream fell silent for {bound_s:g} s",
        "total": f"no answer within {bound_s:g} s",
    }
    return ProviderTimeoutError(told[phase], phase=phase)


def _unreached(root: OSError | None, scene: Scene) -> ProviderUnavailableError:
    told = f"no Ollama server answers at {scene.address.url}{_why(root)}: {_how_to_start(scene.address)}"
    return ProviderUnavailableError(told, reached=False)


def _why(root: OSError | None) -> str:
    """Return the operating system's reason; asyncio puts words of its own in its place, resolvers and TLS do not."""
    if root is None or root.errno is None:
        return ""
    return f" ({root.strerror if isinstance(root, (socket.gaierror, ssl.SSLError)) else os.strerror(root.errno)})"


def _how_to_start(address: Address) -> str:
    if address.on_this_machine:
        return "start it with `ollama serve`"
    return "start it there with `OLLAMA_HOST=0.0.0.0 ollama serve`, or correct host"


def _refused(words: str, scene: Scene) -> ProviderError:
    """Return the error that the server's no means: by its status, and among those with one status by its words."""
    status = scene.status or 0
    if status < REDIRECT:  # told in a stream, or in a body that came with a success
        status = next((code for pattern, code in SAID.items() if pattern.search(words)), 500)
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
            f"the server is out of memory for {model}{told}: take a smaller model or a smaller context_window"
        )
    if status == 413:  # noqa: PLR2004  of a proxy before the server
        return ContextLengthExceededError(f"the prompt is larger than {scene.address.url} takes")
    if TOO_LONG.search(words):
        limit = WINDOW.search(words)
        return ContextLengthExceededError(
            f"the prompt does not fit the window that the server gives {model}",
            limit_tokens=int(limit[1]) if limit else None,
        )
    lacking = LACKING.search(words)
    if lacking:
        return ModelNotFoundError(f"{model} does not support {lacking[1]}", retry_after_s=0.0)
    if MISSING.search(words):
        return ModelNotFoundError(f"{model} is not pulled: get it with `ollama pull {model}`")
    if status in {404, 405, 410}:
        return ModelNotFoundError(f"{scene.address.url} knows no /api/chat: is it an Ollama server?")
    if status < 500 and status not in {408, 425, 499}:  # noqa: PLR2004
        return InvalidRequestError("the server refuses the request as malformed")
    told = "the server's queue is full" if BUSY.search(words) else "the server failed: its log may say why"
    return ProviderUnavailableError(told, retry_after_s=scene.retry_after_s)
