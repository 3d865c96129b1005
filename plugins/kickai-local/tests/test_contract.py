"""The conformance tests, on the real model."""

from __future__ import annotations

import pytest
from kickai_providers_core.testing import ProviderContract

from kickai_local.plugin import plugin
from kickai_local.settings import LocalSettings


@pytest.mark.llama
@pytest.mark.slow
class TestLocal(ProviderContract):
    """kickai-local keeps the contract; what needs a service to fail does not apply to a model on the machine."""

    plugin = plugin
    vendor = ("xllamacpp", "h11")
    model = "SmolLM2-135M-Instruct.Q4_1"
    needs_key = False

    def settings(self, url, key):
        """Return settings for a small window."""
        return LocalSettings(context_window=512)
