"""A provider whose models behave as their names say, and what the SDK's in-memory exporters have received."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, Any

from attrs import define, field
from kickai_providers_core import (
    FinishReason,
    ProviderInfo,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    Reply,
    ReplyChunk,
    Resolver,
    Usage,
)
from kickai_providers_core.authoring import hooks_for
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler

from kickai_otel import OtelObserver, OtelSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from kickai_providers_core.values.events import Observer
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["ANSWER", "PROMPT", "Scene", "make_plugins"]

PROMPT = "the secret question"
ANSWER = "the secret answer"
SERVICE_MESSAGE = "the secret service message"
USAGE = Usage(input_tokens=7, output_tokens=3, cached_tokens=2, reasoning_tokens=1)


class Actor:
    """Acts as the name of the model says; any other name than those in this class answers at once."""

    def __init__(self, settings: Any) -> None:
        self._model = settings.model

    def _begin(self, request: Any) -> str:
        model = str(request.model or self._model or "")
        if model == "down":
            raise ProviderTimeoutError(SERVICE_MESSAGE, status_code=504)
        if model == "busy":
            raise ProviderUnavailableError(SERVICE_MESSAGE, status_code=503)
        if model == "limited":
            raise RateLimitedError(SERVICE_MESSAGE, retry_after_s=60)
        return model

    def _answer(self, model: str) -> Reply:
        usage = {"bare": None, "plain": Usage(input_tokens=5, output_tokens=0)}.get(model, USAGE)
        name = "" if model == "bare" else f"{model}-2026"
        return Reply(text=ANSWER, finish_reason=FinishReason.STOP, usage=usage, model=name)

    def invoke(self, request: Any, timeout_s: float) -> Reply:
        """Answer."""
        model = self._begin(request)
        if model == "pause":
            time.sleep(0.3)
        return self._answer(model)

    async def ainvoke(self, request: Any, timeout_s: float) -> Reply:
        """Answer on an event loop."""
        model = self._begin(request)
        if model in {"pause", "hang"}:
            await asyncio.sleep(0.3 if model == "pause" else 3600)
        return self._answer(model)

    def _chunks(self, model: str) -> list[ReplyChunk]:
        whole = self._answer(model)
        words = [ReplyChunk(text=f"{word} ", model=whole.model) for word in ANSWER.split()]
        return [*words, ReplyChunk(finish_reason=FinishReason.STOP, usage=whole.usage)]

    def stream(self, request: Any, timeout_s: float) -> Iterator[ReplyChunk]:
        """Answer in chunks."""
        yield from self._chunks(self._begin(request))

    async def astream(self, request: Any, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Answer in chunks on an event loop."""
        for chunk in self._chunks(self._begin(request)):
            await asyncio.sleep(0)
            yield chunk


def make_plugins() -> dict[str, object]:
    """Return the provider plugin, twice: once under the name of a plugin that has a well-known name."""
    return {
        name: hooks_for(ProviderInfo(name=name, summary="acts", holds_timeouts=True), Actor)
        for name in ("actor", "gemini")
    }


@define
class Scene:
    """A resolver's observer with the SDK's in-memory exporters behind it."""

    settings: OtelSettings = field(factory=OtelSettings)
    sampler: Sampler = DEFAULT_ON
    exporter: InMemorySpanExporter = field(factory=InMemorySpanExporter)
    reader: Any = field(factory=InMemoryMetricReader)
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider = field(init=False)
    observer: OtelObserver = field(init=False)

    def __attrs_post_init__(self) -> None:
        if self.tracer_provider is None:
            self.tracer_provider = TracerProvider(sampler=self.sampler, shutdown_on_exit=False)
            self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.observer = OtelObserver(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, settings=self.settings
        )

    def open(self, settings: Mapping[str, Any] | None = None, observer: Observer | None = None) -> Resolver:
        """Return a resolver that reports to the scene's observer, or to another one."""
        stated: dict[str, Any] = {"kickai": {"plugins": []}, **(settings or {})}
        return Resolver.from_settings(
            stated, env={}, plugins=make_plugins(), observers=[observer or self.observer], random=Random(1)
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in the order of their ends."""
        return list(self.exporter.get_finished_spans())

    def find_spans(self, start: str) -> list[ReadableSpan]:
        """Return the ended spans whose name begins so."""
        return [span for span in self.spans if span.name.startswith(start)]

    def collect(self) -> dict[str, list[tuple[dict[str, Any], Any]]]:
        """Return the data points of all metrics: their attributes, and the sum or the histogram's (count, sum)."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[tuple[dict[str, Any], Any]]] = {}
        for resource in data.resource_metrics if data else []:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        value = point.value if hasattr(point, "value") else (point.count, point.sum)
                        found.setdefault(metric.name, []).append((dict(point.attributes), value))
        return found

    def close(self) -> None:
        """Shut the providers down."""
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()
