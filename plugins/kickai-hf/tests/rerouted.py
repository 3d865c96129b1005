"""A provider whose requests to Hugging Face's router reach a test's server: the router's address is not a setting."""

from __future__ import annotations

from attrs import evolve
from kickai_providers_core.authoring import http_transport

from kickai_hf.client import HuggingFace

ROUTER = "https://router.huggingface.co"


class Rerouted:
    """Connections to a server on loopback that replaces the router; no other address is accepted."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._transport = http_transport(url, client="httpx2", max_connections=10)
        self.httpx, self.httpcore = self._transport.httpx, self._transport.httpcore

    def attempt(self, timeouts, *, max_answer_bytes):
        """Return an attempt whose requests go to the server."""
        attempt = self._transport.attempt(timeouts, max_answer_bytes=max_answer_bytes)
        send, asend = attempt.send, attempt.asend
        attempt.send = lambda message: send(self._reroute(message))
        attempt.asend = lambda message: asend(self._reroute(message))
        return attempt

    def _reroute(self, message):
        origin = str(message.url.origin)
        assert origin == f"{ROUTER}:443", origin
        return evolve(message, url=self.httpcore.URL(self._url + message.url.target.decode()))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        await self._transport.aclose()


def provider_via_router(settings, url) -> HuggingFace:
    """Return a provider whose router is the server at an address."""
    return HuggingFace(settings, transport=Rerouted(url))
