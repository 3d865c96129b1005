"""In which order one request goes down its chain: as it stands, as the settings' rule has it, or as a plugin does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from loguru import logger

from kickai_providers_core.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pluggy

    from kickai_providers_core.link import Link
    from kickai_providers_core.messages import ChatRequest
    from kickai_providers_core.routing import Routing

__all__ = ["Ranking"]


@define(eq=False, repr=False)
class Ranking:
    """Puts the links of a chain in the order for one request. Safe to call from any thread.

    Whoever ranks may move links, and neither add any nor leave any out.
    """

    _routing: Routing
    _plugins: pluggy.PluginManager | None = field(default=None, repr=False)
    _faulty: bool = field(default=False, init=False)

    @property
    def needed(self) -> bool:
        """Whether there is anybody who might change an order."""
        return self._routing.strong is not None or self._plugins is not None

    def __call__(self, request: ChatRequest, links: Sequence[Link]) -> Sequence[Link]:
        """Return the links in the order in which this request should come by them."""
        strong = self._routing.calls_for(request)
        if strong is not None:
            links = sorted(links, key=lambda link: not _meant(link, strong))
        if self._plugins is not None:
            links = self._asked(self._plugins, request, links)
        return links

    def _asked(self, plugins: pluggy.PluginManager, request: ChatRequest, links: Sequence[Link]) -> Sequence[Link]:
        targets = tuple(Target(link.provider, link.model) for link in links)
        try:
            wanted = plugins.hook.kickai_rank_targets(request=request, targets=targets)
            return links if wanted is None else _moved(links, targets, wanted)
        except Exception as exc:  # noqa: BLE001  a plugin's mistake must not fail a request
            if not self._faulty:
                self._faulty = True
                logger.warning(
                    "ranking the targets raised {error}; the order stays, now and for every such error",
                    error=type(exc).__name__,
                )
            return links


def _meant(link: Link, target: Target) -> bool:
    return link.provider == target.provider and target.model in {None, link.model}


def _moved(links: Sequence[Link], targets: Sequence[Target], wanted: Iterable[Target]) -> Sequence[Link]:
    """Return the links in the order of the wanted targets; those that are not among them keep theirs, behind."""
    places = list(range(len(links)))
    front = []
    for target in wanted:
        place = next((place for place in places if targets[place] == target), None)
        if place is not None:
            places.remove(place)
            front.append(place)
    return [links[place] for place in (*front, *places)]
