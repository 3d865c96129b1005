"""Loads google-generativeai without the warning that its dependency shows to people who did not choose it."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hide_known_warnings"]

PYTHON_VERSION = r"You are using a (non-supported )?Python version .* google\.api_core"
"""How google-api-core says how long it will support this version of Python."""


@contextmanager
def hide_known_warnings() -> Iterator[None]:
    """Hide that one warning while the block runs.

    `warnings.catch_warnings` would replace the list of filters and restore the old list later, so changes that other
    threads make meanwhile would be lost. Here a filter is added to the list and removed from the same list.
    """
    filters = cast("list[Any]", warnings.filters)
    warnings.filterwarnings("ignore", message=PYTHON_VERSION, category=FutureWarning)
    try:
        yield
    finally:
        entry = ("ignore", re.compile(PYTHON_VERSION, re.IGNORECASE), FutureWarning, None, 0)
        if entry in filters:
            filters.remove(entry)
