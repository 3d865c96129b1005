"""A provider whose requests to Hugging Face's router reach a test's server: the router's address is not a setting."""

from __future__ import annotations

import httpx2
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
        send, asend = attempt.handle_request, attempt.handle_async_request
        attempt.handle_request = lambda request: send(self._reroute(request))
        attempt.handle_async_request = lambda request: asend(self._reroute(request))
        return attempt

    def _reroute(self, request):
        origin = f"{request.url.scheme}://{request.url.host}"
        assert origin == ROUTER, origin
        request.url = httpx2.URL(self._url + request.url.raw_path.decode())
        return request

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        await self._transport.aclose()


def provider_via_router(settings, url) -> HuggingFace:
    """Return a provider whose router is the server at an address."""
    return HuggingFace(settings, transport=Rerouted(url))
