"""The wire for ``google-generativeai``: its messages, and its HTTP library, requests.

The client's `GenerativeModel` shares one configuration in the whole process, retries a 503 for ten minutes, sends a
request with a refused key three times, and reads a stream without a size limit. So the plugin takes the client's
messages (`google.ai.generativelanguage`), which decide what the client can send, and sends their JSON over a session of
its own. gRPC is not used: async calls run in threads.

Importing this module imports the messages, which takes most of a second: only `kickai_gemini.client` does, when a
provider is created.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import requests
from google.ai.generativelanguage import GenerateContentRequest
from google.protobuf.json_format import MessageToDict, ParseError
from kickai_providers_core import UnsupportedRequestError
from kickai_providers_core.authoring import dump_bytes
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from kickai_gemini.network import create_tls_context, proxy_to
from kickai_gemini.sockets import dial
from kickai_gemini.wire import API_VERSION, Answer

if TYPE_CHECKING:
    import ssl

    from kickai_gemini.mapping import GeminiRequest
    from kickai_gemini.settings import GeminiSettings

__all__ = ["RequestsWire"]

POOL_SIZE = 100
"""Connections that are kept; urllib3 logs a warning when more calls than its usual 10 end at once."""

PIECE_BYTES = 2**16


class RequestsWire:
    """Sends requests over requests. Safe to share between threads."""

    is_current = False

    def __init__(self, settings: GeminiSettings) -> None:
        self._url = f"{settings.base_url.rstrip('/')}/{API_VERSION}"
        self._key = settings.api_key
        self._session = requests.Session()
        self._session.trust_env = False  # a netrc file would replace the key
        self._session.proxies = {"https": proxy} if (proxy := proxy_to(settings.base_url)) else {}
        adapter = _Adapter(create_tls_context(settings.base_url))
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def send(self, request: GeminiRequest, *, is_stream: bool) -> Answer:
        """Send a request and return its response."""
        method = "streamGenerateContent" if is_stream else "generateContent"
        url = f"{self._url}/{request.resource}:{method}?$alt=json"
        return self._send("POST", url, data=_encode(request))

    def send_list(self) -> Answer:
        """Request the list of models and return the response."""
        return self._send("GET", f"{self._url}/models?pageSize=1000")

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _send(self, method: str, url: str, data: bytes | None = None) -> Answer:
        # The body is decompressed by `kickai_gemini.body`, which knows no other encodings.
        headers = {"x-goog-api-key": self._key.reveal(), "accept-encoding": "gzip, deflate"}
        if data is not None:
            headers["content-type"] = "application/json"
        response = self._session.request(method, url, data=data, headers=headers, stream=True, allow_redirects=False)

        def read() -> bytes:
            piece: bytes = response.raw.read1(PIECE_BYTES, decode_content=False)
            return piece

        return Answer(response.status_code, dict(response.headers), read, response.close)


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes connections of bounded sockets."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make a pool of bounded connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make a pool of bounded connections through a proxy."""
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def close(self) -> None:
        """Close the connections now: urllib3 itself leaves them to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  not iterable otherwise, since threads may change it
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()


class _Connection(HTTPConnection):
    def _new_conn(self) -> Any:
        return dial(self._dns_host, self.port)


class _TLSConnection(HTTPSConnection):
    def _new_conn(self) -> Any:
        return dial(self._dns_host, self.port)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


POOLS = {"http": _Pool, "https": _TLSPool}


def _encode(request: GeminiRequest) -> bytes:
    """Return the body: the request as the client's message, in the JSON that the message makes."""
    try:
        message = GenerateContentRequest.from_json(json.dumps({"model": request.resource, **request.body}))
        value = MessageToDict(GenerateContentRequest.pb(message))
    except (ParseError, UnicodeError, ValueError, RecursionError):
        value = None
    if value is None:  # outside of the handler: the client's words quote the request
        raise UnsupportedRequestError("google-generativeai cannot send this request")
    del value["model"]
    return dump_bytes(value)
