"""Fixtures: a scripted server, and providers that call it."""

from __future__ import annotations

import pytest
from hf_wire import MODEL, HfWire
from kickai_providers_core import Secret
from kickai_providers_core.testing.faults import FaultServer

from kickai_hf.client import HuggingFace
from kickai_hf.settings import HuggingFaceSettings


@pytest.fixture
def server():
    """Serve chat completions, or faults, on loopback."""
    with FaultServer(HfWire()) as server:
        yield server


@pytest.fixture
def provide(server):
    """Return a function that makes providers for the server; all are closed afterwards."""
    made = []

    def make(**changes):
        settings = {"base_url": server.url, "token": Secret("token-of-the-test"), "model": MODEL, **changes}
        made.append(HuggingFace(HuggingFaceSettings(**settings)))
        return made[-1]

    yield make
    for provider in made:
        provider.close()
