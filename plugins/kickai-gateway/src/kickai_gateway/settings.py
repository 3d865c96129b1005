"""The settings of the gateway: the table ``[gateway]``, which the core reads with all others."""

from __future__ import annotations

from kickai_providers_core.config.gateway_settings import GatewaySettings

__all__ = ["GatewaySettings"]
