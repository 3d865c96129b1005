"""Translates events into attributes. A value that was not observed is left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kickai_otel import conventions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.values.events import AttemptEnded, Event, RequestEnded, RequestStarted
    from opentelemetry.util.types import AttributeValue

__all__ = [
    "ProviderNames",
    "describe_attempt",
    "describe_event",
    "describe_request_end",
    "describe_request_start",
    "name_event",
]

Attributes = dict[str, "AttributeValue"]

WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class ProviderNames(dict[str, str]):
    """The values of ``gen_ai.provider.name`` by instance; an instance without one has its own name.

    Args:
        stated: The values that the application states.
    """

    def __init__(self, stated: Mapping[str, str]) -> None:
        super().__init__({**conventions.PROVIDER_NAMES, **stated})

    def __missing__(self, instance: str) -> str:
        return instance


def describe_request_start(event: RequestStarted) -> Attributes:
    """Return the attributes that a request's span has from its start, so that samplers see them."""
    return _drop_missing(
        {
            conventions.REQUEST: event.request,
            conventions.ROLE: event.role,
            conventions.ARM: event.arm,
            conventions.TARGETS: event.targets,
            conventions.DEADLINE_S: event.deadline_s,
        }
    )


def describe_request_end(event: RequestEnded, deadline_left_s: float | None = None) -> Attributes:
    """Return the attributes of a request that has ended.

    They have no token counts, since backends would count them twice: they are on the span of the attempt.
    """
    return _drop_missing(
        {
            conventions.ROLE: event.role,
            conventions.ARM: event.arm,
            conventions.OUTCOME: event.outcome,
            conventions.ERROR_TYPE: event.error,
            conventions.INSTANCE: event.provider or None,
            conventions.MODEL: event.model or None,
            conventions.ATTEMPTS: event.attempts,
            conventions.FELL_BACK: event.fell_back,
            conventions.FALLBACK_FROM: event.fallback_provider or None,
            conventions.FALLBACK_REASON: event.fallback_reason,
            conventions.REQUEST_STREAM: event.is_streamed,
            conventions.DEADLINE_LEFT_S: deadline_left_s,
        }
    )


def describe_attempt(
    event: AttemptEnded, provider_names: Mapping[str, str], timeout_s: float | None = None
) -> Attributes:
    """Return the attributes of an attempt. Token counts of 0 for caches and reasoning mean that none were reported."""
    attempt, usage = event.attempt, event.usage
    error = attempt.error
    return _drop_missing(
        {
            conventions.OPERATION: conventions.CHAT,
            conventions.PROVIDER: provider_names[attempt.provider],
            conventions.REQUEST_MODEL: attempt.model,
            conventions.REQUEST_STREAM: event.is_streamed,
            conventions.RESPONSE_MODEL: event.reply_model or None,
            conventions.FINISH_REASONS: (event.finish_reason,) if event.finish_reason else None,
            conventions.RESPONSE_FIRST_CHUNK: event.first_token_s,
            conventions.INPUT_TOKENS: usage.input_tokens if usage else None,
            conventions.OUTPUT_TOKENS: usage.output_tokens if usage else None,
            conventions.CACHED_TOKENS: (usage.cached_tokens or None) if usage else None,
            conventions.REASONING_TOKENS: (usage.reasoning_tokens or None) if usage else None,
            conventions.ERROR_TYPE: _find_error_type(event),
            conventions.STATUS_CODE: error.status_code if error is not None else None,
            conventions.INSTANCE: attempt.provider,
            conventions.ROLE: event.role,
            conventions.ARM: event.arm,
            conventions.ATTEMPT_NUMBER: attempt.number,
            conventions.ATTEMPT_OUTCOME: attempt.outcome.value,
            conventions.ATTEMPT_PRIMARY: event.is_primary,
            conventions.ATTEMPT_HEDGE: event.is_hedge,
            conventions.ATTEMPT_PROBE: event.is_probe,
            conventions.ATTEMPT_TIMEOUT_S: timeout_s,
            conventions.SUSPENDED_S: attempt.rests_s or None,
        }
    )


def describe_event(event: Event, provider_names: Mapping[str, str]) -> Attributes:
    """Return the attributes of any other event: those that it names itself, with the instance's provider name."""
    described: Attributes = {}
    for name, value in event.attributes().items():
        if name == conventions.PROVIDER and isinstance(value, str):
            described[conventions.INSTANCE] = value
            described[conventions.PROVIDER] = provider_names[value]
        elif name != conventions.REQUEST and isinstance(value, str | bool | int | float):
            described[name] = value
    return described


def name_event(kind: type[Event]) -> str:
    """Return the name of an event of a span: ``kickai.target_skipped`` for ``TargetSkipped``."""
    return f"kickai.{WORD_START.sub('_', kind.__name__).lower()}"


def _find_error_type(event: AttemptEnded) -> str | None:
    if event.attempt.error is not None:
        return type(event.attempt.error).__name__
    return conventions.CANCELLED if event.attempt.outcome == conventions.CANCELLED else None


def _drop_missing(values: Mapping[str, AttributeValue | None]) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}
