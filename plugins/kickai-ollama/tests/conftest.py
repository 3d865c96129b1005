"""Fixtures: a server that answers as scripted, and callers of it."""

from __future__ import annotations

import pytest
from calling import Caller
from hypothesis import HealthCheck, settings
from kickai_providers_core.testing.faults import FaultServer
from ollama_wire import MODEL, OllamaWire

from kickai_ollama.settings import OllamaSettings

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes depends on the machine


@pytest.fixture
def server():
    """Serve Ollama's protocol, or faults, on loopback."""
    with FaultServer(OllamaWire()) as server:
        yield server


@pytest.fixture
def calls(server):
    """Return a function that makes callers of the server; all are closed afterwards."""
    made: list[Caller] = []

    def make(**changes: object) -> Caller:
        caller = Caller(OllamaSettings(**{"host": server.url, "model": MODEL, **changes}))
        made.append(caller)
        return caller

    yield make
    for caller in made:
        caller.provider.close()
