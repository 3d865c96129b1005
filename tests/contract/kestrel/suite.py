"""The conformance tests of the mutant that the environment names."""

from __future__ import annotations

import os

from kestrel.plugin import plugin
from kestrel.settings import KestrelSettings
from kestrel.wire import KestrelWire
from kestrel.wrong import MUTANTS
from kickai_providers_core.testing import ProviderContract
from kickai_providers_core.values.replies import FinishReason

NAME = os.environ.get("KESTREL_MUTANT", "")


class TestMutant(ProviderContract):
    """A wrong provider, or the good one when no mutant is named."""

    plugin = MUTANTS[NAME].plugin if NAME in MUTANTS else plugin
    wire = KestrelWire()
    vendor = ("kestrel.client",)
    finish_reasons = frozenset(FinishReason) - {FinishReason.ERROR}
    patience_s = 0.15

    def settings(self, url, key):
        """Point it at the service."""
        return KestrelSettings(url=url, key=key)
