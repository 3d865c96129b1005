"""The requests of one route."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpcore2
import httpx2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_hf.routes import Route

__all__ = ["Requests"]

ACCEPT_ENCODING = "gzip, deflate"
"""The content encodings that are decompressed in bounded steps."""


class Requests:
    """Makes the requests of one route. Safe to share between threads and loops.

    Attributes:
        public: Whether they go to Hugging Face's router.
        anonymous: Whether no token goes along.
        encrypted: Whether they go through TLS.
        expose: Whether errors may repeat the service's own words.
    """

    def __init__(self, route: Route, *, expose: bool = False) -> None:
        self.expose = expose
        self.public = route.public
        self.anonymous = not route.token
        self.encrypted = route.url.startswith("https:")
        self._url = httpx2.URL(route.url)
        self._route = route
        agent = f"kickai-hf/{version('kickai-hf')}; hf_hub/{version('huggingface_hub')}"
        self._headers = {
            "accept": "*/*",
            "accept-encoding": ACCEPT_ENCODING,
            "connection": "keep-alive",
            "user-agent": f"{agent}; python/{platform.python_version()}",
        }

    def post(self, body: bytes, timeouts: Mapping[str, float | None]) -> httpcore2.Request:
        """Return a request with a JSON body."""
        more = {"content-type": "application/json", "content-length": str(len(body))}
        return self._request("POST", self._url, timeouts, more, body)

    def get(self, path: str, timeouts: Mapping[str, float | None]) -> httpcore2.Request:
        """Return a request for what is at a path below the route's address."""
        return self._request("GET", httpx2.URL(f"{self._url}{path}"), timeouts, {})

    def _request(
        self,
        method: str,
        url: httpx2.URL,
        timeouts: Mapping[str, float | None],
        more: Mapping[str, str],
        body: bytes | None = None,
    ) -> httpcore2.Request:
        headers = {"host": url.netloc.decode("ascii"), **self._headers, **more}
        # Only here are secrets revealed, so that no other value has them in it.
        headers |= {name.lower(): value.reveal() for name, value in self._route.headers.items()}
        if self._route.token:
            headers["authorization"] = f"Bearer {self._route.token.reveal()}"
        return httpcore2.Request(
            method,
            httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=list(headers.items()),
            content=body,
            extensions={"timeout": dict(timeouts)},
        )
