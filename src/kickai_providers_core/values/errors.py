"""The exception tree: the class of an error *is* what happens next.

::

    KickaiError
    ├─ ArgumentTypeError              what the caller passed is wrong; nothing was sent; a TypeError
    ├─ ArgumentValueError             the same, a ValueError
    ├─ ConfigError                    settings that cannot be used; every problem at once
    ├─ PluginError                    a plugin that cannot be used
    │  ├─ PluginLoadError
    │  └─ DuplicateProviderError
    ├─ UnknownProviderError           no installed plugin has that name
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
    ├─ DeadlineExceededError          the time of the whole request is spent
    └─ ChainExhaustedError            every target failed or was skipped; an ExceptionGroup

Every class pickles with all its fields (but not its ``__cause__``, as usual for exceptions). No field ever
holds a prompt, a key, or the body of a service's answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from attrs import field, frozen

from kickai_providers_core.values.attempts import in_order
from kickai_providers_core.values.base_errors import ArgumentTypeError, ArgumentValueError, KickaiError, restore
from kickai_providers_core.values.jsonable import Jsonable
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.trace import explained
from kickai_providers_core.values.validation import OneOf, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kickai_providers_core.values.attempts import Attempt, Skip

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
    "UnknownProviderError",
    "UnsupportedRequestError",
    "UnusableProviderError",
]

MESSAGE_LIMIT = 2000
"""The most characters of a message; a plugin that puts a page of HTML there does not fill the log."""

SERVICE_MESSAGE_LIMIT = 500
"""The most characters of a service's own words."""

NAME_LIMIT = 200
"""The most characters of a name that a service gives: a request id, a reason."""

TimeoutPhase = Literal["connect", "first_token", "idle", "total"]
"""Which bound of an attempt ran out."""


@frozen(kw_only=True)
class Problem(Jsonable):
    """One thing that keeps something from being used, told so that its reader can mend it.

    Attributes:
        path: Where, as a dotted path: ``providers.huggingface.timeout_s``. Empty for the whole.
        message: What is wrong, and what was expected, as one sentence without its path.
        hint: What to do about it, as one sentence; may be empty.
        source: The file or the environment variable that the value came from; empty when unknown.
        missing: The short name of what is absent, for "not configured (…)": an environment variable, a
            package, a file. Empty when nothing is absent.
        severity: ``"error"`` keeps the thing from being used, ``"warning"`` does not, ``"note"`` is merely worth
            knowing.
    """

    path: str = field(validator=Text(empty=True))
    message: str = field(validator=Text())
    hint: str = field(default="", validator=Text(empty=True))
    source: str = field(default="", validator=Text(empty=True))
    missing: str = field(default="", validator=Text(empty=True))
    severity: Literal["error", "warning", "note"] = field(
        default="error", validator=OneOf(("error", "warning", "note"))
    )

    def as_dict(self) -> dict[str, str]:
        """Return all fields under their names."""
        return {
            "severity": self.severity,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
            "source": self.source,
            "missing": self.missing,
        }

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.source, self.path) if part)
        told = f"{where}: {self.message}" if where else self.message
        return f"{told}. {self.hint}" if self.hint else told


class _EndsRequest:
    """What the errors that may end a request have in common: how it went."""

    RECORDED: ClassVar[tuple[str, ...]] = ("attempts", "skipped", "deadline_s", "elapsed_s")

    attempts: tuple[Attempt, ...] = ()
    skipped: tuple[Skip, ...] = ()
    deadline_s: float | None = None
    elapsed_s: float = 0.0

    def explain(self) -> str:
        """Return how the request came to this, in lines for a reader: what was tried and skipped, why, and when."""
        return explained(
            self.attempts,
            self.skipped,
            end=type(self).__name__,
            elapsed_s=self.elapsed_s,
            deadline_s=self.deadline_s,
        )


