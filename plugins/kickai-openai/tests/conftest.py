"""Fixtures: a scripted server, and providers that call it."""

from __future__ import annotations

import pytest
from calling import MODEL
from kickai_providers_core import Secret
from kickai_providers_core.testing.chat_completions import ChatWire
from kickai_providers_core.testing.faults import FaultServer

from kickai_openai.client import OpenAIProvider
from kickai_openai.settings import OpenAISettings


@pytest.fixture
def server():
    """Serve chat completions, or faults, on loopback."""
    with FaultServer(ChatWire(MODEL)) as server:
        yield server


@pytest.fixture
def provide(server):
    """Return a function that makes providers for the server; all are closed afterwards."""
    made = []

    def make(**changes):
        settings = {"base_url": server.url, "api_key": Secret("key-of-the-test"), "model": MODEL, **changes}
        made.append(OpenAIProvider(OpenAISettings(**settings)))
        return made[-1]

    yield make
    for provider in made:
        provider.close()
