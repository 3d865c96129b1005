"""What the tests share: a server that answers as scripted, and providers that ask it."""

from __future__ import annotations

import pytest
from hf_wire import MODEL, HfWire
from kickai_providers_core import Secret
from kickai_providers_core.testing.faults import FaultServer

from kickai_hf.provider import HuggingFace
from kickai_hf.settings import HuggingFaceSettings


@pytest.fixture
def server():
    """Serve chat completions, or faults, on loopback."""
    with FaultServer(HfWire()) as server:
        yield server


@pytest.fixture
def provide(server):
    """Return a maker of providers, which ask the server unless told otherwise; all are closed afterwards."""
    made = []

    def make(**changes):
        told = {"base_url": server.url, "token": Secret("token-of-the-test"), "model": MODEL, **changes}
        made.append(HuggingFace(HuggingFaceSettings(**told)))
        return made[-1]

    yield make
    for provider in made:
        provider.close()
