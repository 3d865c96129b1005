"""What a chain says about itself without calling anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self

from attrs import field, frozen

from kickai_providers_core.resilience.candidates import find_common_capabilities, find_smallest_window
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.walk_context import ChainContext
    from kickai_providers_core.values.requests import Capability
    from kickai_providers_core.walk_starter import WalkStarter

__all__ = ["ChainFacts"]


@frozen(eq=False)
class ChainFacts:
    """The targets and the defaults of a chain. Its copies are itself, and it cannot be pickled."""

    _starter: WalkStarter = field(repr=False)

    @property
    def _candidates(self) -> Sequence[Candidate]:
        return self._starter.own.candidates

    @property
    def _context(self) -> ChainContext:
        return self._starter.context

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets in order, as written in settings. A rollout may move its candidate, or add it."""
        return tuple(each.target for each in self._candidates)

    @property
    def reachable(self) -> tuple[Target, ...]:
        """The targets that a request may call now, with those that a rollout adds."""
        router = self._starter.router
        added = () if router is None else router.list_candidates()
        return tuple(dict.fromkeys(Target(each.provider, each.model) for each in (*self._candidates, *added)))

    @property
    def deadline_s(self) -> float:
        """Seconds that a request may take unless the call says otherwise."""
        return self._context.deadline_s

    @property
    def temperature(self) -> float | None:
        """The temperature of requests that state none; None leaves it to the provider."""
        return self._context.temperature

    @property
    def max_tokens(self) -> int | None:
        """The token limit of requests that state none; None leaves it to the provider."""
        return self._context.max_tokens

    @property
    def role(self) -> str | None:
        """The role that the chain serves, or None."""
        return self._context.role

    @property
    def context_window(self) -> int | None:
        """Tokens that prompt and answer may have together at the target with the smallest known context window.

        Targets that cannot be used, for example because a plugin or a key is missing, do not count as soon as that is
        known. None when no window is known. A rollout's candidate counts only if the chain lists it.
        """
        return find_smallest_window(self._candidates)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What every target can do, so that a request which needs it can fall back to all of them.

        Targets count as in ``context_window``. A request that needs more still goes to those targets that can serve it.
        """
        return find_common_capabilities(self._candidates)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a chain cannot be pickled: it holds connections; create a Resolver in the other process")
