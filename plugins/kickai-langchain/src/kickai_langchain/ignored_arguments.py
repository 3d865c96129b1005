"""Arguments that chat models usually take, and that a chain of several vendors cannot honour."""

from __future__ import annotations

import warnings
from typing import Any

__all__ = ["IgnoredArgumentWarning", "drop_ignored"]

IGNORED = ("api_key", "max_retries")
"""Keys and retries belong to each provider, and are in the settings."""


class IgnoredArgumentWarning(UserWarning):
    """A `ChatKickai` was given an argument that has no effect, since the settings of each provider decide it."""


def drop_ignored(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments without the ignored ones, and warn about these. A key is neither kept nor shown."""
    given = [name for name in IGNORED if fields.get(name) is not None]
    if given:
        warnings.warn(
            f"ChatKickai ignores {' and '.join(given)}: set it for each provider in the settings",
            IgnoredArgumentWarning,
            stacklevel=3,
        )
    return {name: value for name, value in fields.items() if name not in IGNORED}
