"""Translates events into attributes. A value that was not observed is left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kickai_otel import names

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
        super().__init__({**names.PROVIDER_NAMES, **stated})

    def __missing__(self, instance: str) -> str:
        return instance


def describe_request_start(event: RequestStarted) -> Attributes:
    """Return the attributes that a request's span has from its start, so that samplers see them."""
    return _drop_missing(
        {
            names.REQUEST: event.request,
            names.ROLE: event.role,
            names.ARM: event.arm,
            names.TARGETS: event.targets,
            names.DEADLINE_S: event.deadline_s,
        }
    )


def describe_request_end(event: RequestEnded, deadline_left_s: float | None = None) -> Attributes:
    """Return the attributes of a request that has ended.

    They have no token counts, since backends would count them twice: they are on the span of the attempt.
    """
    return _drop_missing(
        {
            names.ROLE: event.role,
            names.ARM: event.arm,
            names.OUTCOME: event.outcome,
            names.ERROR_TYPE: event.error,
            names.INSTANCE: event.provider or None,
            names.MODEL: event.model or None,
            names.ATTEMPTS: event.attempts,
            names.FELL_BACK: event.fell_back,
            names.FALLBACK_FROM: event.fallback_provider or None,
            names.FALLBACK_REASON: event.fallback_reason,
            names.REQUEST_STREAM: event.is_streamed,
            names.DEADLINE_LEFT_S: deadline_left_s,
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
            names.OPERATION: names.CHAT,
            names.PROVIDER: provider_names[attempt.provider],
            names.REQUEST_MODEL: attempt.model,
            names.REQUEST_STREAM: event.is_streamed,
            names.RESPONSE_MODEL: event.reply_model or None,
            names.FINISH_REASONS: (event.finish_reason,) if event.finish_reason else None,
            names.RESPONSE_FIRST_CHUNK: event.first_token_s,
            names.INPUT_TOKENS: usage.input_tokens if usage else None,
            names.OUTPUT_TOKENS: usage.output_tokens if usage else None,
            names.CACHED_TOKENS: (usage.cached_tokens or None) if usage else None,
            names.REASONING_TOKENS: (usage.reasoning_tokens or None) if usage else None,
            names.ERROR_TYPE: _find_error_type(event),
            names.STATUS_CODE: error.status_code if error is not None else None,
            names.INSTANCE: attempt.provider,
            names.ROLE: event.role,
            names.ARM: event.arm,
            names.ATTEMPT_NUMBER: attempt.number,
            names.ATTEMPT_OUTCOME: attempt.outcome.value,
            names.ATTEMPT_PRIMARY: event.is_primary,
            names.ATTEMPT_HEDGE: event.is_hedge,
            names.ATTEMPT_PROBE: event.is_probe,
            names.ATTEMPT_TIMEOUT_S: timeout_s,
            names.SUSPENDED_S: attempt.rests_s or None,
        }
    )


def describe_event(event: Event, provider_names: Mapping[str, str]) -> Attributes:
    """Return the attributes of any other event: those that it names itself, with the instance's provider name."""
    described: Attributes = {}
    for name, value in event.attributes().items():
        if name == names.PROVIDER and isinstance(value, str):
            described[names.INSTANCE] = value
            described[names.PROVIDER] = provider_names[value]
        elif name != names.REQUEST and isinstance(value, str | bool | int | float):
            described[name] = value
    return described


def name_event(kind: type[Event]) -> str:
    """Return the name of an event of a span: ``kickai.target_skipped`` for ``TargetSkipped``."""
    return f"kickai.{WORD_START.sub('_', kind.__name__).lower()}"


def _find_error_type(event: AttemptEnded) -> str | None:
    if event.attempt.error is not None:
        return type(event.attempt.error).__name__
    return names.CANCELLED if event.attempt.outcome == names.CANCELLED else None


def _drop_missing(values: Mapping[str, AttributeValue | None]) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}
