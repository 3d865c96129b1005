"""The settings, which come from code or from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from attrs import field, frozen

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["VARIABLES", "MetricNames", "OtelSettings"]


class MetricNames(StrEnum):
    """Which version of the conventions names the ``gen_ai.*`` metrics."""

    CURRENT = "current"
    PREVIOUS = "previous"
    BOTH = "both"

    @property
    def has_current(self) -> bool:
        """Whether the current names are emitted."""
        return self is not MetricNames.PREVIOUS

    @property
    def has_previous(self) -> bool:
        """Whether the names of version 1.41 are emitted."""
        return self is not MetricNames.CURRENT


VARIABLES = MappingProxyType(
    {
        "KICKAI_OTEL_METRIC_NAMES": "metric_names",
        "KICKAI_OTEL_MAX_VALUES": "max_values",
        "KICKAI_OTEL_PROVIDER_NAMES": "provider_names",
    }
)
"""The environment variables, with the setting that each of them sets."""


def _require_positive(instance: object, attribute: Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{type(instance).__name__}.{attribute.name} must be an integer of at least 1, got {value!r}")


def _convert_metric_names(value: object) -> MetricNames:
    try:
        return MetricNames(value)  # type: ignore[arg-type]
    except ValueError:
        allowed = ", ".join(MetricNames)
        raise ValueError(f"OtelSettings.metric_names must be one of {allowed}, got {value!r}") from None


def _convert_provider_names(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"OtelSettings.provider_names must be a mapping, got {type(value).__name__}")
    wrong = next((each for pair in value.items() for each in pair if not isinstance(each, str)), None)
    if wrong is not None:
        raise TypeError(f"OtelSettings.provider_names must map strings to strings, got a {type(wrong).__name__}")
    return MappingProxyType(dict(value))


@frozen(kw_only=True)
class OtelSettings:
    """What is emitted, and its bounds.

    Attributes:
        metric_names: Which version of the conventions names the ``gen_ai.*`` metrics.
        max_values: The number of distinct values that each metric attribute may have in this process; from 1. Further
            values become ``other``.
        provider_names: The values of ``gen_ai.provider.name``, by instance.
        max_open_requests: The number of requests whose spans may be open at once; from 1. Beyond it the oldest span is
            ended as unfinished.

    Raises:
        ValueError: A value is out of range.
        TypeError: A value has the wrong type.
    """

    metric_names: MetricNames = field(default=MetricNames.CURRENT, converter=_convert_metric_names)
    max_values: int = field(default=100, validator=_require_positive)
    provider_names: Mapping[str, str] = field(factory=dict, converter=_convert_provider_names)
    max_open_requests: int = field(default=10_000, validator=_require_positive)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings that environment variables state; an empty variable counts as absent.

        Args:
            env: The environment.

        Raises:
            ValueError: A variable is invalid; the message names it.
        """
        stated: dict[str, object] = {}
        names = env.get("KICKAI_OTEL_METRIC_NAMES", "").strip().lower()
        if names:
            if names not in set(MetricNames):
                raise ValueError(f"KICKAI_OTEL_METRIC_NAMES must be one of {', '.join(MetricNames)}, got {names!r}")
            stated["metric_names"] = names
        limit = env.get("KICKAI_OTEL_MAX_VALUES", "").strip()
        if limit:
            if not (limit.isascii() and limit.isdigit() and int(limit)):
                raise ValueError(f"KICKAI_OTEL_MAX_VALUES must be an integer of at least 1, got {limit!r}")
            stated["max_values"] = int(limit)
        stated["provider_names"] = dict(_parse_pairs(env.get("KICKAI_OTEL_PROVIDER_NAMES", "")))
        return cls(**stated)  # type: ignore[arg-type]


def _parse_pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for pair in filter(None, (each.strip() for each in text.split(","))):
        instance, equals, name = (each.strip() for each in pair.partition("="))
        if not (instance and equals and name):
            raise ValueError(f"KICKAI_OTEL_PROVIDER_NAMES must be a list like 'a=gcp.gemini,b=openai', got {pair!r}")
        pairs.append((instance, name))
    return pairs
