"""Events: what happens to a request, without prompts, replies or keys. Observers receive them.

``attributes()`` uses the names of the OpenTelemetry semantic conventions for generative AI where they exist. All other
names begin with ``kickai.``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import asdict, field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.jsonable import Jsonable, to_json
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from kickai_providers_core.values.attempts import Attempt, Skip
    from kickai_providers_core.values.breaker_state import BreakerState
    from kickai_providers_core.values.usage import Usage

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


@frozen(slots=False, eq=False, repr=False)
class Event(Value, Jsonable):
    """Base of all events.

    Attributes:
        request: A number that all events of one request share, unique within its process; 0 for events that belong
            to none.
        role: The role that the request was made for, or None.
        arm: During a rollout, the arm that serves the request: ``candidate``, ``control`` or ``shadow``; else None.
    """

    request: int
    role: str | None
    arm: str | None = field(default=None, kw_only=True)

    def as_dict(self) -> dict[str, Any]:
        """Return the event as JSON: the name of its class as ``event``, and its fields under their names."""
        return {"event": type(self).__name__, **{n: to_json(v) for n, v in asdict(self, recurse=False).items()}}

    def attributes(self) -> dict[str, Any]:
        """Return the event as flat attributes for tracing and metrics, without fields that are None."""
        named = {
            "kickai.request": self.request,
            "kickai.role": self.role,
            "kickai.arm": self.arm,
            **self._build_fields(),
        }
        return {name: value for name, value in named.items() if value is not None}

    @property
    def failed(self) -> bool:
        """Whether the event reports a failure."""
        return False

    def _build_fields(self) -> dict[str, Any]:
        return {}


@frozen(slots=False, eq=False, repr=False)
class RequestStarted(Event):
    """A request has started."""

    targets: int
    deadline_s: float
    arm: str | None = None

    def __str__(self) -> str:
        return f"request {self.request} for {format_count(self.targets, 'target')} within {self.deadline_s:g} s"

    def _build_fields(self) -> dict[str, Any]:
        return {"kickai.targets": self.targets, "kickai.deadline_s": self.deadline_s}


@frozen(slots=False, eq=False, repr=False)
class AttemptStarted(Event):
    """A target is about to be called."""

    provider: str
    model: str | None
    number: int
    timeout_s: float
    arm: str | None = None

    def __str__(self) -> str:
        return f"{_format_target(self.provider, self.model)}: attempt {self.number}, timeout {self.timeout_s:.1f} s"

    def _build_fields(self) -> dict[str, Any]:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.attempt.number": self.number,
            "kickai.attempt.timeout_s": self.timeout_s,
        }


@frozen(slots=False, eq=False, repr=False)
class AttemptEnded(Event):
    """An attempt has ended.

    Attributes:
        attempt: What happened.
        usage: The tokens that it used; None when the provider did not report them.
        reply_model: The model that answered, as the provider reports it; empty when it did not.
        finish_reason: Why the model stopped; None for an attempt without an answer.
        first_token_s: Seconds from the start of the attempt to its first chunk; None for a whole answer.
        is_streamed: Whether the answer is streamed.
        is_primary: Whether its target is the first one of its request.
        is_hedge: Whether it was started because another attempt was slow.
        is_probe: Whether it tested a target whose circuit breaker was open.
        prompt_tokens: A low estimate of the prompt's tokens, for an attempt without usage; 0 otherwise.
    """

    attempt: Attempt
    usage: Usage | None = None
    reply_model: str = ""
    finish_reason: str | None = None
    first_token_s: float | None = None
    is_streamed: bool = False
    is_primary: bool = False
    is_hedge: bool = False
    is_probe: bool = False
    prompt_tokens: int = 0
    arm: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the call failed."""
        return self.attempt.error is not None

    def __str__(self) -> str:
        return str(self.attempt)

    def _build_fields(self) -> dict[str, Any]:
        attempt, usage = self.attempt, self.usage
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": attempt.provider,
            "gen_ai.request.model": attempt.model,
            "gen_ai.response.model": self.reply_model or None,
            "gen_ai.response.finish_reasons": (self.finish_reason,) if self.finish_reason else None,
            "gen_ai.response.time_to_first_chunk": self.first_token_s,
            "gen_ai.request.stream": self.is_streamed,
            "gen_ai.usage.input_tokens": usage.input_tokens if usage else None,
            "gen_ai.usage.output_tokens": usage.output_tokens if usage else None,
            "error.type": type(attempt.error).__name__ if attempt.error else None,
            "http.response.status_code": attempt.error.status_code if attempt.error else None,
            "kickai.attempt.number": attempt.number,
            "kickai.attempt.outcome": attempt.outcome.value,
            "kickai.attempt.latency_s": attempt.latency_s,
            "kickai.attempt.primary": self.is_primary,
            "kickai.attempt.hedge": self.is_hedge,
            "kickai.attempt.probe": self.is_probe,
        }


@frozen(slots=False, eq=False, repr=False)
class TargetSkipped(Event):
    """A target was skipped."""

    skip: Skip

    def __str__(self) -> str:
        return f"skipped {self.skip}"

    def _build_fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.skip.provider,
            "gen_ai.request.model": self.skip.model,
            "kickai.skip.reason": self.skip.reason.value,
            "kickai.skip.retry_in_s": self.skip.retry_in_s,
        }


