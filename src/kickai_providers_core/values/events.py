"""What happens to a request, told to observers: small values without prompts, replies or keys.

``attributes()`` names fields as the OpenTelemetry semantic conventions for generative AI do, where those have a
name; the rest stands under ``kickai.``.

Observers leave events as they are: the next one gets the same. They are not frozen, since each request makes four of
them, and attrs takes three times as long to fill a class that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import asdict, astuple, define

from kickai_providers_core.values.jsonable import Jsonable, plain
from kickai_providers_core.values.plain_text import count

if TYPE_CHECKING:
    from kickai_providers_core.resilience.breaker import State
    from kickai_providers_core.values.attempts import Attempt, Skip
    from kickai_providers_core.values.messages import Usage

__all__ = [
    "AttemptEnded",
    "AttemptStarted",
    "BreakerChanged",
    "Event",
    "Hedged",
    "Observer",
    "ProviderCloseFailed",
    "Queued",
    "RequestEnded",
    "RequestStarted",
    "RetryWithheld",
    "TargetSkipped",
    "Waiting",
]


@define(eq=False, repr=False)
class Event(Jsonable):
    """Base of all events.

    Attributes:
        request: A number that all events of one request share, unique within its resolver; 0 for events that belong
            to none.
        role: The role that the request was made for, or None.
    """

    request: int
    role: str | None

    # Here once, and not by attrs for each class: that would take a tenth of the time in which the core is imported.

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event) or type(self) is not type(other):
            return NotImplemented
        return astuple(self, recurse=False) == astuple(other, recurse=False)

    def __hash__(self) -> int:
        return hash((type(self), astuple(self, recurse=False)))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in asdict(self, recurse=False).items())
        return f"{type(self).__name__}({told})"

    def as_dict(self) -> dict[str, Any]:
        """Return the event as JSON: the name of its class as ``event``, and its fields under their names."""
        return {"event": type(self).__name__, **{n: plain(v) for n, v in asdict(self, recurse=False).items()}}

    def attributes(self) -> dict[str, Any]:
        """Return the event as flat attributes for tracing and metrics; a field that is None is left out."""
        named = {"kickai.request": self.request, "kickai.role": self.role, **self._fields()}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def failed(self) -> bool:
        """Whether it tells of something that went wrong."""
        return False

    def _fields(self) -> dict[str, Any]:
        return {}


@define(eq=False, repr=False)
class RequestStarted(Event):
    """A request has come in."""

    targets: int
    deadline_s: float

    def __str__(self) -> str:
        return f"request {self.request} for {count(self.targets, 'target')} within {self.deadline_s:g} s"

    def _fields(self) -> dict[str, Any]:
        return {"kickai.targets": self.targets, "kickai.deadline_s": self.deadline_s}


@define(eq=False, repr=False)
class AttemptStarted(Event):
    """A target is about to be called."""

    provider: str
    model: str | None
    number: int
    timeout_s: float

    def __str__(self) -> str:
        return f"{_target(self.provider, self.model)}: try {self.number}, for {self.timeout_s:.1f} s at most"

    def _fields(self) -> dict[str, Any]:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.attempt.number": self.number,
            "kickai.attempt.timeout_s": self.timeout_s,
        }


@define(eq=False, repr=False)
class AttemptEnded(Event):
    """A call has ended, well or not."""

    attempt: Attempt
    usage: Usage | None = None

    @property
    def failed(self) -> bool:
        """Whether the call failed."""
        return self.attempt.error is not None

    def __str__(self) -> str:
        return str(self.attempt)

    def _fields(self) -> dict[str, Any]:
        attempt, usage = self.attempt, self.usage
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": attempt.provider,
            "gen_ai.request.model": attempt.model,
            "gen_ai.usage.input_tokens": usage.input_tokens if usage else None,
            "gen_ai.usage.output_tokens": usage.output_tokens if usage else None,
            "error.type": type(attempt.error).__name__ if attempt.error else None,
            "http.response.status_code": attempt.error.status_code if attempt.error else None,
            "kickai.attempt.number": attempt.number,
            "kickai.attempt.outcome": attempt.outcome.value,
            "kickai.attempt.latency_s": attempt.latency_s,
        }


@define(eq=False, repr=False)
class TargetSkipped(Event):
    """A target was passed over."""

    skip: Skip

    def __str__(self) -> str:
        return f"passed over {self.skip}"

    def _fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.skip.provider,
            "gen_ai.request.model": self.skip.model,
            "kickai.skip.reason": self.skip.reason.value,
            "kickai.skip.retry_in_s": self.skip.retry_in_s,
        }


@define(eq=False, repr=False)
class Waiting(Event):
    """The request waits before it tries a target again."""

    provider: str
    model: str | None
    wait_s: float

    def __str__(self) -> str:
        return f"{_target(self.provider, self.model)}: again in {self.wait_s:.2f} s"

    def _fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.wait_s": self.wait_s,
        }


@define(eq=False, repr=False)
class Hedged(Event):
    """A target takes long, and the next is asked too; the first of their answers counts.

    Attributes:
        provider: The instance that takes long.
        model: Its model.
        after_s: How long it has taken so far, seconds.
    """

    provider: str
    model: str | None
    after_s: float

    def __str__(self) -> str:
        return f"{_target(self.provider, self.model)}: no answer after {self.after_s:.2f} s, another is asked too"

    def _fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.hedge.after_s": self.after_s,
        }


@define(eq=False, repr=False)
class Queued(Event):
    """The request stands in line before a provider whose limits are reached.

    Attributes:
        ahead: How many requests stood in the line before it.
        patience_s: Seconds after which it will leave the line for another target.
    """

    provider: str
    model: str | None
    ahead: int
    patience_s: float

    def __str__(self) -> str:
        return f"{_target(self.provider, self.model)}: in line behind {self.ahead}, for {self.patience_s:.1f} s at most"

    def _fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.queue.ahead": self.ahead,
            "kickai.queue.patience_s": self.patience_s,
        }


@define(eq=False, repr=False)
class RetryWithheld(Event):
    """A target could have been tried again, but the retries of the last minute have used up their budget."""

    provider: str
    model: str | None

    def __str__(self) -> str:
        return f"{_target(self.provider, self.model)}: not tried again, the budget for retries is spent"

    def _fields(self) -> dict[str, Any]:
        return {"gen_ai.provider.name": self.provider, "gen_ai.request.model": self.model}


@define(eq=False, repr=False)
class BreakerChanged(Event):
    """A target's circuit breaker has opened, admitted a probe, or closed."""

    provider: str
    model: str | None
    before: State
    after: State
    retry_in_s: float

    def __str__(self) -> str:
        return f"{_target(self.provider, self.model)}: its breaker went from {self.before.value} to {self.after.value}"

    def _fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.breaker.before": self.before.value,
            "kickai.breaker.after": self.after.value,
            "kickai.breaker.retry_in_s": self.retry_in_s,
        }


