"""The services that a report compares, and the instances that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core.config.settings import Settings

__all__ = ["FALLBACK_KIND", "FREE_KIND", "find_service", "find_simulated"]

FREE_KIND, FALLBACK_KIND = "huggingface", "gemini"
"""The plugins of the two services that the move is about."""

MOCK = "mock"


def find_service(settings: Settings, instance: str) -> str:
    """Return the name of the plugin whose service an instance is.

    An instance of kickai-mock with the name of one of the two services simulates it, so that the report of a rehearsal
    has the same measures and prices.
    """
    return instance if _is_simulated(settings, instance) else settings.kind_of(instance)


def find_simulated(settings: Settings, instances: Iterable[str]) -> list[str]:
    """Return the instances that simulate a service, in order."""
    return sorted({each for each in instances if _is_simulated(settings, each)})


def _is_simulated(settings: Settings, instance: str) -> bool:
    return instance in {FREE_KIND, FALLBACK_KIND} and settings.kind_of(instance) == MOCK