@frozen(slots=False, eq=False, repr=False)
class Waiting(Event):
    """The request waits before it calls a target again."""

    provider: str
    model: str | None
    wait_s: float

    def __str__(self) -> str:
        return f"{_format_target(self.provider, self.model)}: next attempt in {self.wait_s:.2f} s"

    def _build_fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.wait_s": self.wait_s,
        }


@frozen(slots=False, eq=False, repr=False)
class Hedged(Event):
    """A target is slow, and the next one is called too; the first answer wins.

    Attributes:
        provider: The slow instance.
        model: Its model.
        after_s: Seconds that the slow attempt has taken so far.
    """

    provider: str
    model: str | None
    after_s: float

    def __str__(self) -> str:
        target = _format_target(self.provider, self.model)
        return f"{target}: no answer after {self.after_s:.2f} s, calling another target too"

    def _build_fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.hedge.after_s": self.after_s,
        }


@frozen(slots=False, eq=False, repr=False)
class Queued(Event):
    """The request waits in the queue of a provider whose limits are reached.

    Attributes:
        ahead: The number of requests before it in the queue.
        patience_s: Seconds after which it leaves the queue for another target.
    """

    provider: str
    model: str | None
    ahead: int
    patience_s: float

    def __str__(self) -> str:
        target = _format_target(self.provider, self.model)
        return f"{target}: queued behind {self.ahead}, for at most {self.patience_s:.1f} s"

    def _build_fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.queue.ahead": self.ahead,
            "kickai.queue.patience_s": self.patience_s,
        }


@frozen(slots=False, eq=False, repr=False)
class RetryWithheld(Event):
    """A target was not retried because the retry budget of the last minute is used up."""

    provider: str
    model: str | None

    def __str__(self) -> str:
        return f"{_format_target(self.provider, self.model)}: not retried, the retry budget is used up"

    def _build_fields(self) -> dict[str, Any]:
        return {"gen_ai.provider.name": self.provider, "gen_ai.request.model": self.model}


@frozen(slots=False, eq=False, repr=False)
class BreakerChanged(Event):
    """A circuit breaker has opened, admitted a probe, or closed. ``model`` is None for a provider's own breaker."""

    provider: str
    model: str | None
    before: BreakerState
    after: BreakerState
    retry_in_s: float

    def __str__(self) -> str:
        return f"{_format_target(self.provider, self.model)}: circuit breaker {self.before.value} -> {self.after.value}"

    def _build_fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "kickai.breaker.before": self.before.value,
            "kickai.breaker.after": self.after.value,
            "kickai.breaker.retry_in_s": self.retry_in_s,
        }


@frozen(slots=False, eq=False, repr=False)
class RequestEnded(Event):
    """A request has been answered, has failed, or was cancelled.

    Attributes:
        outcome: ``success``, ``error`` or ``cancelled``.
        error: The class of the error that reached the caller, or None.
        provider: The instance that answered, or empty.
        model: The model that answered, or empty.
        latency_s: Seconds from the call to its end.
        attempts: The number of attempts.
        fell_back: Whether a target other than the first one answered.
        fallback_provider: The instance of the first target, when another one answered; empty otherwise.
        fallback_reason: Why the first target did not answer: the class of its error, the reason for which it was
            skipped, or ``slow`` when a hedged attempt was faster; None when it answered.
        is_streamed: Whether the answer is streamed.
        request_id: The id of the answer, as on the reply; None when there is none.
    """

    outcome: str
    latency_s: float
    attempts: int
    error: str | None = None
    provider: str = ""
    model: str = ""
    fell_back: bool = False
    usage: Usage | None = None
    fallback_provider: str = ""
    fallback_reason: str | None = None
    is_streamed: bool = False
    request_id: str | None = None
    arm: str | None = None

    @property
    def failed(self) -> bool:
        """Whether an error reached the caller."""
        return self.error is not None

    def __str__(self) -> str:
        if self.outcome != "success":
            return f"request {self.request}: {self.error or self.outcome} after {self.latency_s:.2f} s"
        return f"request {self.request}: {_format_target(self.provider, self.model)} answered in {self.latency_s:.2f} s"

    def _build_fields(self) -> dict[str, Any]:
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
            "kickai.fallback.provider": self.fallback_provider or None,
            "kickai.fallback.reason": self.fallback_reason,
            "kickai.request_id": self.request_id,
            "gen_ai.request.stream": self.is_streamed,
        }


@frozen(slots=False, eq=False, repr=False)
class ProviderCloseFailed(Event):
    """Closing a provider raised an error; all others were closed."""

    provider: str
    error: str

    def __str__(self) -> str:
        return f"{self.provider}: closing it raised {self.error}"

    def _build_fields(self) -> dict[str, Any]:
        return {"gen_ai.provider.name": self.provider, "error.type": self.error}


def _format_target(provider: str, model: str | None) -> str:
    return f"{provider}:{model}" if model else provider


Observer = Callable[[Event], None]
"""Receives events on the thread that serves the request. It must return quickly and must not raise."""
