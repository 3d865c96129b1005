"""Hugging Face's router, at the address of a test's server: the one address that cannot be a setting."""

from __future__ import annotations

import httpcore2

from kickai_hf import transport
from kickai_hf.client import HuggingFace

ROUTER = "https://router.huggingface.co"


class Rerouted:
    """Sends what is meant for the router to a server on loopback, and refuses to send anything elsewhere."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sync = transport.sync_transport(url, 10, transport.trust(url))
        self._async = None

    def _moved(self, request):
        origin = f"{request.url.scheme.decode()}://{request.url.host.decode()}"
        assert origin == ROUTER, origin
        request.url = httpcore2.URL(self._url.encode() + request.url.target)
        return request

    def handle_request(self, request):
        """Send it."""
        return self._sync.handle_request(self._moved(request))

    async def handle_async_request(self, request):
        """Send it on the running loop."""
        self._async = self._async or transport.async_transport(self._url, 10, transport.trust(self._url))
        return await self._async.handle_async_request(self._moved(request))

    def close(self) -> None:
        """Close the connections."""
        self._sync.close()

    async def aclose(self) -> None:
        """Close the connections of the loop."""
        if self._async is not None:
            await self._async.aclose()


def routed(settings, url) -> HuggingFace:
    """Return a provider whose router is the server at an address."""
    return HuggingFace(settings, sync_transport=Rerouted(url), async_transport=lambda: Rerouted(url))
