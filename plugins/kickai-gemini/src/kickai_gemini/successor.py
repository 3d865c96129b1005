"""The wire under ``google-genai``, the client that Google maintains.

It gets HTTP clients of our own: their sockets hold a request's time, the key joins a request at the last moment, no
redirect is followed, and the plugin reads each response itself, within bounds. The client neither swaps in aiohttp,
whose errors it would answer with a second request after some seconds, nor picks its own HTTP library.

Importing this module imports the client, which takes about a second: only `kickai_gemini.client` does, when asked.
"""

from __future__ import annotations

import json
import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
from attrs import evolve
from google import genai
from google.genai import types
from google.genai.client import DebugConfig
from kickai_providers_core import ChatRequest, Image, Message, Tool, ToolCall, UnsupportedRequestError

from kickai_gemini.bounded import Allowance
from kickai_gemini.failures import NOT_SENDABLE
from kickai_gemini.lifecycle import DEFAULT_MODEL
from kickai_gemini.mapping import FILES, asked
from kickai_gemini.network import proxy_to, tls_context
from kickai_gemini.transports import BoundedTransport, LoopTransport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_gemini.client import Answer, AsyncAnswer
    from kickai_gemini.mapping import Asked
    from kickai_gemini.settings import GeminiSettings

__all__ = ["SuccessorWire"]

API_VERSION = "v1beta"
"""The version of the API that has everything used here, and the names ``gemini-flash-latest`` and its kin."""

NO_KEY = "added-by-the-transport"
"""What the client is given for a key, so that the real one is in none of its variables."""

DISCONNECTED = "Server disconnected without sending a response."

WARM_UP = ChatRequest(
    messages=(
        Message(role="system", content="-"),
        Message(
            role="user",
            content="-",
            images=(
                Image(data=b"-", media_type="image/png"),
                Image(url=f"{FILES[0]}files/-", media_type="image/png"),
            ),
        ),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="tool", arguments="{}"),)),
        Message(role="tool", tool_call_id="1", content="-"),
    ),
    tools=(Tool(name="tool", description="-", parameters={"type": "object"}),),
    tool_choice="required",
    json_schema={"type": "object"},
    temperature=1.0,
    top_p=1.0,
    max_tokens=1,
    stop=("-",),
    seed=1,
)
"""A request with everything that the plugin ever sends."""


class SuccessorWire:
    """Carries requests through ``google-genai``. Safe to share between threads and event loops."""

    current = True

    def __init__(self, settings: GeminiSettings) -> None:
        key, context, proxy = settings.api_key, tls_context(settings.base_url), proxy_to(settings.base_url)
        transport = BoundedTransport(key, context, proxy)
        self._pools = LoopTransport(key, context, proxy)
        self._sync = httpx2.Client(transport=transport, trust_env=False)
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
        with transport.disconnected():
            self._warm_up(settings)

    def _warm_up(self, settings: GeminiSettings) -> None:
        """Have the libraries do now what they leave to the first request; nothing is sent.

        Pydantic builds the client's models on first use, under a lock of the whole process, and anyio imports its
        backend on first use. A process that is forked meanwhile would wait for that lock, or that module, for ever.
        The core lets a fork wait while a provider is created, not while one is called.
        """
        allowance = Allowance(settings.timeout_s, settings.connect_timeout_s)
        everything = asked(
            WARM_UP, DEFAULT_MODEL, evolve(settings, thinking_level="low", sampling="always"), current=True
        )
        self._client.models.generate_content(**_arguments(everything, allowance, raw=True))
        for _ in self._client.models.generate_content_stream(**_arguments(everything, allowance)):
            pass
        self._client.models.list(config=_list_config(allowance))
        import_module("anyio._backends._asyncio")
        _ = anyio.connect_tcp  # imported on first use as well

    def send(self, asked: Asked, allowance: Allowance, *, streamed: bool) -> Answer:
        """Send a request, and return its response, to be read and closed."""
        if streamed:
            for _ in self._client.models.generate_content_stream(**_arguments(asked, allowance)):
                pass  # the transport gives the client an empty stream
        else:
            self._client.models.generate_content(**_arguments(asked, allowance, raw=True))
        return SyncAnswer(allowance.response)

    async def asend(self, asked: Asked, allowance: Allowance, *, streamed: bool) -> AsyncAnswer:
        """Send a request, and return its response, to be read and closed."""
        models = self._client.aio.models
        if streamed:
            async for _ in await models.generate_content_stream(**_arguments(asked, allowance)):
                pass
        else:
            await models.generate_content(**_arguments(asked, allowance, raw=True))
        return LoopAnswer(allowance.response)

    def send_list(self, allowance: Allowance) -> Answer:
        """Ask for the models, and return the response, to be read and closed."""
        self._client.models.list(config=_list_config(allowance))
        return SyncAnswer(allowance.response)

    def is_cut(self, exc: Exception) -> bool:
        """Say whether an answer began and did not end, though nobody reset its connection."""
        return isinstance(exc, httpx2.RemoteProtocolError) and str(exc) != DISCONNECTED

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


class SyncAnswer:
    """A response that a sync transport received."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        self._stream: Any = response.stream
        self._pieces = iter(self._stream)

    def read(self) -> bytes:
        """Return the next bytes of the body as they came; none at its end."""
        return next(self._pieces, b"")

    def close(self) -> None:
        """Give the connection back, or close it when something is left on it."""
        self._stream.close()


class LoopAnswer:
    """A response that an async transport received."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        self._stream: Any = response.stream
        self._pieces = aiter(self._stream)

    async def read(self) -> bytes:
        """Return the next bytes of the body as they came; none at its end."""
        return await anext(self._pieces, b"")

    async def close(self) -> None:
        """Give the connection back, or close it when something is left on it."""
        await self._pieces.aclose()
        await self._stream.aclose()


def _arguments(asked: Asked, allowance: Allowance, *, raw: bool = False) -> dict[str, Any]:
    """Return what the client's methods take: its own types, read from the API's JSON."""
    told = {**asked.body.get("generationConfig", {}), **asked.body}
    settings = {name: told[name] for name in told if name not in {"contents", "generationConfig"}}
    settings |= {"automaticContinuation": False, "automaticFunctionCalling": {"disable": True}}
    config = _made(types.GenerateContentConfig, settings)
    config.http_options = _options(allowance)
    config.should_return_http_response = raw  # or it would look for an answer in the empty response
    contents = [_made(types.Content, content) for content in asked.body["contents"]]
    return {"model": asked.model, "contents": contents, "config": config}


def _made(kind: Any, value: Mapping[str, Any]) -> Any:
    try:
        return kind.model_validate_json(json.dumps(value))
    except ValueError:
        error = UnsupportedRequestError(NOT_SENDABLE)
    raise error  # out here: the client's words quote the request


def _list_config(allowance: Allowance) -> types.ListModelsConfig:
    return types.ListModelsConfig(page_size=1000, http_options=_options(allowance))


def _options(allowance: Allowance) -> types.HttpOptions:
    return types.HttpOptions(timeout=math.ceil(allowance.remaining_s() * 1000))
