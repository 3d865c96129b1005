"""Which provider is healthy: a view of the resolver's circuit breakers and suspensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.compat.names import to_ai_provider, to_name
from kickai_providers_core.compat.process_default import get_resolver

if TYPE_CHECKING:
    from kickai_providers_core.resilience.health_report import HealthStateReport
    from kickai_providers_core.resolver import Resolver

__all__ = ["SmartProvider", "get_smart_provider", "is_usable"]


class SmartProvider:
    """Chooses a provider for calls that the application makes itself, and takes their outcomes.

    It keeps nothing: it reads and changes the health that all chains of the resolver use. So a provider that chains
    have found to fail is not chosen here, and what is reported here makes chains skip it. Safe to use from any thread.
    """

    def get_optimal_provider(self, role: str | None = None) -> str:
        """Return the first provider of a role's chain that is configured and healthy.

        If none is healthy, it is the one that may be called again first. So every provider is called again in time.

        Args:
            role: An `AgentRole`, or another role; None for the order of the settings.

        Returns:
            An `AIProvider`, or the name of another instance.

        Raises:
            ConfigError: The settings are invalid.
        """
        resolver = get_resolver()
        targets = resolver.for_role(None if role is None else to_name("role", role)).targets
        providers = list(dict.fromkeys(target.partition(":")[0] for target in targets))
        usable = [name for name in providers if is_usable(resolver, name)] or providers
        waits_s = {name: state.available_in_s for name, state in self._find_states().items()}
        return to_ai_provider(min(usable, key=lambda name: waits_s.get(name, 0.0)))

    def is_healthy(self, provider: str) -> bool:
        """Return whether a provider's breaker is closed and it is not suspended, as far as this process knows.

        Raises:
            UnknownProviderError: The provider is not configured.
        """
        resolver = get_resolver()
        instance = resolver.registry.find(name := to_name("provider", provider))
        if instance is None:
            raise resolver.registry.build_unknown_error(name)
        state = self._find_states().get(instance.name)
        return state is None or (state.breaker == "closed" and not state.suspended_s)

    def report_error(self, provider: str, error: BaseException | None = None) -> None:  # noqa: ARG002  the plan's
        """Report that a call without a chain has failed. Three such errors in a row make the provider unhealthy.

        The number is ``max_errors`` in ``[breaker]``. After ``cooldown_s`` one call tests the provider again.

        Args:
            provider: An `AIProvider`, or another instance of the settings.
            error: What it raised; every error counts the same.

        Raises:
            UnknownProviderError: The provider is not configured.
        """
        get_resolver().outside_calls.record_outcome(to_name("provider", provider), ok=False)

    def report_success(self, provider: str) -> None:
        """Report that a call without a chain was answered. It offsets one error, and closes an open breaker.

        Args:
            provider: An `AIProvider`, or another instance of the settings.

        Raises:
            UnknownProviderError: The provider is not configured.
        """
        get_resolver().outside_calls.record_outcome(to_name("provider", provider), ok=True)

    @staticmethod
    def _find_states() -> dict[str, HealthStateReport]:
        return {state.provider: state for state in get_resolver().health().providers}


def get_smart_provider() -> SmartProvider:
    """Return the view of the health of the resolver that `compat` uses."""
    return SmartProvider()


def is_usable(resolver: Resolver, provider: str) -> bool:
    """Return whether a provider is installed and configured. Its plugin may take a moment to validate its settings."""
    instance = resolver.registry.find(provider)
    return instance is not None and not instance.validation.find_problems()
