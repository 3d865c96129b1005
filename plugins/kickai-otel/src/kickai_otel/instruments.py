"""The instruments of all metrics in the table, and how values are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_otel.cardinality import BoundedValues
from kickai_otel.metric_table import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.util.types import AttributeValue

    from kickai_otel.metric_table import Metric
    from kickai_otel.settings import OtelSettings

    Write = Callable[[float, Mapping[str, AttributeValue], Context | None], None]

__all__ = ["Instruments"]

USED = frozenset(name for metric in METRICS for name in metric.attributes)
"""The attributes of all metrics."""


class Instruments:
    """Records values under bounded attributes. Safe to use from any thread.

    Args:
        meter: Creates the instruments.
        settings: Which names to use, and the bound on distinct values.

    Attributes:
        has_previous: Whether the names of version 1.41 are used.
    """

    def __init__(self, meter: Meter, settings: OtelSettings) -> None:
        self.has_previous = settings.metric_names.has_previous
        self._values = BoundedValues(settings.max_values)
        self._writers = {metric: tuple(_create_writers(meter, metric, settings)) for metric in METRICS}

    def bound(self, attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Return the attributes that metrics have, with bounded texts."""
        bound, used = self._values.bound, USED
        return {
            name: bound(name, value) if type(value) is str else value
            for name, value in attributes.items()
            if name in used
        }

    def record(
        self, metric: Metric, value: float, attributes: Mapping[str, AttributeValue], context: Context | None
    ) -> None:
        """Record a value: add it to a counter, or to a histogram.

        Args:
            metric: The metric.
            value: The value.
            attributes: Bounded attributes; those that the metric does not have are ignored.
            context: The context whose span becomes the exemplar; None for the current one.
        """
        writers = self._writers[metric]
        if writers:
            series = {name: attributes[name] for name in metric.attributes if name in attributes}
            for write in writers:
                write(value, series, context)


def _create_writers(meter: Meter, metric: Metric, settings: OtelSettings) -> Iterator[Write]:
    """Yield the methods that record a metric: none, one or two, as the settings choose its names."""
    chosen = settings.metric_names
    is_gen_ai = metric.name.startswith("gen_ai.")
    if metric.is_previous:
        used = [metric.name] if chosen.has_previous else []
    elif is_gen_ai:
        used = [metric.name] if chosen.has_current else []
        used += [metric.previous_name] if chosen.has_previous and metric.previous_name else []
    else:
        used = [metric.name]
    for name in used:
        if metric.buckets:
            yield meter.create_histogram(
                name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.buckets
            ).record
        else:
            yield meter.create_counter(name, metric.unit, metric.description).add
