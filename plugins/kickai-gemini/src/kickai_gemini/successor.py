"""The wire under ``google-genai``, the client that Google maintains.

It gets HTTP clients of our own: their sockets hold a request's time, the key joins a request at the last moment, no
redirect is followed, and the client neither swaps in aiohttp, whose errors it would answer with a second request after
some seconds, nor picks its own HTTP library.

Importing this module imports the client, which takes about a second: only `kickai_gemini.client` does, when asked.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
from google import genai
from google.genai import errors, types
from google.genai.client import DebugConfig
from kickai_providers_core.errors import InvalidRequestError

from kickai_gemini.failures import UNREADABLE, Told, broken, failure, timed_out, unreadable
from kickai_gemini.network import proxy_to, tls_context
from kickai_gemini.transports import BoundedTransport, LoopTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from kickai_providers_core.errors import ProviderError

    from kickai_gemini.bounded import Allowance
    from kickai_gemini.mapping import Asked
    from kickai_gemini.settings import GeminiSettings

__all__ = ["SuccessorWire"]

API_VERSION = "v1beta"
"""The version of the API that has everything used here, and the names ``gemini-flash-latest`` and its kin."""

NO_KEY = "added-by-the-transport"
"""What the client is given for a key, so that the real one is in none of its variables."""

DISCONNECTED = "Server disconnected without sending a response."


class SuccessorWire:
    """Carries requests through ``google-genai``. Safe to share between threads and event loops."""

    current = True

    def __init__(self, settings: GeminiSettings) -> None:
        key, context, proxy = settings.api_key, tls_context(settings.base_url), proxy_to(settings.base_url)
        self._pools = LoopTransport(key, context, proxy, settings.connect_timeout_s)
        self._sync = httpx2.Client(transport=BoundedTransport(key, context, proxy), trust_env=False)
        self._async = httpx2.AsyncClient(transport=self._pools, trust_env=False)
        self._client = genai.Client(
            api_key=NO_KEY,
            enterprise=False,
            debug_config=DebugConfig(client_mode=None, replays_directory=None, replay_id=None),
            http_options=types.HttpOptions(
                base_url=settings.base_url,
                api_version=API_VERSION,
                httpx_client=self._sync,
                httpx_async_client=self._async,
                async_client_args={"ssl": context},  # or it loads a store of certificates for websockets
            ),
        )

    def generate(self, asked: Asked, allowance: Allowance) -> Mapping[str, Any]:
        """Return the whole answer."""
        return _body(self._client.models.generate_content(**_arguments(asked, allowance, raw=True)))

    def stream(self, asked: Asked, allowance: Allowance) -> Iterator[Mapping[str, Any]]:
        """Yield the parts of the answer; closing it closes the connection."""
        for part in self._client.models.generate_content_stream(**_arguments(asked, allowance)):
            yield _as_json(part)

    async def agenerate(self, asked: Asked, allowance: Allowance) -> Mapping[str, Any]:
        """Return the whole answer."""
        return _body(await self._client.aio.models.generate_content(**_arguments(asked, allowance, raw=True)))

    async def astream(self, asked: Asked, allowance: Allowance) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the parts of the answer; closing it closes the connection."""
        try:
            async for part in await self._client.aio.models.generate_content_stream(**_arguments(asked, allowance)):
                yield _as_json(part)
        finally:
            if allowance.response is not None:
                await allowance.response.leave()

    def models(self, allowance: Allowance) -> list[str]:
        """Return the names of the models that the key may use to generate text."""
        config = types.ListModelsConfig(page_size=1000, http_options=_options(allowance))
        listed = self._client.models.list(config=config)
        return [model.name for model in listed if model.name and "generateContent" in (model.supported_actions or ())]

    def error(self, exc: Exception) -> ProviderError:
        """Return the error that stands for what the client raised."""
        if isinstance(exc, errors.APIError):
            headers = dict(exc.response.headers) if exc.response is not None else {}
            return failure(Told(status=int(exc.code or 500), headers=headers, body=exc.details), datetime.now(UTC))
        if isinstance(exc, UNREADABLE):
            return unreadable()
        if isinstance(exc, httpx2.ConnectTimeout):
            return timed_out("connect", exc)
        half = isinstance(exc, httpx2.DecodingError | httpx2.RemoteProtocolError) and str(exc) != DISCONNECTED
        return broken(exc, cut=half)

    def close(self) -> None:
        """Close all connections; those of event loops that run are closed by these, soon."""
        self._client.close()
        self._sync.close()
        self._pools.close()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pools.aclose()
        self._client.close()
        self._sync.close()


def _arguments(asked: Asked, allowance: Allowance, *, raw: bool = False) -> dict[str, Any]:
    """Return what the client's methods take: its own types, read from the API's JSON."""
    told = {**asked.body.get("generationConfig", {}), **asked.body}
    settings = {name: told[name] for name in told if name not in {"contents", "generationConfig"}}
    settings |= {"automaticContinuation": False, "automaticFunctionCalling": {"disable": True}}
    config = _made(types.GenerateContentConfig, settings)
    config.http_options = _options(allowance)
    # As the service sent it, where the client can: its own types warn on the terminal of words they do not know yet.
    config.should_return_http_response = raw
    contents = [_made(types.Content, content) for content in asked.body["contents"]]
    return {"model": asked.model, "contents": contents, "config": config}


def _made(kind: Any, value: Mapping[str, Any]) -> Any:
    try:
        return kind.model_validate_json(json.dumps(value))
    except ValueError:
        error = InvalidRequestError("the request cannot be put into the client's messages: is all of it Unicode?")
    raise error  # out here: the client's words quote the request


def _options(allowance: Allowance) -> types.HttpOptions:
    return types.HttpOptions(timeout=math.ceil(allowance.remaining_s() * 1000))


def _body(response: types.GenerateContentResponse) -> Mapping[str, Any]:
    """Return the whole answer, from a response that the client has not looked into."""
    http = response.sdk_http_response
    body = json.loads((http.body if http is not None else None) or "null")
    if not isinstance(body, dict):
        message = "the answer is no JSON object"
        raise TypeError(message)
    return body


def _as_json(part: types.GenerateContentResponse) -> Mapping[str, Any]:
    fields = {"candidates", "prompt_feedback", "usage_metadata", "model_version", "response_id"}
    told: Mapping[str, Any] = part.model_dump(mode="json", by_alias=True, exclude_none=True, include=fields)
    return told
