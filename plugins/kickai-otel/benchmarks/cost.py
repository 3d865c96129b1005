"""What the plugin adds to one healthy call: ``python benchmarks/cost.py``.

Each line is the fastest of many short rounds, which alternate between the variants, in processor time of the thread, so
that other processes disturb it little. Spans and metrics are exported by nothing: exporters have threads of their own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kickai_providers_core import FinishReason, ProviderInfo, Reply, Resolver, Usage
from kickai_providers_core.authoring import hooks_for
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from kickai_otel import OtelObserver

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, CALLS = 100, 50
REPLY = Reply(
    text="Ann", finish_reason=FinishReason.STOP, usage=Usage(input_tokens=6, output_tokens=1), model="trivial-1"
)


class Trivial:
    """A provider that returns a constant."""

    def __init__(self, settings: Any) -> None:
        """Need nothing."""

    def invoke(self, request: Any, timeout_s: float) -> Reply:  # noqa: ARG002
        """Answer."""
        return REPLY


def create_call(*observers: OtelObserver) -> Callable[[], Any]:
    """Return a call of a chain whose events go to some observers."""
    plugin = hooks_for(ProviderInfo(name="trivial", summary="returns a constant", holds_timeouts=True), Trivial)
    settings = {"kickai": {"plugins": []}}
    resolver = Resolver.from_settings(settings, env={}, plugins={"trivial": plugin}, observers=observers)
    chain = resolver.chain("trivial:a")
    return lambda: chain.invoke("Who can play on Saturday?")


def create_observer(tracer_provider: Any, meter_provider: Any) -> OtelObserver:
    """Return an observer for two providers of OpenTelemetry."""
    return OtelObserver(tracer_provider=tracer_provider, meter_provider=meter_provider)


def measure(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the shortest time of each call, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.thread_time()
            for _ in range(CALLS):
                call()
            times[name].append((time.thread_time() - began) / CALLS * 1e6)
    return {name: min(each) for name, each in times.items()}


def main() -> None:
    """Print the table."""
    no_spans, no_metrics = NoOpTracerProvider(), NoOpMeterProvider()
    spans, unsampled = TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)
    metrics = MeterProvider([InMemoryMetricReader()])
    times = measure(
        {
            "without the plugin": create_call(),
            "no SDK": create_call(OtelObserver()),
            "metrics": create_call(create_observer(no_spans, metrics)),
            "spans": create_call(create_observer(spans, no_metrics)),
            "metrics, spans not sampled": create_call(create_observer(unsampled, metrics)),
            "metrics and spans": create_call(create_observer(spans, metrics)),
        }
    )
    base = times.pop("without the plugin")
    print(f"{'without the plugin':28}{base:8.1f} µs a call")
    for name, took in times.items():
        print(f"{name:28}{took - base:+8.1f} µs")


if __name__ == "__main__":
    main()
