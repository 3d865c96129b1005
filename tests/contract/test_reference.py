"""The reference provider passes every conformance test."""

from __future__ import annotations

from kestrel.plugin import plugin
from kestrel.settings import KestrelSettings
from kestrel.wire import KestrelWire

from kickai_providers_core.testing import ProviderContract
from kickai_providers_core.values.replies import FinishReason


class TestKestrel(ProviderContract):
    """The correct provider of an invented service."""

    plugin = plugin
    wire = KestrelWire()
    vendor = ("kestrel.client",)
    finish_reasons = frozenset(FinishReason) - {FinishReason.ERROR}

    def settings(self, url, key):
        """Return settings for the fault server."""
        return KestrelSettings(url=url, key=key)
