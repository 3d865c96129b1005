"""A provider that is called in each mode by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.testing import ProviderCaller

from kickai_ollama.client import OllamaProvider

if TYPE_CHECKING:
    from kickai_providers_core.authoring import HttpTransport

    from kickai_ollama.settings import OllamaSettings

MODES = ("invoke", "ainvoke", "stream", "astream")


class Caller(ProviderCaller[OllamaProvider]):
    """A provider, called in a mode by name."""

    def __init__(self, settings: OllamaSettings, connections: HttpTransport | None = None) -> None:
        super().__init__(OllamaProvider(settings, connections))
        self.settings = settings
