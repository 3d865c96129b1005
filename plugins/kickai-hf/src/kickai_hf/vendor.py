"""The vendor's clients, `InferenceClient` and `AsyncInferenceClient`, with the wire below them exchanged.

What they do stays theirs: the arguments of ``chat_completion`` and ``text_generation``, the reading of answers and of
events. What they send with is replaced, in the two places that they have for it, because as it is

* the first call of a process blocks on a request of its own to the Hub, and calls with a named inference provider look
  models up there, without a timeout, on the event loop too (`_Plain` prepares requests without either);
* every None inside a tool or a schema is dropped, and a schema for an address is rewritten into a form that only TGI
  understands (`_Plain` passes on what it is given);
* all of the process shares one HTTP client, which follows redirects and whose timeouts do not hold, and each stream is
  kept until the client is closed (``_inner_post``);
* a token that is not given is looked for in the environment and on the disk, and sent to any address (these clients
  are never given one; `kickai_hf.wire` sends the route's own).

One client per call, as it holds the call's state. This is cheap: they are plain objects.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, NoReturn, cast

import httpx2
from huggingface_hub import AsyncInferenceClient, InferenceClient, constants
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.inference._common import RequestParameters
from huggingface_hub.inference._providers import PROVIDERS
from huggingface_hub.inference._providers._common import TaskProviderHelper
from kickai_providers_core.errors import InvalidReplyError, ProviderError

from kickai_hf import payload, verdicts
from kickai_hf.wire import DONE, Gathering, Lines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from kickai_hf.patience import Patience
    from kickai_hf.wire import Requests

__all__ = ["UNPOISONED", "AsyncCall", "SyncCall"]

NAME: Any = "kickai-hf"
"""The inference provider that these clients ask for: our own entry in the vendor's table, beside all the others."""

UNPOISONED = "kickai-hf"
"""The model that ``text_generation`` is given. For the whole process and by this argument the client remembers what a
server once refused; under this name nobody else's server can have refused anything."""

MAX_ERROR_BYTES = 2**16
ERROR_BODY_S = 1.0
"""How much of an error's body is read, and for how long: the status says most of it."""

LEFTOVER_S = 0.05
"""How long the end of a stream's HTTP message is waited for after its last event, so that the connection can serve
again; it usually came with that event. Only with TLS, where a connection is dear: llama.cpp closes it after a stream
without saying so, and the next request would be lost on it."""


class _Plain(TaskProviderHelper):
    """Prepares a request that says exactly what it was told to. The address and the headers are not its business."""

    def __init__(self, task: str) -> None:
        super().__init__(provider=NAME, base_url="", task=task)

    def prepare_request(self, *, inputs: Any, parameters: dict[str, Any], **others: Any) -> RequestParameters:
        if self.task == "conversational":
            body = {"model": parameters.pop("model"), "messages": inputs, **parameters}
        else:
            set_ = {name: value for name, value in parameters.items() if value is not None}
            body = {"inputs": inputs, "parameters": set_, **others["extra_payload"]}
        return RequestParameters(url="", task=self.task, model=None, json=body, data=None, headers={})


PROVIDERS.setdefault(NAME, {task: _Plain(task) for task in ("conversational", "text-generation")})


class _Call:
    """What one call has beside the vendor's client: its response, and its bounds."""

    def __init__(self, requests: Requests, patience: Patience) -> None:
        self._requests = requests
        self._patience = patience
        self.response: httpx2.Response | None = None

    @property
    def answering(self) -> bool:
        """Whether the service has begun to answer, and not with an error."""
        return self.response is not None and self.response.is_success

    @property
    def request_id(self) -> str | None:
        """The service's name for the request."""
        return verdicts.request_id(self.response.headers) if self.response is not None else None

    def _request(self, parameters: RequestParameters) -> httpx2.Request:
        if self._requests.public and constants.is_offline_mode():
            raise OfflineModeIsEnabled
        return self._requests.post(payload.encoded(cast("dict[str, Any]", parameters.json)), self._patience.timeouts)

    def _refused(self, response: httpx2.Response, body: bytes) -> ProviderError:
        return verdicts.from_response(response.status_code, response.headers, body, anonymous=self._requests.anonymous)


def _no_stream(body: bytes) -> NoReturn:
    """Raise for an answer in one piece to a request for a stream; it may be an error with status 200."""
    with suppress(ValueError, RecursionError):
        verdicts.raise_for_error_in(json.loads(body))
    raise InvalidReplyError("the service answered in one piece, though a stream was asked for")


