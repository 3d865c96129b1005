"""Ranking: orders the targets of a request by the routing settings and the plugins."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kickai_providers_core.plugin_api.extension_warnings import warn
from kickai_providers_core.plugin_api.extensions import combine_hooks
from kickai_providers_core.plugin_api.isolation import is_process_exit
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.routing import Routing
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["Ranking"]

MAX_RANKED = 10_000
"""The maximum number of targets that are read from a plugin's result, which may be an endless iterator."""


@define(eq=False, repr=False)
class Ranking:
    """Orders the candidates of a chain for one request. Safe to call from any thread.

    Plugins can change the order, but cannot add or remove targets.
    """

    _routing: Routing
    _plugins: Mapping[str, object] = field(factory=dict, repr=False)
    _faulty: set[str] = field(factory=set, init=False)
    _called: Callable[..., Any] | None = field(init=False, repr=False)

    @_called.default
    def _combine_hooks(self) -> Callable[..., Any] | None:
        return combine_hooks(self._plugins, "kickai_rank_targets", self._report)

    @property
    def is_needed(self) -> bool:
        """Whether the settings or a plugin can change the order."""
        return self._routing.strong is not None or self._called is not None

    def __call__(self, request: ChatRequest, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Return the candidates in the order in which this request tries them."""
        strong = self._routing.choose(request)
        if strong is not None:
            candidates = sorted(candidates, key=lambda candidate: not _matches(candidate, strong))
        if self._called is not None:
            candidates = self._ask_plugins(self._called, request, candidates)
        return candidates

    def _ask_plugins(
        self, called: Callable[..., Any], request: ChatRequest, candidates: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        targets = tuple(Target(candidate.provider, candidate.model) for candidate in candidates)
        try:
            wanted = called(request=request, targets=targets)
            return candidates if wanted is None else _reorder(candidates, targets, wanted)
        except BaseException as exc:
            if is_process_exit(exc):
                raise
            self._report(", ".join(self._plugins), exc)
            return candidates

    def _report(self, label: str, error: BaseException) -> None:
        """Warn about a plugin's exception, once for each plugin."""
        if label not in self._faulty:
            self._faulty.add(label)
            warn(f"ranking the targets raised {type(error).__name__} in {label}; its further errors are not reported")


def _matches(candidate: Candidate, target: Target) -> bool:
    return candidate.provider == target.provider and target.model in {None, candidate.model}


def _reorder(
    candidates: Sequence[Candidate], targets: Sequence[Target], wanted: Iterable[Target]
) -> Sequence[Candidate]:
    """Return the candidates of the wanted targets first, and then the others in their order."""
    places = list(range(len(candidates)))
    front = []
    for target in islice(wanted, MAX_RANKED):
        place = next((place for place in places if targets[place] == target), None)
        if place is not None:
            places.remove(place)
            front.append(place)
    return [candidates[place] for place in (*front, *places)]