@define(eq=False, repr=False)
class RequestEnded(Event):
    """A request has been answered, has failed, or was cancelled.

    Attributes:
        outcome: ``success``, ``error`` or ``cancelled``.
        error: The class of the error that reached the caller, or None.
        provider: The instance that answered, or empty.
        model: The model that answered, or empty.
        latency_s: Seconds from the call to its end.
        attempts: How many calls were made.
        fell_back: Whether another than the first target answered.
    """

    outcome: str
    latency_s: float
    attempts: int
    error: str | None = None
    provider: str = ""
    model: str = ""
    fell_back: bool = False
    usage: Usage | None = None

    @property
    def failed(self) -> bool:
        """Whether an error reached the caller."""
        return self.error is not None

    def __str__(self) -> str:
        if self.outcome != "success":
            return f"request {self.request}: {self.error or self.outcome} after {self.latency_s:.2f} s"
        return f"request {self.request}: {_target(self.provider, self.model)} answered in {self.latency_s:.2f} s"

    def _fields(self) -> dict[str, Any]:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.provider or None,
            "gen_ai.response.model": self.model or None,
            "gen_ai.usage.input_tokens": self.usage.input_tokens if self.usage else None,
            "gen_ai.usage.output_tokens": self.usage.output_tokens if self.usage else None,
            "error.type": self.error,
            "kickai.outcome": self.outcome,
            "kickai.latency_s": self.latency_s,
            "kickai.attempts": self.attempts,
            "kickai.fell_back": self.fell_back,
        }


@define(eq=False, repr=False)
class ProviderCloseFailed(Event):
    """A provider raised while it was closed; the others were closed all the same."""

    provider: str
    error: str

    def __str__(self) -> str:
        return f"{self.provider}: closing it raised {self.error}"

    def _fields(self) -> dict[str, Any]:
        return {"gen_ai.provider.name": self.provider, "error.type": self.error}


def _target(provider: str, model: str | None) -> str:
    return f"{provider}:{model}" if model else provider


Observer = Callable[[Event], None]
"""Whoever is told: called on the thread that serves the request; it must be quick and must not raise."""
