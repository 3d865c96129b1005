"""Names that services give to things, such as models, made safe to show."""

from __future__ import annotations

import re

__all__ = ["printable_name"]

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_LONGEST_NAME = 200


def printable_name(value: object) -> str:
    """Return a service's name for something, such as a model, in printable ASCII; empty if it is not text.

    Names go into replies, errors and messages, and from there to terminals. At most 200 characters are kept.
    """
    return _UNPRINTABLE.sub("", value)[:_LONGEST_NAME] if isinstance(value, str) else ""