class ConfigError(KickaiError, ValueError):
    """Settings that cannot be used.

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
        distribution: The distribution that brought it, empty when it was registered in code.
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
        name: The name asked for.
        known: The names that would have worked.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("name", "known")

    def __init__(self, message: str, *, name: str, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.known = tuple(known)


class ProviderError(_EndsRequest, KickaiError):
    """One attempt at one target failed.

    A plugin raises the subclass that says what should happen next; ``provider`` and ``model`` may be left
    empty, the core fills them in.

    Attributes:
        message: What happened, in words that are safe to log.
        provider: The instance's name in the settings.
        model: The model asked for, or None for the instance's own.
        status_code: The HTTP status the service answered with, or None.
        request_id: The service's name for the request, or None.
        retry_after_s: Seconds, from 0, after which the service asks to be tried again; None when it did not say, or
            said what is no delay (negative, NaN).
        service_message: The service's own words, when ``expose_service_messages`` is true for the instance; empty
            otherwise. At most 500 characters on one line; whoever fills it in removes the key.
        partial_text: What a stream had handed out before it failed; in no message and no repr.
        attempts: Every attempt of the request, when this error ends it; empty otherwise.
        skipped: Every target that was not tried, likewise.
        deadline_s: Seconds that the request might have taken, likewise.
        elapsed_s: Seconds that the request took, likewise.
    """

    RECORDED: ClassVar[tuple[str, ...]] = (
        "provider",
        "model",
        "status_code",
        "request_id",
        "retry_after_s",
        "service_message",
    )

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        service_message: str = "",
    ) -> None:
        message = clean_line(message, MESSAGE_LIMIT)
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.request_id = request_id if request_id is None else clean_line(request_id, NAME_LIMIT)
        self.retry_after_s = _delay(retry_after_s)
        self.service_message = clean_line(service_message, SERVICE_MESSAGE_LIMIT)
        self.partial_text = ""

    def copied(self, *, frames: bool = True) -> Self:
        """Return a copy, with the same cause and traceback.

        Args:
            frames: False leaves cause and traceback out, for they hold requests, clients and keys.
        """
        copy: Self = restore(type(self), self.args, self.__dict__.copy())  # type: ignore[assignment]
        if frames:
            copy.__cause__, copy.__context__ = self.__cause__, self.__context__
            copy.__suppress_context__ = self.__suppress_context__
            copy.__traceback__ = self.__traceback__
        return copy

    def __str__(self) -> str:
        target = f"{self.provider}:{self.model}" if self.model else self.provider
        known = [f"HTTP {self.status_code}"] if self.status_code is not None else []
        if self.request_id:
            known.append(f"request {self.request_id}")
        text = f"{self.message} ({', '.join(known)})" if known else self.message
        if self.service_message:
            text = f'{text}; the service said: "{self.service_message}"'
        return f"{target}: {text}" if target else text

    def _sentence(self) -> str:
        return self.message


def _delay(seconds: object) -> float | None:
    """Return the seconds, or None for what is no delay: an error must not fail over what a service stated."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        return None
    return seconds


class TransientError(ProviderError):
    """The attempt may work later, or at another target now."""


class RateLimitedError(TransientError):
    """Too many requests or tokens in a short window; ``retry_after_s`` says for how long to stay away."""


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
    """The credit or the daily quota is spent; ``retry_after_s`` is the time to its reset when stated."""


class ModelNotFoundError(UnusableProviderError):
    """The model does not exist, is retired, or is not served here."""


class UnsupportedRequestError(ProviderError):
    """This target cannot do what the request needs; another target may.

    Raise it for tools on a text-only server, a schema that the client cannot express, an image that it will not fetch,
    and for a refusal that the service does not explain (HTTP 400, 413 or 422): nobody can know that another vendor
    would refuse the request too. The next target is called. Nothing is suspended, and no breaker counts it.
    """


class RejectedRequestError(ProviderError):
    """The service understood the request and refused it."""


class InvalidRequestError(RejectedRequestError):
    """The request is invalid for every provider, as our own validation or the service's words make certain."""


