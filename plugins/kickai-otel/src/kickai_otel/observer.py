"""The observer: passes each event to the spans and the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.values import events
from opentelemetry import metrics, trace

from kickai_otel import conventions
from kickai_otel.activation import Activation
from kickai_otel.event_attributes import ProviderNames, describe_attempt, describe_request_end
from kickai_otel.instruments import Instruments
from kickai_otel.metering import Metering
from kickai_otel.open_requests import SYSTEM_CLOCKS, Clocks, OpenRequest, OpenRequests
from kickai_otel.settings import OtelSettings
from kickai_otel.tracing import Spans

if TYPE_CHECKING:
    from kickai_providers_core.values.events import Event
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["OtelObserver"]


class OtelObserver:
    """Emits spans and metrics for the events of any number of resolvers.

    It holds no prompt and no answer, since events carry none. Safe to share between threads, event loops and forked
    processes: it takes no lock, and a child emits nothing for the requests of its parent.

    Args:
        tracer_provider: Where spans go; None for the global provider, also one that is set later.
        meter_provider: Where metrics go; None for the global provider, also one that is set later.
        settings: What is emitted; None for the defaults. Environment variables are not read.
        clocks: The clocks of spans.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        settings: OtelSettings | None = None,
        clocks: Clocks = SYSTEM_CLOCKS,
    ) -> None:
        settings = OtelSettings() if settings is None else settings
        tracer = trace.get_tracer(conventions.SCOPE, conventions.VERSION, tracer_provider=tracer_provider)
        meter = metrics.get_meter(conventions.SCOPE, conventions.VERSION, meter_provider=meter_provider)
        self._active = Activation(tracer_provider, meter_provider)
        self._provider_names = ProviderNames(settings.provider_names)
        self._open = OpenRequests(settings.max_open_requests)
        self._clocks = clocks
        self._spans = Spans(tracer, clocks, self._provider_names)
        self._metering = Metering(Instruments(meter, settings), clocks, self._provider_names)

    def __call__(self, event: Event) -> None:
        """Emit what follows from an event."""
        if isinstance(event, events.RequestStarted):
            self._start_request(event)
            return
        if not (self._active.has_metrics or self._active.has_traces) and (event.request or not self._active.check()):
            return
        request = self._open.find(event.request)
        if request is not None and request.is_foreign:
            return
        if isinstance(event, events.AttemptStarted):
            if request is not None:
                request.timeouts[event.provider, event.model, event.number] = event.timeout_s
                self._metering.leave_queue(request, (event.provider, event.model), conventions.ADMITTED)
        elif isinstance(event, events.AttemptEnded):
            self._end_attempt(event, request)
        elif isinstance(event, events.RequestEnded):
            self._end_request(event)
        else:
            self._record_other(event, request)

    def _start_request(self, event: events.RequestStarted) -> None:
        active = self._active
        if (active.has_metrics and active.has_traces) or active.check():
            request = self._spans.start_request(event) if active.has_traces else self._spans.skip_request(event)
            for abandoned in self._open.add(event.request, request):
                self._spans.abandon_request(abandoned)

    def _end_attempt(self, event: events.AttemptEnded, request: OpenRequest | None) -> None:
        attempt, timeout_s = event.attempt, None
        if request is not None:
            timeout_s = request.timeouts.pop((attempt.provider, attempt.model, attempt.number), None)
        attributes = describe_attempt(event, self._provider_names, timeout_s)
        if request is not None:
            self._spans.record_attempt(request, event, attributes)
        if self._active.has_metrics:
            self._metering.record_attempt(event, attributes, request)

    def _end_request(self, event: events.RequestEnded) -> None:
        request = self._open.remove(event.request)
        left_s = None if request is None else max(0.0, request.deadline_s - event.latency_s)
        attributes = describe_request_end(event, left_s)
        if request is not None:
            self._spans.end_request(request, event, attributes)
        if self._active.has_metrics:
            self._metering.record_request(event, attributes, request)

    def _record_other(self, event: Event, request: OpenRequest | None) -> None:
        if request is not None:
            self._spans.add_event(request, event)
            if isinstance(event, events.Queued):
                request.queued[event.provider, event.model] = self._clocks.monotonic_ns()
            elif isinstance(event, events.TargetSkipped):
                self._metering.leave_queue(request, (event.skip.provider, event.skip.model), conventions.LEFT)
        if self._active.has_metrics:
            self._metering.record_event(event, request)
