"""The suspensions of one target or provider, as a value: times in which it is not called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NOT_SUSPENDED", "Suspension", "Suspensions", "find_longest"]

LONG_AGO = float("-inf")


@frozen(eq=False, repr=False)
class Suspension(Value):
    """A time in which a target or provider is not called.

    Attributes:
        until: When it ends.
        reason: Its reason, for a reader.
        is_rate_limit: Whether a rate limit caused it, so that waiting for its end makes sense.
        stated: Whether the service stated the delay, or its quota is used up. Then even the last resort waits.
        generation: Its number at its target or provider, from 1. Set when it begins.
    """

    until: float = LONG_AGO
    reason: str = ""
    is_rate_limit: bool = False
    stated: bool = False
    generation: int = 0


NOT_SUSPENDED = Suspension()
"""A suspension that has always been over."""


@frozen(eq=False, repr=False)
class Suspensions(Value):
    """The suspensions of one target or provider.

    A call that was admitted before a suspension began proves nothing about it. Therefore each suspension has a
    generation, each permit carries the latest generation at its admission, and a success ends only the suspensions up
    to that one.

    Attributes:
        generation: The number of suspensions so far.
        longest: The one that ends last, or `NOT_SUSPENDED`.
        active: Those that may matter. One that a later suspension covers is dropped.
    """

    generation: int = 0
    longest: Suspension = NOT_SUSPENDED
    active: tuple[Suspension, ...] = ()

    def begin(self, suspension: Suspension) -> Suspensions:
        """Return these and one more. One that lasts longer continues."""
        newest = evolve(suspension, generation=self.generation + 1)
        kept = tuple(old for old in self.active if not _covers(newest, old))
        return _from_active(newest.generation, (*kept, newest))

    def end(self, generation: int) -> Suspensions:
        """Return what is left after a successful call.

        Args:
            generation: The latest suspension that had begun when the call was admitted.
        """
        left = tuple(each for each in self.active if each.generation > generation)
        return self if len(left) == len(self.active) else _from_active(self.generation, left)

    @property
    def stated_until(self) -> float:
        """When the last stated delay ends; negative infinity when there is none."""
        return max((each.until for each in self.active if each.stated), default=LONG_AGO)


def _from_active(generation: int, active: tuple[Suspension, ...]) -> Suspensions:
    return Suspensions(generation, find_longest((NOT_SUSPENDED, *active)), active)


def _covers(new: Suspension, old: Suspension) -> bool:
    return find_longest((new, old)) is new and new.stated >= old.stated


def find_longest(suspensions: Iterable[Suspension]) -> Suspension:
    """Return the suspension that ends last; a rate limit, if one ends at the same time as another suspension."""
    return max(suspensions, key=lambda each: (each.until, each.is_rate_limit))
