"""The conformance tests that `run_mutants` runs; it replaces the plugin by each mutant in turn."""

from __future__ import annotations

from kestrel.plugin import plugin
from kestrel.settings import KestrelSettings
from kestrel.wire import KestrelWire
from kickai_providers_core.testing import ProviderContract
from kickai_providers_core.values.replies import FinishReason


class TestMutant(ProviderContract):
    """The standard tests."""

    plugin = plugin
    wire = KestrelWire()
    vendor = ("kestrel.client",)
    finish_reasons = frozenset(FinishReason) - {FinishReason.ERROR}
    patience_s = 0.15

    def settings(self, url, key):
        """Return settings for the fault server."""
        return KestrelSettings(url=url, key=key)
