"""Bytes whose content is not in their repr, so that logs with local variables do not show it."""

from __future__ import annotations

__all__ = ["Sealed"]


class Sealed(bytes):
    """Bytes that hold a prompt, an answer or a key; their repr shows the length alone."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"
