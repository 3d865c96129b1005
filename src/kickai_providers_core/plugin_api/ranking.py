"""In which order one request goes down its chain: as it stands, as the settings' rule has it, or as a plugin does."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kickai_providers_core.observability.log import warn
from kickai_providers_core.plugin_api.extensions import listeners
from kickai_providers_core.plugin_api.isolation import is_for_everyone
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kickai_providers_core.resilience.candidates import Link
    from kickai_providers_core.resilience.routing import Routing
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["Ranking"]

MOST_WANTED = 10_000
"""The most targets that are read of what a plugin returns, since it may be an iterator without end."""


@define(eq=False, repr=False)
class Ranking:
    """Puts the links of a chain in the order for one request. Safe to call from any thread.

    Whoever ranks may move links, and neither add any nor leave any out.
    """

    _routing: Routing
    _plugins: Mapping[str, object] = field(factory=dict, repr=False)
    _faulty: set[str] = field(factory=set, init=False)
    _called: Callable[..., Any] | None = field(init=False, repr=False)

    @_called.default
    def _hook(self) -> Callable[..., Any] | None:
        return listeners(self._plugins, "kickai_rank_targets", self._report)

    @property
    def needed(self) -> bool:
        """Whether there is anybody who might change an order."""
        return self._routing.strong is not None or self._called is not None

    def __call__(self, request: ChatRequest, links: Sequence[Link]) -> Sequence[Link]:
        """Return the links in the order in which this request should come by them."""
        strong = self._routing.calls_for(request)
        if strong is not None:
            links = sorted(links, key=lambda link: not _meant(link, strong))
        if self._called is not None:
            links = self._asked(self._called, request, links)
        return links

    def _asked(self, called: Callable[..., Any], request: ChatRequest, links: Sequence[Link]) -> Sequence[Link]:
        targets = tuple(Target(link.provider, link.model) for link in links)
        try:
            wanted = called(request=request, targets=targets)
            return links if wanted is None else _moved(links, targets, wanted)
        except BaseException as exc:
            if is_for_everyone(exc):
                raise
            self._report(", ".join(self._plugins), exc)
            return links

    def _report(self, label: str, error: BaseException) -> None:
        """Report what a plugin raised, the first time."""
        if label not in self._faulty:
            self._faulty.add(label)
            warn(f"ranking the targets raised {type(error).__name__} in {label}; its further errors are not reported")


def _meant(link: Link, target: Target) -> bool:
    return link.provider == target.provider and target.model in {None, link.model}


def _moved(links: Sequence[Link], targets: Sequence[Target], wanted: Iterable[Target]) -> Sequence[Link]:
    """Return the links in the order of the wanted targets; those that are not among them keep theirs, behind."""
    places = list(range(len(links)))
    front = []
    for target in islice(wanted, MOST_WANTED):
        place = next((place for place in places if targets[place] == target), None)
        if place is not None:
            places.remove(place)
            front.append(place)
    return [links[place] for place in (*front, *places)]
