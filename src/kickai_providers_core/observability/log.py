"""The log: an observer that writes events to loguru.

The package is silent until an application calls ``logger.enable("kickai_providers_core")`` after importing it. Message
templates are constant, and their fields bound, so no text of a plugin or service is used as a template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from kickai_providers_core.values.events import (
    AttemptEnded,
    BreakerChanged,
    Event,
    Hedged,
    ProviderCloseFailed,
    Queued,
    RequestEnded,
    RetryWithheld,
    TargetSkipped,
    Waiting,
)
from kickai_providers_core.values.feedback_events import FeedbackGiven
from kickai_providers_core.values.rollout_events import RolloutChanged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loguru import Record

__all__ = ["LEVELS", "log_event"]

LEVELS: Mapping[type[Event], str | None] = {
    AttemptEnded: None,
    Waiting: "DEBUG",
    Queued: "DEBUG",
    Hedged: "DEBUG",
    RetryWithheld: "INFO",
    TargetSkipped: "INFO",
    BreakerChanged: "WARNING",
    RolloutChanged: "INFO",
    RequestEnded: "DEBUG",
    FeedbackGiven: "DEBUG",
    ProviderCloseFailed: "WARNING",
}
"""The level of each event class unless the event reports a failure, which is a warning. None means not logged."""


def _name_attributes(record: Record) -> None:
    """Move the event's attributes to the record's extra fields, under their OpenTelemetry names."""
    event = record["extra"].pop("event", None)
    if isinstance(event, Event):
        record["extra"].update(event.attributes())


_logger = logger.patch(_name_attributes)


def log_event(event: Event) -> None:
    """Log an event if its class is one of `LEVELS`."""
    level = "WARNING" if event.failed else LEVELS.get(type(event))
    if level is not None:
        _logger.log(level, "{event}", event=event)
