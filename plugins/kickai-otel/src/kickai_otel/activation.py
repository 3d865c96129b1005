"""Whether anyone receives spans or metrics: without an SDK, an observer can save its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from opentelemetry import metrics, trace

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["Activation"]


@define(eq=False)
class Activation:
    """Finds out whether providers record anything. Once active, it stays so.

    An application may set the global providers at any time, and until then they are placeholders of the API.

    Args:
        tracer_provider: Where spans go; None for the global provider.
        meter_provider: Where metrics go; None for the global provider.

    Attributes:
        has_traces: Whether spans are recorded.
        has_metrics: Whether metrics are recorded.
    """

    _tracer_provider: TracerProvider | None = None
    _meter_provider: MeterProvider | None = None
    has_traces: bool = False
    has_metrics: bool = False

    def check(self) -> bool:
        """Look at the providers that were inactive so far, and return whether one is active."""
        if not self.has_traces:
            traces = trace.get_tracer_provider() if self._tracer_provider is None else self._tracer_provider
            self.has_traces = not _belongs_to(traces, trace.__name__)
        if not self.has_metrics:
            meters = metrics.get_meter_provider() if self._meter_provider is None else self._meter_provider
            self.has_metrics = not _belongs_to(meters, metrics.__name__)
        return self.has_traces or self.has_metrics


def _belongs_to(provider: object, api: str) -> bool:
    """Return whether a provider is one of the API's own, which all record nothing."""
    module = type(provider).__module__
    return module == api or module.startswith(f"{api}.")
