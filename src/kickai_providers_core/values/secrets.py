"""A secret value that shows itself to nobody who does not ask."""

from __future__ import annotations

from typing import Never, Self

__all__ = ["Secret"]


class Secret:
    """Wrap a key or a token, so that no repr, log line, traceback or pickle holds it.

    Only `reveal` gives the value back; call it where the value goes onto the wire and keep the result in no
    variable that outlives the call: a traceback with local variables shows variables. It does not change, so it is its
    own copy and deep copy; it does not pickle.
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
        message = "a Secret is never pickled: pass the name of its environment variable instead"
        raise TypeError(message)
