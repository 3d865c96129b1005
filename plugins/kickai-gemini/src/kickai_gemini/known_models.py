"""What is known about Gemini's models: which are retired or soon will be, and which take sampling parameters.

Pure; the day is an argument. Sources, as read in November 2026: the Gemini API's pages "Deprecations"
(ai.google.dev/gemini-api/docs/deprecations) and "Release notes" (ai.google.dev/gemini-api/docs/changelog).
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

from attrs import frozen
from kickai_providers_core import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEFAULT_MODEL",
    "RETIREMENTS",
    "Retirement",
    "build_model_infos",
    "choose_served_model",
    "find_retirement",
    "strip_models_prefix",
    "takes_sampling",
]

DEFAULT_MODEL = "gemini-3.5-flash-lite"
"""The newest flash-lite that is generally available; it thinks least, so a role's few hundred tokens go into its
answer."""


@frozen
class Retirement:
    """The end of a model.

    Attributes:
        model: Its name; dated versions and previews of it end with it.
        on: The first day on which the service no longer answers under that name, or answers with another model.
        successor: The model to use instead.
    """

    model: str
    on: date
    successor: str

    def is_over(self, today: date) -> bool:
        """Return whether the model is retired on that day."""
        return self.on <= today

    def is_soon(self, today: date, days: int = 180) -> bool:
        """Return whether the model is served on that day, and will be retired within the next days."""
        return today < self.on <= today + timedelta(days=days)


RETIREMENTS = (
    Retirement("gemini-pro", date(2025, 2, 15), "gemini-3.8-flash"),
    Retirement("gemini-1.0-pro", date(2025, 2, 15), "gemini-3.8-flash"),
    Retirement("gemini-1.5-pro", date(2025, 9, 29), "gemini-3.8-flash"),
    Retirement("gemini-1.5-flash", date(2025, 9, 29), "gemini-3.5-flash-lite"),
    Retirement("gemini-1.5-flash-8b", date(2025, 9, 29), "gemini-3.5-flash-lite"),
    Retirement("gemini-2.0-pro", date(2025, 12, 2), "gemini-3.8-flash"),
    Retirement("gemini-2.0-flash", date(2026, 6, 1), "gemini-3.5-flash-lite"),
    Retirement("gemini-2.0-flash-lite", date(2026, 6, 1), "gemini-3.5-flash-lite"),
    # From that day on the service itself answers for these two with the successor named here, and bills for it.
    # gemini-2.5-flash-lite "remains available until further notice".
    Retirement("gemini-2.5-pro", date(2026, 12, 1), "gemini-3.8-flash"),
    Retirement("gemini-2.5-flash", date(2026, 12, 1), "gemini-3.5-flash-lite"),
    Retirement("gemini-3-pro-preview", date(2026, 3, 9), "gemini-3.1-pro-preview"),
    Retirement("gemini-3.1-flash-lite-preview", date(2026, 5, 25), "gemini-3.1-flash-lite"),
    Retirement("gemini-3.1-flash-lite", date(2027, 5, 7), "gemini-3.5-flash-lite"),
)

SERVED = (
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "gemini-3.1-flash-lite",
    "gemini-3.1-pro-preview",
    "gemini-3.5-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.6-flash",
    "gemini-3.7-flash",
    "gemini-3.8-flash",
)
WINDOW_TOKENS = 1_048_576
"""The window of every model in ``SERVED``, from their pages (ai.google.dev/gemini-api/docs/models)."""

ALIASES = frozenset({"gemini-flash-latest", "gemini-flash-lite-latest", "gemini-pro-latest"})
"""Names for the newest models: never retired, and with the newest models' rules."""

VERSIONED = re.compile(r"(?P<model>.+?)(?:-(?:\d{3}|latest|preview-[\d-]+|exp(?:-[\d-]+)?))?")
NUMBERED = re.compile(r"gemini-(\d+)(?:\.(\d+))?-?(flash-lite)?")


def strip_models_prefix(model: str) -> str:
    """Return the name without the ``models/`` that the service's own lists put before it."""
    return model.removeprefix("models/")


def find_retirement(model: str) -> Retirement | None:
    """Return the end of a model, or of the one that it is a dated version or a preview of; None when none is known."""
    name = strip_models_prefix(model)
    match = VERSIONED.fullmatch(name)
    names = {name} if match is None else {name, match["model"]}
    return next((end for end in RETIREMENTS if end.model in names and name not in ALIASES), None)


def choose_served_model(model: str, today: date) -> str:
    """Return the model to use on that day: the one named, or the last of its successors."""
    end = find_retirement(model)
    return model if end is None or not end.is_over(today) else choose_served_model(end.successor, today)


def takes_sampling(model: str) -> bool:
    """Return whether a model takes temperature and top_p.

    They are deprecated from Gemini 3.5 Flash-Lite and 3.6 Flash on (release notes of 21 July 2026), and some of
    those models refuse them. Other models than Gemini's own, such as Gemma, take them.
    """
    name = strip_models_prefix(model)
    match = NUMBERED.match(name)
    if match is None:
        return name not in ALIASES
    version = (int(match[1]), int(match[2] or 0))
    return version < ((3, 5) if match[3] else (3, 6))


def build_model_infos(today: date) -> Mapping[str, ModelInfo]:
    """Return what is known about models by name, for `kickai_providers_core.ProviderInfo`."""
    retired = {
        end.model: ModelInfo(successor=choose_served_model(end.model, today))
        for end in RETIREMENTS
        if end.is_over(today)
    }
    return {name: ModelInfo(context_window=WINDOW_TOKENS) for name in SERVED} | retired
