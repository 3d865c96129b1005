"""From the targets of a chain to the candidates that a walk decides about, and the instances that it calls."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from kickai_providers_core.plugin_api.discovery import PACKAGES
from kickai_providers_core.plugin_api.installation import explain_missing
from kickai_providers_core.resilience.candidates import UNVALIDATED, Candidate
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.base_errors import ArgumentValueError
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.plugin_api.registry import Registry
    from kickai_providers_core.resilience.candidates import Obstacle
    from kickai_providers_core.resilience.health import Health

__all__ = ["CandidateFactory"]


@frozen(eq=False, repr=False)
class CandidateFactory:
    """Builds the candidates of a resolver's chains. Safe to use from any thread."""

    _settings: Settings
    _registry: Registry
    _health: Health
    _clock: Callable[[], float]

    def build(self, targets: Iterable[Target], *, is_explicit: bool) -> tuple[list[Candidate], list[Instance | None]]:
        """Return the candidate of each target, and its instance; None for a provider that is not installed.

        Args:
            targets: The targets, in order.
            is_explicit: Whether somebody wrote down this chain. Otherwise a target of the default chain whose provider
                is not installed is skipped.

        Raises:
            UnknownProviderError: A target has no provider.
            ArgumentValueError: There is no target.
        """
        pairs = [self._build_one(place, target, is_explicit=is_explicit) for place, target in enumerate(targets)]
        if not pairs:
            raise ArgumentValueError("a chain needs at least one target")
        return [candidate for candidate, _ in pairs], [instance for _, instance in pairs]

    def _build_one(self, position: int, target: Target, *, is_explicit: bool) -> tuple[Candidate, Instance | None]:
        instance = self._registry.find(target.provider)
        if instance is not None:
            return self._build_candidate(position, target, instance), instance
        is_named = is_explicit or target.provider in self._settings.explicit
        if is_named or target.provider not in PACKAGES:
            raise self._registry.build_unknown_error(target.provider)
        return self._build_missing(position, target), None

    def _build_candidate(self, position: int, target: Target, instance: Instance) -> Candidate:
        own = instance.settings
        model = self._settings.find_successor(target.model) if target.model else own.model
        known = instance.find_model(model)
        candidate = Candidate(
            position=position,
            provider=instance.name,
            model=model,
            timeout_s=own.timeout_s,
            retries=own.retries,
            context_window=own.context_window or (known.context_window if known else None),
            capabilities=instance.get_capabilities(model),
            health=self._health.get_target(instance.name, model, self._clock()),
            rate_limiter=instance.rate_limiter,
            find_obstacle=partial(_find_obstacle, instance),
        )
        if target.model is not None:
            return candidate

        def with_model(model: str) -> Candidate:
            return self._build_candidate(position, Target(target.provider, model), instance)

        return evolve(candidate, with_model=with_model)

    def _build_missing(self, position: int, target: Target) -> Candidate:
        """Return the candidate of a provider that is not installed."""
        hint = explain_missing(PACKAGES[target.provider])
        return Candidate(
            position=position,
            provider=target.provider,
            model=target.model,
            timeout_s=1.0,
            retries=0,
            context_window=None,
            capabilities=frozenset(),
            health=self._health.get_target(target.provider, target.model),
            find_obstacle=lambda: (SkipReason.NOT_INSTALLED, hint),
        )


def _find_obstacle(instance: Instance) -> Obstacle | None:
    """Return why an instance cannot be used at present, or None."""
    validation = instance.validation
    problems = validation.found if validation.found is not None else validation.find_known_problems()
    if problems is None:
        if not validation.is_slow:
            return UNVALIDATED
        return SkipReason.NOT_CONFIGURED, "its plugin has not finished validating its settings"
    if problems:
        return SkipReason.NOT_CONFIGURED, ", ".join(problem.missing or problem.message for problem in problems)
    abandoned = instance.adapter.abandoned
    if abandoned.count >= abandoned.limit:
        return SkipReason.SUSPENDED, f"{abandoned.count} abandoned calls of its plugin are still running"
    return None
