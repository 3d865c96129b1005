"""The hook."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kickai_providers_core import hookimpl

from kickai_otel.observer import OtelObserver
from kickai_otel.settings import OtelSettings

if TYPE_CHECKING:
    from kickai_providers_core.values.events import Event

__all__ = ["kickai_observe"]

_observe = OtelObserver(settings=OtelSettings.from_env(os.environ))
"""One for all resolvers of the process; the numbers of their requests differ."""


@hookimpl
def kickai_observe(event: Event) -> None:
    """Emit spans and metrics to the global providers of OpenTelemetry."""
    _observe(event)
