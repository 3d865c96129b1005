"""The wire under ``google-generativeai``, the client whose support has ended.

Its `GenerativeModel` shares one configuration in the whole process, retries a 503 for ten minutes and sends a 401
three times. So the plugin takes the client one layer lower: its messages, and the REST transport that it ships with
its service, on a session of our own. The transport's async form needs gRPC and a second set of everything; here
async calls run in threads, and there is one wire.

Importing this module imports the client, which takes about a second: only `kickai_gemini.client` does, when asked.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests
from google.ai.generativelanguage_v1beta.services.generative_service.transports.rest import (
    GenerativeServiceRestTransport,
)
from google.auth.credentials import AnonymousCredentials
from google.generativeai import protos
from google.protobuf.json_format import MessageToDict, ParseError
from kickai_providers_core.errors import InvalidRequestError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from kickai_gemini.bounded import dial
from kickai_gemini.failures import UNREADABLE, Told, broken, failure, unreadable
from kickai_gemini.network import proxy_to, tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from kickai_providers_core.errors import ProviderError
    from kickai_providers_core.secret import Secret

    from kickai_gemini.bounded import Allowance
    from kickai_gemini.mapping import Asked
    from kickai_gemini.settings import GeminiSettings

__all__ = ["LegacyWire"]

POOL_SIZE = 100
"""Connections kept; urllib3 writes a warning to the terminal when more calls than its usual 10 end at once."""


class LegacyWire:
    """Carries requests through ``google-generativeai``. Safe to share between threads."""

    current = False

    def __init__(self, settings: GeminiSettings) -> None:
        self._base_url = settings.base_url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # its netrc would take the place of the key
        self._session.proxies = {"https": proxy} if (proxy := proxy_to(self._base_url)) else {}
        adapter = _Adapter(settings.api_key, tls_context(self._base_url))
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._transport = _Transport(self._base_url, self._session)

    def generate(self, asked: Asked, allowance: Allowance) -> Mapping[str, Any]:  # noqa: ARG002  the sockets have it
        """Return the whole answer."""
        return _as_json(self._transport.generate_content(_request(asked)))

    def stream(self, asked: Asked, allowance: Allowance) -> Iterator[Mapping[str, Any]]:  # noqa: ARG002
        """Yield the parts of the answer; closing it closes the connection."""
        responses = self._transport.stream_generate_content(_request(asked))
        try:
            yield from map(_as_json, responses)
        finally:
            responses.cancel()

    def models(self, allowance: Allowance) -> list[str]:  # noqa: ARG002
        """Return the names of the models that the key may use to generate text."""
        listed = self._session.get(f"{self._base_url}/v1beta/models", params={"pageSize": 1000})
        models = listed.json().get("models", ())
        return [each["name"] for each in models if "generateContent" in each.get("supportedGenerationMethods", ())]

    def error(self, exc: Exception) -> ProviderError:
        """Return the error that stands for what the client raised."""
        if isinstance(exc, (ParseError, *UNREADABLE)) and not isinstance(exc, requests.RequestException):
            return unreadable()
        return broken(exc, cut=_is_cut(exc))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()


class _Transport(GenerativeServiceRestTransport):
    """The client's REST transport on a given session.

    The client's own session answers a 401 by fetching new credentials and sending the request again, twice, and the
    methods that it wraps round the transport retry. The stubs, which are called here, take the session as it is.
    """

    def __init__(self, base_url: str, session: requests.Session) -> None:
        # Anonymous, since the adapter adds the key: with none the client would ask the metadata server for some.
        super().__init__(host=base_url, credentials=AnonymousCredentials())
        self._session: Any = session


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
        """Send a request with the key, which is taken off it again before anybody else can look at it.

        Raises:
            ProviderError: The answer is no success. It is told here because the client cannot read the form in which
                the service puts the errors of streams, and because a redirect would take the key along.
        """
        with _signed(request.headers, self._key):
            response = super().send(request, *args, **kwargs)
        if response.status_code != requests.codes.ok:
            raise failure(Told.of(response.status_code, response.headers, response.content), datetime.now(UTC))
        return response


@contextmanager
def _signed(headers: Any, key: Secret) -> Iterator[None]:
    headers["x-goog-api-key"] = key.reveal()
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


def _request(asked: Asked) -> Any:
    model = asked.model if "/" in asked.model else f"models/{asked.model}"  # tuned models have a path of their own
    try:
        return protos.GenerateContentRequest.from_json(json.dumps({"model": model, **asked.body}))
    except (ParseError, UnicodeError):
        error = InvalidRequestError("the request cannot be put into the client's messages: is all of it Unicode?")
    raise error  # out here: the client's words quote the request


def _as_json(response: Any) -> Mapping[str, Any]:
    # Not with the message's own `to_dict`: that swaps the process's warning filters for a moment, on every call.
    told: Mapping[str, Any] = _with_integers(MessageToDict(protos.GenerateContentResponse.pb(response)))
    return told


def _with_integers(value: Any) -> Any:
    """Return a value whose whole floats are integers: the client's messages keep all of JSON's numbers as floats."""
    if isinstance(value, dict):
        return {name: _with_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_integers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_cut(exc: BaseException) -> bool:
    """Say whether an answer began and did not end, though nobody reset its connection."""
    behind: list[BaseException] = [exc]
    for each in behind:
        inner = (*each.args, each.__cause__, each.__context__)
        behind += [one for one in inner if isinstance(one, BaseException) and one not in behind]
    broken_off = any(isinstance(each, ConnectionError) for each in behind)
    return isinstance(exc, requests.exceptions.ChunkedEncodingError) and not broken_off
