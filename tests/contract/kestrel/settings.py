"""The settings of the reference provider."""

from __future__ import annotations

from attrs import frozen

from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.values.secrets import Secret


@frozen(kw_only=True)
class KestrelSettings(ProviderSettings):
    """One account of the service.

    Attributes:
        url: The address of the service.
        key: The key.
    """

    url: str = "http://127.0.0.1:9"
    key: Secret | None = None
