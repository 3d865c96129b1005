"""Spans: one for each request, and one for each attempt below it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, SpanKind, Status, StatusCode, set_span_in_context

from kickai_otel import conventions
from kickai_otel.event_attributes import describe_event, describe_request_start, name_event
from kickai_otel.open_requests import OpenRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.values.events import AttemptEnded, Event, RequestEnded, RequestStarted
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

    from kickai_otel.open_requests import Clocks

__all__ = ["Spans"]

FAILED = Status(StatusCode.ERROR)
"""Without a description: the message of an error may come from a service."""


class Spans:
    """Creates the spans. The times are those of the events, not those at which the spans are created.

    Args:
        tracer: Creates spans.
        clocks: The clocks.
        provider_names: The values of ``gen_ai.provider.name``, by instance.
    """

    def __init__(self, tracer: Tracer, clocks: Clocks, provider_names: Mapping[str, str]) -> None:
        self._tracer = tracer
        self._clocks = clocks
        self._provider_names = provider_names
        self._event_names: dict[type[Event], str] = {}

    def start_request(self, event: RequestStarted) -> OpenRequest:
        """Start the span of a request, below the span that is current where the request starts."""
        parent = otel_context.get_current()
        started_ns, monotonic_ns = self._clocks.wall_ns(), self._clocks.monotonic_ns()
        span = self._tracer.start_span(
            f"{conventions.REQUEST_SPAN} {event.role}" if event.role else conventions.REQUEST_SPAN,
            context=parent,
            kind=SpanKind.INTERNAL,
            attributes=describe_request_start(event),
            start_time=started_ns,
        )
        return OpenRequest(
            span=span,
            context=set_span_in_context(span, parent),
            deadline_s=event.deadline_s,
            started_ns=started_ns,
            started_monotonic_ns=monotonic_ns,
            pid=os.getpid(),
        )

    def skip_request(self, event: RequestStarted) -> OpenRequest:
        """Return a request without a span, for its metrics."""
        return OpenRequest(
            span=INVALID_SPAN,
            context=otel_context.get_current(),
            deadline_s=event.deadline_s,
            started_ns=0,
            started_monotonic_ns=0,
            pid=os.getpid(),
        )

    def end_request(self, request: OpenRequest, event: RequestEnded, attributes: Mapping[str, AttributeValue]) -> None:
        """End the span of a request."""
        span = request.span
        if span.is_recording():
            span.set_attributes(attributes)
            if event.failed:
                span.set_status(FAILED)
            span.end(end_time=request.compute_time_ns(event.latency_s))

    def abandon_request(self, request: OpenRequest) -> None:
        """End the span of a request that has not ended, and of which no more is recorded."""
        if not request.is_foreign and request.span.is_recording():
            request.span.set_attribute(conventions.OUTCOME, conventions.UNFINISHED)
            request.span.end(end_time=request.convert_monotonic_ns(self._clocks.monotonic_ns()))

    def record_attempt(
        self, request: OpenRequest, event: AttemptEnded, attributes: Mapping[str, AttributeValue]
    ) -> None:
        """Create the span of an attempt that has ended."""
        if not request.span.is_recording():
            return
        attempt = event.attempt
        span = self._tracer.start_span(
            f"{conventions.ATTEMPT_SPAN} {attempt.model}" if attempt.model else conventions.ATTEMPT_SPAN,
            context=request.context,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=request.compute_time_ns(attempt.started_s),
        )
        if event.failed:
            span.set_status(FAILED)
        span.end(end_time=request.compute_time_ns(attempt.started_s + attempt.latency_s))

    def add_event(self, request: OpenRequest, event: Event) -> None:
        """Add an event to the span of its request."""
        if not request.span.is_recording():
            return
        kind = type(event)
        name = self._event_names.get(kind) or self._event_names.setdefault(kind, name_event(kind))
        attributes = describe_event(event, self._provider_names)
        for known in (conventions.ROLE, conventions.ARM):  # the span has them
            attributes.pop(known, None)
        timestamp = request.convert_monotonic_ns(self._clocks.monotonic_ns())
        request.span.add_event(name, attributes, timestamp=timestamp)
