"""The settings as the migration plan's code reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import fields, frozen

from kickai_providers_core.compat.names import to_ai_provider, to_name
from kickai_providers_core.compat.process_default import get_resolver
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from kickai_providers_core.config.settings import Settings

__all__ = ["SettingsView", "get_settings"]


@frozen(repr=False)
class SettingsView:
    """The settings of the resolver that `compat` uses.

    Attributes:
        settings: The settings themselves.
    """

    settings: Settings

    def __repr__(self) -> str:
        return f"SettingsView(ai_provider={str(self.ai_provider)!r})"

    @property
    def ai_provider(self) -> str:
        """The provider that is called first: that of ``AI_PROVIDER``, or else the primary one."""
        kickai = self.settings.kickai
        return to_ai_provider(kickai.preferred or kickai.primary)

    def get_ai_api_key(self, provider: str | None = None) -> str:
        """Return the key of a provider as plain text; empty when it has none.

        Chains need no key from here. Do not log it, and do not keep it in a variable longer than needed.

        Args:
            provider: An `AIProvider`, or another instance of the settings; None for ``ai_provider``.

        Raises:
            UnknownProviderError: The provider is not configured.
        """
        registry = get_resolver().registry
        name = to_name("provider", self.ai_provider if provider is None else provider)
        instance = registry.find(name)
        if instance is None:
            raise registry.build_unknown_error(name)
        values = (getattr(instance.settings, each.name) for each in fields(type(instance.settings)))
        return next((value.reveal() for value in values if isinstance(value, Secret) and value), "")


def get_settings() -> SettingsView:
    """Return the settings of the resolver that `compat` uses.

    Raises:
        ConfigError: The settings are invalid; it lists every problem.
    """
    return SettingsView(get_resolver().settings)
