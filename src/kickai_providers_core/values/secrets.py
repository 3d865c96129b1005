"""A secret value that never appears in reprs, logs or pickles."""

from __future__ import annotations

from typing import Never, Self

__all__ = ["Secret"]


class Secret:
    """Wraps a key or a token, so that it does not appear in reprs, log lines, tracebacks or pickles.

    Only `reveal` returns the value. Call it where the value is sent, and do not keep the result in a variable:
    tracebacks can show local variables. A secret is immutable, so ``copy`` and ``deepcopy`` return the same object. It
    cannot be pickled.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self.__value

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__value == other.__value

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __repr__(self) -> str:
        return "Secret('***')" if self.__value else "Secret('')"

    __str__ = __repr__

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> Never:
        message = "a Secret cannot be pickled: pass the name of its environment variable instead"
        raise TypeError(message)
