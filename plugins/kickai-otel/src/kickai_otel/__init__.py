"""OpenTelemetry traces and metrics for kickai-providers-core."""

from kickai_otel.observer import OtelObserver
from kickai_otel.settings import MetricNames, OtelSettings

__all__ = ["MetricNames", "OtelObserver", "OtelSettings"]
