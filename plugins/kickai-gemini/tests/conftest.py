"""What the tests share: the clients, a scripted service, and a provider that calls it."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from importlib import metadata

import hypothesis
import pytest
from gemini_service import GeminiService
from kickai_providers_core import Secret
from kickai_providers_core.testing import ProviderCaller
from kickai_providers_core.testing.faults import FaultServer

from kickai_gemini.client import Gemini
from kickai_gemini.sdk import is_sdk_usable
from kickai_gemini.settings import GeminiSettings

SDKS = ("google-generativeai", "google-genai")
MODES = ("invoke", "ainvoke", "stream", "astream")
KEY = Secret("AIza-canary-key")


hypothesis.settings.register_profile("busy", deadline=None)
hypothesis.settings.load_profile("busy")


def pytest_configure():
    """Stop when an expected client is missing, since its tests would be skipped.

    ``KICKAI_GEMINI_NEEDS`` names distributions, with commas between them.
    """
    needed = os.environ.get("KICKAI_GEMINI_NEEDS", "google-generativeai" if "CI" in os.environ else "")
    absent = [name for name in needed.split(",") if name and not installed(name)]
    if absent:
        pytest.exit(f"not installed, though it is counted on: {', '.join(absent)}", returncode=1)


def installed(name):
    """Return whether a distribution is installed, in a version that can be used."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return name not in SDKS or is_sdk_usable(name)


@pytest.fixture(params=SDKS)
def sdk(request):
    """Return each client in turn."""
    if not is_sdk_usable(request.param):
        pytest.skip(f"{request.param} is not installed")
    return request.param


@contextmanager
def closed_port():
    """Yield a port that is closed, and that no other test can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class Caller(ProviderCaller[Gemini]):
    """A provider, called in any of the four modes."""

    def __init__(self, settings: GeminiSettings) -> None:
        super().__init__(Gemini(settings))


@pytest.fixture
def service():
    """Return the service behind `server`, which can be given an answer."""
    return GeminiService()


@pytest.fixture
def server(service):
    """Serve the Gemini API, or faults, on loopback."""
    with FaultServer(service) as server:
        yield server


@pytest.fixture
def calls(server, sdk):
    """Return a function that creates callers of the server; all are closed afterwards."""
    made: list[Caller] = []

    def make(**changes: object) -> Caller:
        caller = Caller(GeminiSettings(**{"base_url": server.url, "api_key": KEY, "client": sdk, **changes}))
        made.append(caller)
        return caller

    yield make
    for caller in made:
        caller.provider.close()
