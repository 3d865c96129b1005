"""Keeps prompts and answers out of reprs, logs and tracebacks."""

from __future__ import annotations

from typing import Any

from kickai_providers_core.values.plain_text import format_count

__all__ = ["Masked", "describe_length", "describe_optional_length"]


def describe_length(text: object) -> str:
    """Return the length of a prompt or an answer, which a repr shows instead of the text."""
    return f"<{format_count(len(text), 'byte' if isinstance(text, bytes) else 'character')}>" if text else "<empty>"  # type: ignore[arg-type]


def describe_optional_length(text: str | bytes | None) -> str:
    """Return ``None`` for None, and otherwise the length."""
    return "None" if text is None else describe_length(text)


class Masked:
    """Wraps a prompt, so that loggers that show the local variables of a traceback show only this object's repr.

    ``reveal`` is a method because loggers also show the attributes that a source line reads.
    """

    __slots__ = ("__value",)

    def __init__(self, value: object) -> None:
        self.__value = value

    def reveal(self) -> Any:
        """Return the value itself."""
        return self.__value

    def __repr__(self) -> str:
        return f"<masked {type(self.__value).__name__}>"
