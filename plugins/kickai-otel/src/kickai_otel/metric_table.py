"""The table of all metrics: their names, units and attributes, and the buckets of histograms."""

from __future__ import annotations

from attrs import frozen

from kickai_otel.conventions import (
    ARM,
    ATTEMPT_OUTCOME,
    BREAKER_AFTER,
    BREAKER_BEFORE,
    ERROR_TYPE,
    EVENT,
    FALLBACK_FROM,
    FALLBACK_REASON,
    FELL_BACK,
    INSTANCE,
    OPERATION,
    OUTCOME,
    PROVIDER,
    QUEUE_OUTCOME,
    REQUEST_MODEL,
    REQUEST_STREAM,
    RESPONSE_MODEL,
    ROLE,
    SKIP_REASON,
    TOKEN_MODALITY,
    TOKEN_TYPE,
)

__all__ = ["METRICS", "Metric"]

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The bucket boundaries that the conventions advise for durations, in seconds."""

TOKENS = tuple(4.0**power for power in range(14))
"""The bucket boundaries that the conventions advise for token counts."""


@frozen(kw_only=True, eq=False)
class Metric:
    """One metric. Two metrics are equal only if they are the same object.

    Attributes:
        name: Its name.
        unit: Its unit, in UCUM notation.
        description: What it measures.
        attributes: The attributes that distinguish its series; those that an event lacks are left out.
        buckets: The boundaries of a histogram; empty for a counter.
        previous_name: Its name in version 1.41 of the conventions; empty when it had none.
        is_previous: Whether only version 1.41 has it.
    """

    name: str
    unit: str
    description: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    previous_name: str = ""
    is_previous: bool = False


_MODEL = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL)
_TOKENS = (*_MODEL, TOKEN_MODALITY)
_TARGET = (INSTANCE, REQUEST_MODEL)
_CALLER = (ROLE, ARM)

INFERENCE_DURATION = Metric(
    name="gen_ai.client.inference.duration",
    previous_name="gen_ai.client.operation.duration",
    unit="s",
    description="Duration of an attempt.",
    attributes=(*_MODEL, ERROR_TYPE),
    buckets=SECONDS,
)
FIRST_CHUNK = Metric(
    name="gen_ai.client.inference.time_to_first_chunk",
    previous_name="gen_ai.client.operation.time_to_first_chunk",
    unit="s",
    description="Time from the start of an attempt to its first chunk.",
    attributes=_MODEL,
    buckets=SECONDS,
)
USAGE_INPUT = Metric(
    name="gen_ai.client.inference.usage.input_tokens",
    unit="{token}",
    description="Input tokens, including cached ones, of attempts that reported them.",
    attributes=_TOKENS,
)
USAGE_OUTPUT = Metric(
    name="gen_ai.client.inference.usage.output_tokens",
    unit="{token}",
    description="Output tokens, including reasoning, of attempts that reported them.",
    attributes=_TOKENS,
)
USAGE_CACHED = Metric(
    name="gen_ai.client.inference.usage.cache_read.input_tokens",
    unit="{token}",
    description="Input tokens that came from a cache.",
    attributes=_TOKENS,
)
USAGE_REASONING = Metric(
    name="gen_ai.client.inference.usage.reasoning.output_tokens",
    unit="{token}",
    description="Output tokens that were used for reasoning.",
    attributes=_TOKENS,
)
PREVIOUS_TOKEN_USAGE = Metric(
    name="gen_ai.client.token.usage",
    unit="{token}",
    description="Input and output tokens of an attempt.",
    attributes=(*_MODEL, TOKEN_TYPE),
    buckets=TOKENS,
    is_previous=True,
)
REQUEST_DURATION = Metric(
    name="kickai.request.duration",
    unit="s",
    description="Duration of a request, with all its attempts, waits and queues.",
    attributes=(*_CALLER, OUTCOME, ERROR_TYPE, INSTANCE, FELL_BACK, REQUEST_STREAM),
    buckets=SECONDS,
)
DEADLINE_LEFT = Metric(
    name="kickai.deadline.left",
    unit="s",
    description="Time left until the deadline when a request ended.",
    attributes=(*_CALLER, OUTCOME),
    buckets=SECONDS,
)
ATTEMPT_COUNT = Metric(
    name="kickai.attempts",
    unit="{attempt}",
    description="Attempts.",
    attributes=(*_CALLER, *_TARGET, ATTEMPT_OUTCOME, ERROR_TYPE),
)
FALLBACKS = Metric(
    name="kickai.fallbacks",
    unit="{request}",
    description="Requests that a target other than the first one answered.",
    attributes=(*_CALLER, FALLBACK_FROM, FALLBACK_REASON, INSTANCE),
)
SKIPS = Metric(
    name="kickai.skips",
    unit="{skip}",
    description="Targets that a request skipped.",
    attributes=(*_CALLER, *_TARGET, SKIP_REASON),
)
BREAKER_CHANGES = Metric(
    name="kickai.breaker.changes",
    unit="{change}",
    description="Changes of circuit breakers; without a model for the breaker of a whole provider.",
    attributes=(*_TARGET, BREAKER_BEFORE, BREAKER_AFTER),
)
QUEUE_DURATION = Metric(
    name="kickai.queue.duration",
    unit="s",
    description="Time in the queue of a provider whose limits are reached.",
    attributes=(*_TARGET, QUEUE_OUTCOME),
    buckets=SECONDS,
)
BACKOFF_DURATION = Metric(
    name="kickai.backoff.duration",
    unit="s",
    description="Waits before a target is called again.",
    attributes=_TARGET,
    buckets=SECONDS,
)
HEDGES = Metric(
    name="kickai.hedges",
    unit="{request}",
    description="Times that another target was called because this one was slow.",
    attributes=_TARGET,
)
RETRIES_WITHHELD = Metric(
    name="kickai.retries.withheld",
    unit="{retry}",
    description="Retries that the retry budget denied.",
    attributes=_TARGET,
)
EVENTS = Metric(
    name="kickai.events",
    unit="{event}",
    description="Events of all other classes.",
    attributes=(EVENT,),
)

METRICS = (
    INFERENCE_DURATION,
    FIRST_CHUNK,
    USAGE_INPUT,
    USAGE_OUTPUT,
    USAGE_CACHED,
    USAGE_REASONING,
    PREVIOUS_TOKEN_USAGE,
    REQUEST_DURATION,
    DEADLINE_LEFT,
    ATTEMPT_COUNT,
    FALLBACKS,
    SKIPS,
    BREAKER_CHANGES,
    QUEUE_DURATION,
    BACKOFF_DURATION,
    HEDGES,
    RETRIES_WITHHELD,
    EVENTS,
)
"""All metrics."""
