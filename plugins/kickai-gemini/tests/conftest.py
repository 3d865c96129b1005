"""What the tests share: the clients, a scripted service, and a provider that calls it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import aclosing, closing, contextmanager
from importlib import metadata

import hypothesis
import pytest
from attrs import frozen
from gemini_service import GeminiService
from kickai_providers_core import ChatRequest, ProviderError, Reply, ReplyChunk, Secret
from kickai_providers_core.authoring import build_reply
from kickai_providers_core.testing.faults import FaultServer

from kickai_gemini.client import Gemini
from kickai_gemini.sdk import is_usable
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
    return name not in SDKS or is_usable(name)


@pytest.fixture(params=SDKS)
def sdk(request):
    """Return each client in turn."""
    if not is_usable(request.param):
        pytest.skip(f"{request.param} is not installed")
    return request.param


@contextmanager
def closed_port():
    """Yield a port that is closed, and that no other test can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@frozen
class Ended:
    """How a call ended, and after how long."""

    reply: Reply | None
    error: ProviderError | None
    elapsed_s: float
    chunks: tuple[ReplyChunk, ...] = ()


class Caller:
    """A provider, called in any of the four modes."""

    def __init__(self, settings: GeminiSettings) -> None:
        self.provider = Gemini(settings)

    def __call__(
        self,
        mode: str = "invoke",
        request: ChatRequest | str = "ping",
        timeout_s: float = 10.0,
        model: str | None = None,
    ) -> Ended:
        """Call, and return how it ended; async modes run on a new event loop."""
        request = ChatRequest.of(request).for_model(model)
        chunks: list[ReplyChunk] = []
        reply = error = None
        began = time.perf_counter()
        try:
            reply = getattr(self, f"_{mode}")(request, timeout_s, chunks)
        except ProviderError as exc:
            error = exc
        return Ended(reply, error, time.perf_counter() - began, tuple(chunks))

    def _invoke(self, request: ChatRequest, timeout_s: float, _: list[ReplyChunk]) -> Reply:
        return self.provider.invoke(request, timeout_s)

    def _ainvoke(self, request: ChatRequest, timeout_s: float, _: list[ReplyChunk]) -> Reply:
        return asyncio.run(self.provider.ainvoke(request, timeout_s))

    def _stream(self, request: ChatRequest, timeout_s: float, chunks: list[ReplyChunk]) -> Reply:
        with closing(self.provider.stream(request, timeout_s)) as stream:
            chunks.extend(stream)
        return build_reply(chunks)

    def _astream(self, request: ChatRequest, timeout_s: float, chunks: list[ReplyChunk]) -> Reply:
        async def read() -> None:
            async with aclosing(self.provider.astream(request, timeout_s)) as stream:
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401  those before an error count

        asyncio.run(read())
        return build_reply(chunks)


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
