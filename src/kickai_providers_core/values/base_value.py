"""The base of frozen values, which compares, hashes and shows them by their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["Value"]


class Value:
    """Base of attrs classes with ``@frozen(eq=False, repr=False)``: its methods do what those of attrs would do.

    attrs writes and compiles its methods for each class, which took a quarter of the time to import the core.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        __attrs_attrs__: ClassVar[tuple[Attribute[Any], ...]]

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _list_compared(self))

    def __hash__(self) -> int:
        return hash((self.__class__, *(getattr(self, name) for name in _list_compared(self))))

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{field.name}={(repr if field.repr is True else field.repr)(getattr(self, field.name))}"
            for field in self.__attrs_attrs__
            if field.repr is not False
        )
        return f"{self.__class__.__qualname__.rpartition('>.')[2]}({fields})"


def _list_compared(value: Value) -> list[str]:
    return [field.name for field in value.__attrs_attrs__ if field.eq]
