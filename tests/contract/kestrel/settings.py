"""What the provider can be told."""

from __future__ import annotations

from attrs import frozen

from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.values.secrets import Secret


@frozen(kw_only=True)
class KestrelSettings(ProviderSettings):
    """One account of the service.

    Attributes:
        url: Where the service is.
        key: What it wants to be shown.
    """

    url: str = "http://127.0.0.1:9"
    key: Secret | None = None