def _is_json(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").startswith("application/json")


class SyncCall(_Call, InferenceClient):
    """One call that blocks its thread. Used by one thread at a time."""

    def __init__(self, requests: Requests, patience: Patience, transport: httpx2.BaseTransport) -> None:
        InferenceClient.__init__(self, provider=NAME)
        _Call.__init__(self, requests, patience)
        self._transport = transport

    def _inner_post(  # type: ignore[override]  # the overloads say which of the two it is
        self, request_parameters: RequestParameters, *, stream: bool = False
    ) -> bytes | Iterator[str]:
        request = self._request(request_parameters)
        response = self.response = self._transport.handle_request(request)
        if not response.is_success:
            raise self._refused(response, self._error_body(response))
        if not stream:
            return self._body(response)
        if _is_json(response):
            _no_stream(self._body(response))
        return self._lines(response)

    def _body(self, response: httpx2.Response) -> bytes:
        gathered = Gathering()
        for part in response.iter_bytes():
            gathered.add(part)
            if gathered.full:
                break
        return gathered.body()

    def _error_body(self, response: httpx2.Response) -> bytes:
        self._patience.hurry(ERROR_BODY_S)
        gathered = Gathering(MAX_ERROR_BYTES)
        with suppress(httpx2.HTTPError):
            for part in response.iter_bytes():
                gathered.add(part)
                if gathered.full:
                    break
        return gathered.beginning()

    def _lines(self, response: httpx2.Response) -> Iterator[str]:
        lines = Lines()
        parts = response.iter_bytes()
        for part in parts:
            for line in lines.feed(part):
                if line == DONE:
                    self._finish(parts)
                    return
                yield line
        yield from lines.end()

    def _finish(self, parts: Iterator[bytes]) -> None:
        if not self._requests.encrypted:
            return
        self._patience.hurry(LEFTOVER_S)
        with suppress(httpx2.HTTPError):
            for _ in parts:
                pass

    def close(self) -> None:
        """Give the connection back, or close it when something is still to come on it."""
        if self.response is not None:
            self.response.close()


class AsyncCall(_Call, AsyncInferenceClient):
    """One call on the running event loop; the caller bounds it in time."""

    def __init__(self, requests: Requests, patience: Patience, transport: httpx2.AsyncBaseTransport) -> None:
        AsyncInferenceClient.__init__(self, provider=NAME)
        _Call.__init__(self, requests, patience)
        self._transport = transport
        self._reading: AsyncGenerator[str, None] | None = None

    async def _inner_post(  # type: ignore[override]
        self, request_parameters: RequestParameters, *, stream: bool = False
    ) -> bytes | AsyncGenerator[str, None]:
        request = self._request(request_parameters)
        response = self.response = await self._transport.handle_async_request(request)
        if not response.is_success:
            raise self._refused(response, await self._error_body(response))
        if not stream:
            return await self._body(response)
        if _is_json(response):
            _no_stream(await self._body(response))
        self._reading = self._lines(response)
        return self._reading

    async def _body(self, response: httpx2.Response) -> bytes:
        gathered = Gathering()
        async for part in response.aiter_bytes():
            gathered.add(part)
            if gathered.full:
                break
        return gathered.body()

    async def _error_body(self, response: httpx2.Response) -> bytes:
        gathered = Gathering(MAX_ERROR_BYTES)
        with suppress(httpx2.HTTPError, TimeoutError):
            async with asyncio.timeout(ERROR_BODY_S):
                async for part in response.aiter_bytes():
                    gathered.add(part)
                    if gathered.full:
                        break
        return gathered.beginning()

    async def _lines(self, response: httpx2.Response) -> AsyncGenerator[str, None]:
        lines = Lines()
        async with aclosing(response.aiter_bytes()) as parts:
            async for part in parts:
                for line in lines.feed(part):
                    if line == DONE:
                        await self._finish(parts)
                        return
                    yield line
        for line in lines.end():
            yield line

    async def _finish(self, parts: AsyncIterator[bytes]) -> None:
        if not self._requests.encrypted:
            return
        with suppress(httpx2.HTTPError, TimeoutError):
            async with asyncio.timeout(LEFTOVER_S):
                async for _ in parts:
                    pass

    async def aclose(self) -> None:
        """Give the connection back, or close it when something is still to come on it."""
        if self._reading is not None:
            await self._reading.aclose()
        if self.response is not None:
            await self.response.aclose()
