"""The log: one observer of events, through loguru.

The package is silent until an application calls ``logger.enable("kickai_providers_core")`` after importing it.
Messages are constant templates with their fields bound, so that no foreign text is ever taken for a template, and
events hold neither prompts nor replies nor keys.
"""

from __future__ import annotations

import logging
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loguru import Record

__all__ = ["LEVELS", "log_event", "warn"]

LEVELS: Mapping[type[Event], str | None] = {
    AttemptEnded: None,
    Waiting: "DEBUG",
    Queued: "DEBUG",
    Hedged: "DEBUG",
    RetryWithheld: "INFO",
    TargetSkipped: "INFO",
    BreakerChanged: "WARNING",
    RequestEnded: "DEBUG",
    ProviderCloseFailed: "WARNING",
}
"""What is logged, and how loudly where it does not tell of a failure, which is a warning; None for not at all."""


def _name_attributes(record: Record) -> None:
    """Put the event's attributes into the record's extra fields, under their OpenTelemetry names."""
    event = record["extra"].pop("event", None)
    if isinstance(event, Event):
        record["extra"].update(event.attributes())


# Patched once, so that a record that nobody wants costs no more than finding that out.
_logger = logger.patch(_name_attributes)


def log_event(event: Event) -> None:
    """Write one event to the log, if its kind is among the `LEVELS`."""
    level = "WARNING" if event.failed else LEVELS.get(type(event))
    if level is not None:
        _logger.log(level, "{event}", event=event)


def warn(text: str) -> None:
    """Write a warning for the developer of an extension, where somebody sees it.

    It goes to loguru when the application has enabled this package there, and otherwise to the standard library's
    logger ``kickai_providers_core``, which writes to standard error unless the application has configured it.
    """
    taken: list[str] = []

    def take() -> str:
        taken.append(text)
        return text

    logger.opt(lazy=True, depth=1).warning("{text}", text=take)
    if not taken:
        logging.getLogger("kickai_providers_core").warning("%s", text)
