"""Bytes that a log with local variables does not show."""

from __future__ import annotations

__all__ = ["Sealed"]


class Sealed(bytes):
    """Bytes that hold a prompt, an answer or a key, and show nobody."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"
