"""Loads Google's clients without what they say to the terminals of people who did not choose them."""

from __future__ import annotations

import logging
import os
import re
import warnings
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quietly"]

UNWANTED = (
    r"\s*All support for the `google\.generativeai` package has ended",
    r"You are using a (non-supported )?Python version .* google\.api_core",
)
"""How the warnings begin: google-generativeai says that it is no longer supported, which this plugin's documentation
says as well, and google-api-core how long it will support this version of Python."""

BOTH_KEYS = "Both GOOGLE_API_KEY and GEMINI_API_KEY are set"
"""google-genai logs this at warning level although it is given a key, and reads neither."""

_one_at_a_time = Lock()


def _renew_lock() -> None:
    global _one_at_a_time  # noqa: PLW0603  a thread that held it when the process forked is not in the child
    _one_at_a_time = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep known, needless messages of Google's clients from being shown while the block runs.

    Not with `warnings.catch_warnings`: that puts a copy of the list of filters in its place and the old list back
    later, so that changes which other threads make meanwhile are lost, or two such blocks leave a copy behind.
    Here each filter goes into the list and out of the same list.
    """
    log = logging.getLogger("google_genai._api_client")
    with _one_at_a_time:
        filters = cast("list[Any]", warnings.filters)
        for message in UNWANTED:
            warnings.filterwarnings("ignore", message=message, category=FutureWarning)
        log.addFilter(_needed)
        try:
            yield
        finally:
            log.removeFilter(_needed)
            for message in UNWANTED:
                entry = ("ignore", re.compile(message, re.IGNORECASE), FutureWarning, None, 0)
                if entry in filters:
                    filters.remove(entry)


def _needed(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(BOTH_KEYS)
