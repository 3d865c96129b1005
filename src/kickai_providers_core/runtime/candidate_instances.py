"""From a walk's candidates to the provider instances that are called for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.resilience.actions import Call, Validate

__all__ = ["Instances", "find_instance"]

Instances = Sequence["Instance | None"]
"""The provider instance of each candidate, by position; None for a provider that is not installed."""


def find_instance(instances: Instances, action: Call | Validate) -> Instance:
    """Return the instance that an action calls.

    Raises:
        RuntimeError: It is not installed; the walk must have skipped it.
    """
    instance = instances[action.candidate.position]
    if instance is None:
        raise RuntimeError(f"{action.candidate.provider} is not installed and must be skipped")
    return instance
