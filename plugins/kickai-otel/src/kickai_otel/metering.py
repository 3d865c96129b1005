"""Metrics: what each event adds to which of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.values import events

from kickai_otel import conventions, metric_table
from kickai_otel.event_attributes import describe_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.values.usage import Usage
    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from kickai_otel.instruments import Instruments
    from kickai_otel.open_requests import Clocks, OpenRequest

__all__ = ["Metering"]

COUNTED = {
    events.TargetSkipped: metric_table.SKIPS,
    events.BreakerChanged: metric_table.BREAKER_CHANGES,
    events.Hedged: metric_table.HEDGES,
    events.RetryWithheld: metric_table.RETRIES_WITHHELD,
}
"""The events of which each one adds 1 to a counter."""


class Metering:
    """Records the metrics of events. Safe to use from any thread.

    Args:
        instruments: Record the values.
        clocks: The clocks.
        provider_names: The values of ``gen_ai.provider.name``, by instance.
    """

    def __init__(self, instruments: Instruments, clocks: Clocks, provider_names: Mapping[str, str]) -> None:
        self._instruments = instruments
        self._clocks = clocks
        self._provider_names = provider_names

    def record_request(
        self, event: events.RequestEnded, attributes: Mapping[str, AttributeValue], request: OpenRequest | None
    ) -> None:
        """Record a request that has ended."""
        record, context = self._instruments.record, _get_context(request)
        bounded = self._instruments.bound(attributes)
        record(metric_table.REQUEST_DURATION, event.latency_s, bounded, context)
        left_s = attributes.get(conventions.DEADLINE_LEFT_S)
        if isinstance(left_s, float):
            record(metric_table.DEADLINE_LEFT, left_s, bounded, context)
        if event.fell_back:
            record(metric_table.FALLBACKS, 1, bounded, context)
        if request is not None:
            for target in tuple(request.queued):
                self.leave_queue(request, target, conventions.LEFT)

    def record_attempt(
        self, event: events.AttemptEnded, attributes: Mapping[str, AttributeValue], request: OpenRequest | None
    ) -> None:
        """Record an attempt that has ended."""
        record, context = self._instruments.record, _get_context(request)
        bounded = self._instruments.bound(attributes)
        record(metric_table.INFERENCE_DURATION, event.attempt.latency_s, bounded, context)
        record(metric_table.ATTEMPT_COUNT, 1, bounded, context)
        if event.first_token_s is not None:
            record(metric_table.FIRST_CHUNK, event.first_token_s, bounded, context)
        if event.usage is not None:
            self._record_usage(event.usage, bounded, context)

    def record_event(self, event: events.Event, request: OpenRequest | None) -> None:
        """Record any other event."""
        context = _get_context(request)
        attributes = self._instruments.bound(describe_event(event, self._provider_names))
        metric = COUNTED.get(type(event))
        if metric is not None:
            self._instruments.record(metric, 1, attributes, context)
        elif isinstance(event, events.Waiting):
            self._instruments.record(metric_table.BACKOFF_DURATION, event.wait_s, attributes, context)
        elif not isinstance(event, events.Queued):  # recorded when the wait ends
            kind = self._instruments.bound({conventions.EVENT: type(event).__name__})
            self._instruments.record(metric_table.EVENTS, 1, kind, context)

    def leave_queue(self, request: OpenRequest, target: tuple[str, str | None], outcome: str) -> None:
        """Record the end of a wait in a queue, if the request has waited in that one.

        Args:
            request: The request.
            target: The instance and the model.
            outcome: ``admitted`` or ``left``.
        """
        entered_ns = request.queued.pop(target, None)
        if entered_ns is None:
            return
        instance, model = target
        attributes = {conventions.INSTANCE: instance, conventions.QUEUE_OUTCOME: outcome}
        if model is not None:
            attributes[conventions.REQUEST_MODEL] = model
        waited_s = max(0, self._clocks.monotonic_ns() - entered_ns) / 1e9
        bounded = self._instruments.bound(attributes)
        self._instruments.record(metric_table.QUEUE_DURATION, waited_s, bounded, request.context)

    def _record_usage(self, usage: Usage, bounded: dict[str, AttributeValue], context: Context | None) -> None:
        record = self._instruments.record
        by_modality = {**bounded, conventions.TOKEN_MODALITY: conventions.UNKNOWN}
        record(metric_table.USAGE_INPUT, usage.input_tokens, by_modality, context)
        record(metric_table.USAGE_OUTPUT, usage.output_tokens, by_modality, context)
        if usage.cached_tokens:
            record(metric_table.USAGE_CACHED, usage.cached_tokens, by_modality, context)
        if usage.reasoning_tokens:
            record(metric_table.USAGE_REASONING, usage.reasoning_tokens, by_modality, context)
        if self._instruments.has_previous:
            for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
                record(metric_table.PREVIOUS_TOKEN_USAGE, tokens, {**bounded, conventions.TOKEN_TYPE: kind}, context)


def _get_context(request: OpenRequest | None) -> Context | None:
    return None if request is None else request.context
