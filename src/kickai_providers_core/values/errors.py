"""The exception tree. The class of an error decides what happens next.

::

    KickaiError
    ├─ ArgumentTypeError              the caller passed a wrong type; nothing was sent
    ├─ ArgumentValueError             the caller passed a wrong value; nothing was sent
    ├─ ConfigError                    invalid settings, with every problem
    ├─ PluginError                    a plugin that cannot be used
    │  ├─ PluginLoadError
    │  └─ DuplicateProviderError
    ├─ UnknownProviderError           no plugin or instance has that name
    ├─ ProviderError                  one attempt failed
    │  ├─ TransientError              may work later, or elsewhere now
    │  │  ├─ RateLimitedError
    │  │  ├─ ProviderTimeoutError
    │  │  ├─ ProviderUnavailableError
    │  │  └─ InvalidReplyError
    │  ├─ UnusableProviderError       will not work here until something changes
    │  │  ├─ AuthenticationError
    │  │  ├─ QuotaExhaustedError
    │  │  └─ ModelNotFoundError
    │  ├─ UnsupportedRequestError     this target cannot do what the request needs; another may
    │  └─ RejectedRequestError        the request itself was refused
    │     ├─ InvalidRequestError
    │     ├─ ContextLengthExceededError
    │     └─ ContentFilteredError
    ├─ DeadlineExceededError          the request's deadline passed
    ├─ ChainExhaustedError            every target failed or was skipped; an ExceptionGroup
    └─ TurnLimitError                 a model still called tools in the last turn

Every class pickles with all its fields (but not its ``__cause__``, as usual for exceptions). No message and no
repr holds a prompt, a key, or an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from kickai_providers_core.values.base_errors import (
    ArgumentTypeError,
    ArgumentValueError,
    AttemptError,
    KickaiError,
)
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.problems import Problem
from kickai_providers_core.values.text_length_limits import NAME_LIMIT
from kickai_providers_core.values.trace import EMPTY_TRACE, EndsRequest, RequestTrace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kickai_providers_core.values.attempts import Attempt, Skip
    from kickai_providers_core.values.messages import Message

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "AuthenticationError",
    "ChainExhaustedError",
    "ConfigError",
    "ContentFilteredError",
    "ContextLengthExceededError",
    "DeadlineExceededError",
    "DuplicateProviderError",
    "InvalidReplyError",
    "InvalidRequestError",
    "KickaiError",
    "ModelNotFoundError",
    "PluginError",
    "PluginLoadError",
    "Problem",
    "ProviderError",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "QuotaExhaustedError",
    "RateLimitedError",
    "RejectedRequestError",
    "TimeoutPhase",
    "TransientError",
    "TurnLimitError",
    "UnknownProviderError",
    "UnsupportedRequestError",
    "UnusableProviderError",
]

TimeoutPhase = Literal["connect", "first_token", "idle", "total"]
"""The phase of an attempt that a timeout ended."""


class ConfigError(KickaiError, ValueError):
    """Invalid settings.

    Attributes:
        problems: Every problem found, in the order of the file.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("problems",)

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class PluginError(KickaiError):
    """A plugin that cannot be used.

    Attributes:
        plugin: The entry-point name, or the registered name, of the plugin.
        distribution: The distribution that contains it; empty if it was registered in code.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("plugin", "distribution")

    def __init__(self, message: str, *, plugin: str, distribution: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin
        self.distribution = distribution

    def __str__(self) -> str:
        origin = f"{self.plugin} (from {self.distribution})" if self.distribution else self.plugin
        return f"plugin {origin}: {self.args[0]}"


class PluginLoadError(PluginError, ImportError):
    """A plugin whose import, registration or description failed."""


class DuplicateProviderError(PluginError):
    """A plugin that claims a provider name or alias which another plugin has."""


class UnknownProviderError(KickaiError, LookupError):
    """No installed plugin, and no instance in the settings, has the name.

    Attributes:
        name: The requested name.
        known: The available names.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("name", "known")

    def __init__(self, message: str, *, name: str, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.known = tuple(known)


class ProviderError(EndsRequest, AttemptError):
    """One attempt at one target failed.

    A plugin raises the subclass that describes what should happen next. It may leave ``provider`` and ``model`` empty:
    the core fills them in.

    Attributes:
        message: What happened, in words that are safe to log.
        provider: The instance's name in the settings.
        model: The requested model, or None for the instance's own.
        status_code: The HTTP status of the service's answer, or None.
        request_id: The service's id of the request, or None.
        retry_after_s: Seconds, from 0, after which the service asks for the next attempt; None when it stated no delay
            or an invalid one (negative, NaN).
        service_message: The service's own message if ``expose_service_messages`` is true for the instance, else empty.
            At most 500 characters on one line. The plugin that sets it removes the key.
        may_retry: Whether the service says that it would answer the same request later; None when it does not say.
            False forbids retries of this request at the target, and changes nothing else.
        partial_text: The text that a stream had yielded before it failed; in no message and no repr.
        trace: What the request did, if this error ended it; otherwise empty. ``attempts``, ``skipped``,
            ``deadline_s`` and ``elapsed_s`` are read from it.
    """


class TransientError(ProviderError):
    """The attempt may work later, or at another target now."""


class RateLimitedError(TransientError):
    """Too many requests or tokens in a short window; ``retry_after_s`` is the time to wait."""


class ProviderTimeoutError(TransientError, TimeoutError):
    """The service did not answer in time.

    Attributes:
        phase: Which bound ran out: ``connect``, ``first_token``, ``idle`` or ``total``.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("phase",)

    def __init__(self, message: str, *, phase: TimeoutPhase = "total", **fields: Any) -> None:
        super().__init__(message, **fields)
        self.phase = phase


class ProviderUnavailableError(TransientError):
    """The service is down, overloaded or out of reach, or failed in a way that nothing else describes.

    Attributes:
        reached: False when no connection could be made at all (refused, unknown host, TLS), which says the same of
            every other model of that provider.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("reached",)

    def __init__(self, message: str, *, reached: bool = True, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.reached = reached


class InvalidReplyError(TransientError):
    """The service answered, but with nothing usable: malformed, empty or truncated.

    Attributes:
        due_to_request: True when this request is the reason, for example an answer that does not fit its JSON schema.
            Such a failure counts against no target's health, since other requests would be answered.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("due_to_request",)

    def __init__(self, message: str, *, due_to_request: bool = False, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.due_to_request = due_to_request


class UnusableProviderError(ProviderError):
    """The target cannot be used until something changes.

    Raised as itself for a fault of this machine rather than of the service: an import that fails, an invalid proxy URL,
    a missing CA file, a certificate that is not trusted, too many open files. The message names the variable or the
    file. The next target is called. Nothing is suspended, and no breaker counts it.
    """


class AuthenticationError(UnusableProviderError):
    """The key is missing, malformed, refused or not allowed to do this."""


class QuotaExhaustedError(UnusableProviderError):
    """The credit or the daily quota is used up; ``retry_after_s`` is the time until its reset, if stated."""


class ModelNotFoundError(UnusableProviderError):
    """The model does not exist, is retired, or is not served here."""


class UnsupportedRequestError(ProviderError):
    """This target cannot do what the request needs; another target may.

    Raise it for tools on a text-only server, a schema that the client cannot express, an image that it will not fetch,
    and for a refusal that the service does not explain (HTTP 400, 413 or 422): another vendor may accept the same
    request. The next target is called. Nothing is suspended, and no breaker counts it.
    """


class RejectedRequestError(ProviderError):
    """The service understood the request and rejected it."""


class InvalidRequestError(RejectedRequestError):
    """The request is invalid for every provider, as our own validation or the service's message shows."""


class ContextLengthExceededError(RejectedRequestError):
    """The prompt, or the prompt with the requested tokens, does not fit the model's context window.

    Attributes:
        limit_tokens: The size of the window in tokens, if the service stated it.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("limit_tokens",)

    def __init__(self, message: str, *, limit_tokens: int | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.limit_tokens = limit_tokens


class ContentFilteredError(RejectedRequestError):
    """The provider refused the prompt or withheld its answer.

    Attributes:
        reason: The provider's own term for the reason (``SAFETY``, ``RECITATION``, ``content_filter``, …).
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("reason",)

    def __init__(self, message: str, *, reason: str = "", **fields: Any) -> None:
        super().__init__(message, **fields)
        self.reason = clean_line(reason, NAME_LIMIT)


class DeadlineExceededError(EndsRequest, KickaiError, TimeoutError):
    """The request's deadline passed before any target answered.

    Attributes:
        trace: What the request did; the last attempt may have been cancelled. ``attempts``, ``skipped``,
            ``deadline_s`` and ``elapsed_s`` are read from it.
    """

    def __init__(
        self, *, deadline_s: float, elapsed_s: float, attempts: Sequence[Attempt] = (), skipped: Sequence[Skip] = ()
    ) -> None:
        self.trace = RequestTrace(attempts=attempts, skipped=skipped, deadline_s=deadline_s, elapsed_s=elapsed_s)
        steps = self.trace.summarize("no target was called")
        super().__init__(f"no answer within {deadline_s:g} s ({elapsed_s:.2f} s elapsed): {steps}")

    @classmethod
    def from_trace(cls, trace: RequestTrace) -> Self:
        """Return the error of a request whose deadline passed."""
        return cls(
            deadline_s=trace.deadline_s or 0.0,
            elapsed_s=trace.elapsed_s,
            attempts=trace.attempts,
            skipped=trace.skipped,
        )


class ChainExhaustedError(EndsRequest, KickaiError, ExceptionGroup[Exception]):
    """Every target failed or was skipped.

    The group holds one exception for each failed attempt, in order. If no target was called, it holds one `KickaiError`
    for each skipped target instead, since a group cannot be empty.

    Attributes:
        trace: What the request did. ``attempts``, ``skipped``, ``deadline_s`` and ``elapsed_s`` are read from it.
    """

    def __new__(cls, message: str, exceptions: Sequence[Exception] = (), **_fields: Any) -> Self:  # noqa: D102
        return super().__new__(cls, message, exceptions or (KickaiError("the chain is empty"),))

    def __init__(
        self, message: str, exceptions: Sequence[Exception] = (), *, trace: RequestTrace = EMPTY_TRACE
    ) -> None:
        super().__init__(message, exceptions)
        self.trace = trace

    @classmethod
    def from_trace(cls, trace: RequestTrace) -> Self:
        """Return the error of a request whose targets all failed or were skipped."""
        causes: list[Exception] = [attempt.error for attempt in trace.attempts if attempt.error is not None]
        causes = causes or [KickaiError(str(skip)) for skip in trace.skipped]
        return cls(f"no target could answer: {trace.summarize('the chain is empty')}", causes, trace=trace)

    def as_dict(self) -> dict[str, Any]:
        """Return the error as JSON, with each cause under ``causes``."""
        return {
            **super().as_dict(),
            "causes": [
                each.as_dict() if isinstance(each, KickaiError) else {"error": type(each).__name__, "message": ""}
                for each in self.exceptions
            ],
        }

    def _format_sentence(self) -> str:
        return self.message

    def derive(self, excs: Sequence[Exception]) -> ChainExhaustedError:  # type: ignore[override]
        """Return the same error with some of its causes, as ``except*`` and ``split`` need it."""
        return ChainExhaustedError(self.message, excs, trace=self.trace)


class TurnLimitError(KickaiError):
    """A model still called tools in the last turn that `Chain.run_tools` allows it.

    Attributes:
        max_turns: The limit.
        messages: The conversation so far, from which it can go on; in no message, no repr and no ``as_dict``.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("max_turns",)

    def __init__(self, message: str, *, max_turns: int, messages: tuple[Message, ...] = ()) -> None:
        super().__init__(message)
        self.max_turns = max_turns
        self.messages = messages
