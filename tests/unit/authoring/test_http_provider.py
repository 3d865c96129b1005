"""A provider over HTTP works in all four modes with an encoder and a decoder of its own."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from kickai_providers_core import (
    AuthenticationError,
    InvalidReplyError,
    ProviderSettings,
    ProviderUnavailableError,
    RateLimitedError,
    Secret,
    UnsupportedRequestError,
)
from kickai_providers_core.authoring import Endpoint, HttpProvider, HttpService, dump_bytes, openai_chat
from kickai_providers_core.testing import ProviderCaller
from kickai_providers_core.testing.faults import FaultServer, Response, ShortBody, Status, closed_port

MODES = ("invoke", "ainvoke", "stream", "astream")
CLIENTS = ("httpx", "httpx2")


class ChatWire:
    """A service that answers in the form of chat completions."""

    def reply(self, request, text, finish=None):
        """Answer with one document."""
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        return Response.json({"model": "m", "choices": [choice]}, headers={"x-request-id": "r-1"})

    def stream(self, request, pieces, finish=None):
        """Answer with one event for each piece."""
        deltas = [{"delta": {"content": piece}} for piece in pieces] + [{"delta": {}, "finish_reason": "stop"}]
        events = [f"data: {json.dumps({'choices': [delta]})}\n\n".encode() for delta in deltas]
        return Response(headers={"content-type": "text/event-stream", "x-request-id": "r-1"}), events

    def error(self, request, status, kind):
        """Answer with an error that repeats the key."""
        return Response.json({"error": {"message": f"no: {request.headers.get('authorization')}"}}, status=status)

    def wants_stream(self, request):
        """Return whether a stream was requested."""
        return request.json()["stream"]


class Osprey(HttpProvider):
    """The smallest provider over HTTP."""

    def __init__(self, url, *, client="httpx2", key=None, expose=False):
        endpoint = Endpoint(url=url, key=key, headers={"X-Team": Secret("reds")}, key_setting="token")
        settings = ProviderSettings(expose_service_messages=expose)
        super().__init__(HttpService(endpoint, settings, user_agent="osprey/1.0", client=client), settings)

    def encode(self, request, *, is_stream):
        """Write a chat completion."""
        return dump_bytes(openai_chat.encode(request, model="m", stream=is_stream))

    def create_decoder(self, request, *, is_stream):
        """Read a chat completion."""
        return openai_chat.ChatDecoder(request, is_stream=is_stream)


@pytest.fixture
def server():
    """Serve chat completions, or faults."""
    with FaultServer(ChatWire()) as server:
        yield server


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("mode", MODES)
def test_all_modes_answer(mode, client, server):
    """One call is one request, with the key, the headers and a JSON body."""
    with closing(Osprey(server.url, client=client, key=Secret("canary"))) as provider:
        ended = ProviderCaller(provider)(mode, "ping")
    assert ended.text == "pong"
    assert ended.reply.request_id == "r-1"
    (request,) = server.requests
    named = {name: request.headers[name] for name in ("authorization", "x-team", "content-type")}
    assert named == {"authorization": "Bearer canary", "x-team": "reds", "content-type": "application/json"}
    assert request.headers["user-agent"].startswith("osprey/1.0; python/")


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_key_is_named_by_its_setting_and_never_shown(mode, server):
    """Without a key the error says which setting is missing; the service's own words lose the key."""
    server.default = Status(401, "auth")
    with closing(Osprey(server.url)) as provider:
        error = ProviderCaller(provider)(mode, "ping").error
    assert type(error) is AuthenticationError
    assert "this instance has none: set token" in str(error)
    with closing(Osprey(server.url, key=Secret("canary"), expose=True)) as provider:
        error = ProviderCaller(provider)(mode, "ping").error
    assert (type(error), error.service_message) == (AuthenticationError, "no: Bearer ***")


@pytest.mark.parametrize("mode", MODES)
def test_a_request_that_cannot_be_written_is_not_sent(mode, server):
    """The error says so, without the prompt and without a cause."""

    class Broken(Osprey):
        def encode(self, request, *, is_stream):
            raise KeyError(request.messages[0].content)

    with closing(Broken(server.url)) as provider:
        error = ProviderCaller(provider)(mode, "canary").error
    assert (type(error), error.__cause__) == (UnsupportedRequestError, None)
    assert error.__context__ is None
    assert "cannot be written for this service (KeyError)" in str(error)
    assert server.requests == []


@pytest.mark.parametrize("mode", MODES)
def test_failures_become_errors(mode, server):
    """A status, a cut answer and a refused connection have their classes; the next call works."""
    server.script(Status(429, "rate_limit", {"retry-after": "7", "x-should-retry": "false"}), ShortBody())
    with closing(Osprey(server.url)) as provider:
        caller = ProviderCaller(provider)
        limited = caller(mode, "ping").error
        assert (type(limited), limited.retry_after_s, limited.may_retry) == (RateLimitedError, 7.0, False)
        assert type(caller(mode, "ping").error) is InvalidReplyError
        assert caller(mode, "ping").text == "pong"
    with closing(Osprey(f"http://127.0.0.1:{closed_port()}")) as provider:
        gone = ProviderCaller(provider)(mode, "ping").error
    assert (type(gone), gone.reached) == (ProviderUnavailableError, False)
