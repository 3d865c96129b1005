"""What does not fit a settings class: every fault with its path, on its way from the deepest value up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.config.wording import Path

__all__ = ["Fault", "Misfit"]


@frozen
class Fault:
    """One value that does not fit.

    Attributes:
        path: Where it stands, from the value that was to be structured.
        message: What was found and what was expected; empty when another fault says it.
        hint: What to do about it, or what finds that out; may be empty.
    """

    path: Path
    message: str
    hint: str | Callable[[], str] = ""

    @classmethod
    def of(cls, shown: str, expected: str, hint: str | Callable[[], str] = "") -> Fault:
        """Return the fault of a value as a whole."""
        return cls((), f"found {shown}, expected {expected}", hint)


class Misfit(Exception):  # noqa: N818 # data on its way up, which never leaves the package
    """Values that do not fit, told together."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults

    def under(self, key: str | int) -> list[Fault]:
        """Return the faults as the one who holds the value under a key sees them."""
        return [evolve(fault, path=(key, *fault.path)) for fault in self.faults]
