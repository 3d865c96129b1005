"""The wire under ``google-generativeai``, the client whose support has ended.

Its `GenerativeModel` shares one configuration in the whole process, retries a 503 for ten minutes and sends a 401
three times; its REST transport reads a stream a character at a time, collects whatever comes, and drops what its
messages do not know. So the plugin takes the client's messages (`google.generativeai.protos`), which say what the
client can express, and sends their JSON over a session of its own. gRPC is never started: async calls run in threads.

Importing this module imports the client, which takes about a second: only `kickai_gemini.client` does, when asked.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
from google.generativeai import protos
from google.protobuf.json_format import MessageToDict, ParseError
from kickai_providers_core import UnsupportedRequestError
from kickai_providers_core.authoring import strict_json
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from kickai_gemini.bounded import dial
from kickai_gemini.failures import NOT_SENDABLE
from kickai_gemini.network import proxy_to, tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from kickai_providers_core import Secret

    from kickai_gemini.bounded import Allowance
    from kickai_gemini.client import Answer
    from kickai_gemini.mapping import Asked
    from kickai_gemini.settings import GeminiSettings

__all__ = ["LegacyWire"]

POOL_SIZE = 100
"""Connections kept; urllib3 writes a warning to the terminal when more calls than its usual 10 end at once."""

PIECE_BYTES = 2**16


class LegacyWire:
    """Carries requests of ``google-generativeai``. Safe to share between threads."""

    current = False

    def __init__(self, settings: GeminiSettings) -> None:
        self._url = f"{settings.base_url.rstrip('/')}/v1beta"
        self._session = requests.Session()
        self._session.trust_env = False  # its netrc would take the place of the key
        self._session.proxies = {"https": proxy} if (proxy := proxy_to(settings.base_url)) else {}
        adapter = _Adapter(settings.api_key, tls_context(settings.base_url))
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def send(self, asked: Asked, allowance: Allowance, *, streamed: bool) -> Answer:  # noqa: ARG002  sockets have it
        """Send a request, and return its response, to be read and closed."""
        model = asked.model if "/" in asked.model else f"models/{asked.model}"  # tuned models have a path of their own
        method = "streamGenerateContent" if streamed else "generateContent"
        response = self._session.post(
            f"{self._url}/{model}:{method}",
            params={"$alt": "json"},
            data=_body(model, asked),
            headers={"content-type": "application/json"},
            stream=True,
            allow_redirects=False,
        )
        return RawAnswer(response)

    def send_list(self, allowance: Allowance) -> Answer:  # noqa: ARG002
        """Ask for the models, and return the response, to be read and closed."""
        asked = self._session.get(f"{self._url}/models", params={"pageSize": 1000}, stream=True, allow_redirects=False)
        return RawAnswer(asked)

    def is_cut(self, exc: Exception) -> bool:
        """Say whether an answer began and did not end, though nobody reset its connection."""
        behind: list[BaseException] = [exc]
        for each in behind:
            inner = (*each.args, each.__cause__, each.__context__)
            behind += [one for one in inner if isinstance(one, BaseException) and one not in behind]
        names = {type(each).__name__ for each in behind}
        return "IncompleteRead" in names and not any(isinstance(each, ConnectionError) for each in behind)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()


class RawAnswer:
    """A response, read below the libraries that would collect or decompress it without a bound."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        self._response = response

    def read(self) -> bytes:
        """Return the next bytes of the body as they came; none at its end."""
        data: bytes = self._response.raw.read1(PIECE_BYTES, decode_content=False)
        return data

    def close(self) -> None:
        """Close the connection when something is left on it; at its end it went back by itself."""
        self._response.close()


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections that hold a request's time, and the key on the wire and nowhere else."""

    def __init__(self, key: Secret, context: ssl.SSLContext) -> None:
        self._key = key
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make a pool of bounded connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def close(self) -> None:
        """Close the connections now: urllib3 itself leaves them to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  not iterable otherwise, since threads may change it
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make a pool of bounded connections through a proxy."""
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request with the key, which is taken off it again before anybody else can look at it."""
        with _signed(request.headers, self._key):
            return super().send(request, *args, **kwargs)


@contextmanager
def _signed(headers: Any, key: Secret) -> Iterator[None]:
    headers["x-goog-api-key"] = key.reveal()
    # The body is decompressed by `kickai_gemini.framing`, which knows no other encodings.
    headers["accept-encoding"] = "gzip, deflate"
    try:
        yield
    finally:
        del headers["x-goog-api-key"]


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


def _body(model: str, asked: Asked) -> bytes:
    """Return what is sent: the request as the client's own message, in the JSON that the message makes."""
    try:
        message = protos.GenerateContentRequest.from_json(json.dumps({"model": model, **asked.body}))
        value = MessageToDict(protos.GenerateContentRequest.pb(message))
    except (ParseError, UnicodeError, ValueError, RecursionError):
        value = None
    if value is None:  # out here: the client's words quote the request
        raise UnsupportedRequestError(NOT_SENDABLE)
    del value["model"]
    return strict_json.dumps(value).encode()
