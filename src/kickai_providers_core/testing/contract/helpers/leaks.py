"""Finds the key in an error."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from kickai_providers_core.testing.contract.helpers.constants import KEY

if TYPE_CHECKING:
    from kickai_providers_core.values.errors import ProviderError

__all__ = ["find_key_leaks"]


def find_key_leaks(error: ProviderError) -> list[str]:
    """Return the parts of an error that contain the key, its traceback with local variables and causes included."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = {
        "message": str(error),
        "repr": repr(error),
        "fields": repr(vars(error)),
        "traceback with local variables": "".join(trace.format()),
    }
    return [part for part, text in shown.items() if KEY.reveal() in text]
