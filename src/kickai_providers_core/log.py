"""The log: one observer of events, through loguru.

The package is silent until an application calls ``logger.enable("kickai_providers_core")`` after importing it.
Messages are constant templates with their fields bound, so that no foreign text is ever taken for a template, and
events hold neither prompts nor replies nor keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from kickai_providers_core.events import (
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    Event,
    ProviderCloseFailed,
    RequestEnded,
    RequestStarted,
    TargetSkipped,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["log_event"]

LEVELS: Mapping[type[Event], str] = {
    RequestStarted: "TRACE",
    AttemptStarted: "TRACE",
    AttemptEnded: "DEBUG",
    Waiting: "DEBUG",
    TargetSkipped: "INFO",
    BreakerChanged: "WARNING",
    RequestEnded: "INFO",
    ProviderCloseFailed: "WARNING",
}


def log_event(event: Event) -> None:
    """Write one event to the log; its attributes are bound under their OpenTelemetry names."""
    level = "WARNING" if event.failed else LEVELS.get(type(event), "DEBUG")
    logger.bind(**event.attributes()).log(level, "{event}", event=event)