class ContextLengthExceededError(RejectedRequestError):
    """The prompt, or the prompt and the tokens asked for, do not fit the model's window.

    Attributes:
        limit_tokens: The size of the window, when the service said it.
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("limit_tokens",)

    def __init__(self, message: str, *, limit_tokens: int | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.limit_tokens = limit_tokens


class ContentFilteredError(RejectedRequestError):
    """The provider refused the prompt or withheld its answer.

    Attributes:
        reason: The provider's own word for why (``SAFETY``, ``RECITATION``, ``content_filter``, …).
    """

    RECORDED: ClassVar[tuple[str, ...]] = ("reason",)

    def __init__(self, message: str, *, reason: str = "", **fields: Any) -> None:
        super().__init__(message, **fields)
        self.reason = clean_line(reason, NAME_LIMIT)


class DeadlineExceededError(_EndsRequest, KickaiError, TimeoutError):
    """The deadline of the whole request passed before any target answered.

    Attributes:
        deadline_s: The deadline, seconds from the start of the request.
        elapsed_s: The time that was spent, seconds.
        attempts: Every attempt, in order; the last one may have been cut short.
        skipped: Every target that was not tried, and why.
    """

    def __init__(
        self, *, deadline_s: float, elapsed_s: float, attempts: Sequence[Attempt] = (), skipped: Sequence[Skip] = ()
    ) -> None:
        self.deadline_s = deadline_s
        self.elapsed_s = elapsed_s
        self.attempts = tuple(attempts)
        self.skipped = tuple(skipped)
        steps = " → ".join(map(str, in_order(self.attempts, self.skipped))) or "nothing was tried"
        super().__init__(f"no answer within {deadline_s:g} s ({elapsed_s:.2f} s spent): {steps}")


class ChainExhaustedError(_EndsRequest, KickaiError, ExceptionGroup[Exception]):
    """Every target failed or was skipped.

    The group holds one exception for each failed attempt, in order. When nothing at all was tried it holds
    one `KickaiError` for each skipped target instead, since a group cannot be empty.

    Attributes:
        attempts: Every attempt, in order.
        skipped: Every target that was not tried, and why.
        deadline_s: Seconds that the request might have taken.
        elapsed_s: Seconds that it took.
    """

    def __new__(cls, message: str, exceptions: Sequence[Exception] = (), **_fields: Any) -> Self:  # noqa: D102
        return super().__new__(cls, message, exceptions or (KickaiError("nothing to try"),))

    def __init__(
        self,
        message: str,
        exceptions: Sequence[Exception] = (),
        *,
        attempts: Sequence[Attempt] = (),
        skipped: Sequence[Skip] = (),
        deadline_s: float | None = None,
        elapsed_s: float = 0.0,
    ) -> None:
        super().__init__(message, exceptions)
        self.attempts = tuple(attempts)
        self.skipped = tuple(skipped)
        self.deadline_s = deadline_s
        self.elapsed_s = elapsed_s

    @classmethod
    def of(cls, attempts: Sequence[Attempt], skipped: Sequence[Skip], **spent: float) -> Self:
        """Return the error that tells how each of a request's targets came to nothing."""
        causes: list[Exception] = [attempt.error for attempt in attempts if attempt.error is not None]
        causes = causes or [KickaiError(str(skip)) for skip in skipped]
        steps = " → ".join(map(str, in_order(attempts, skipped))) or "the chain is empty"
        return cls(f"no target could answer: {steps}", causes, attempts=attempts, skipped=skipped, **spent)

    def as_dict(self) -> dict[str, Any]:
        """Return what `KickaiError.as_dict` does, with the record of each cause in ``causes``."""
        return {
            **super().as_dict(),
            "causes": [
                each.as_dict() if isinstance(each, KickaiError) else {"error": type(each).__name__, "message": ""}
                for each in self.exceptions
            ],
        }

    def _sentence(self) -> str:
        return self.message

    def derive(self, excs: Sequence[Exception]) -> ChainExhaustedError:  # type: ignore[override]
        """Return the same error over a part of its causes (called by ``except*`` and ``split``)."""
        return ChainExhaustedError(
            self.message,
            excs,
            attempts=self.attempts,
            skipped=self.skipped,
            deadline_s=self.deadline_s,
            elapsed_s=self.elapsed_s,
        )
