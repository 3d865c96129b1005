"""What goes onto the wire, and what the client makes of what comes back."""

from __future__ import annotations

import json

import pytest
from attrs import evolve, frozen
from calling import MODES, Caller
from kickai_providers_core.errors import AuthenticationError
from kickai_providers_core.messages import ChatRequest, Tool
from kickai_providers_core.secret import Secret
from kickai_providers_core.testing.faults import Fault, Ok, Status, closed_port
from ollama import Client
from ollama_wire import MODEL

from kickai_ollama.client import OllamaProvider
from kickai_ollama.network import AsyncNetwork, Network
from kickai_ollama.pools import Pools
from kickai_ollama.settings import OllamaSettings

NESTED = {
    "type": "object",
    "properties": {"squad": {"type": "array", "minItems": 1, "items": {"type": "object", "default": None}}},
}
TOOL = Tool(name="pick", parameters=NESTED)

ODD = "one\u0085two\u2028three\u2029four"
"""Characters that end a line for Python and for httpx, and that JSON may hold as they are."""


@frozen
class Raw(Fault):
    """A stream of bytes as they are, one chunk each."""

    chunks: tuple[bytes, ...]

    async def play(self, exchange):
        """Send the chunks."""
        await exchange.link.send(exchange.answer().head)
        for data in self.chunks:
            await exchange.link.send(b"%x\r\n%s\r\n" % (len(data), data))
        await exchange.link.send(b"0\r\n\r\n")


class NearNetwork(Network):
    """A network on which every name is this machine."""

    def __init__(self, port):
        super().__init__()
        self.port = port

    def connect_tcp(self, host, port, *more, **options):
        """Connect to the server of the test, whatever was asked for."""
        return super().connect_tcp("127.0.0.1", self.port, *more, **options)


class NearAsyncNetwork(AsyncNetwork):
    """The same for event loops."""

    def __init__(self, port):
        super().__init__()
        self.port = port

    async def connect_tcp(self, host, port, *more, **options):
        """Connect to the server of the test, whatever was asked for."""
        return await super().connect_tcp("127.0.0.1", self.port, *more, **options)


@pytest.fixture
def afar(server):
    """Return a maker of callers of a server that seems to be on another machine."""
    made = []

    def make(**changes):
        settings = OllamaSettings(**{"host": "http://ollama.example", "model": MODEL, **changes})
        pools = Pools(settings.address, network=NearNetwork(server.port), async_network=NearAsyncNetwork(server.port))
        caller = Caller(settings)
        caller.provider = OllamaProvider(settings, pools)
        made.append(caller)
        return caller

    yield make
    for caller in made:
        caller.provider.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_tools_schema_arrives_whole(server, calls, mode):
    """Every part of a tool's schema reaches the server, nulls and nesting included."""
    calls()(mode, evolve(ChatRequest.of("Who?"), tools=(TOOL,)))
    assert server.requests[-1].json()["tools"][0]["function"]["parameters"] == NESTED


def test_the_client_alone_would_thin_the_schema_out(server):
    """The reason for sending a body of our own: the client's types drop what they do not name."""
    with Client(host=server.url) as client:
        client.chat(
            MODEL, [{"role": "user", "content": "Who?"}], tools=[{"function": {"name": "pick", "parameters": NESTED}}]
        )
    assert server.requests[-1].json()["tools"][0]["function"]["parameters"] != NESTED


@pytest.mark.parametrize("mode", MODES)
def test_text_that_looks_like_line_ends_arrives(server, calls, mode):
    """Characters that end lines elsewhere are text here, also unescaped and cut apart."""
    part = {"model": MODEL, "message": {"role": "assistant", "content": ODD}, "done": True}
    data = json.dumps(part, ensure_ascii=False).encode() + b"\n"
    if mode in {"stream", "astream"}:
        server.script(Raw((b"\n", *(data[at : at + 1] for at in range(len(data))), b"\n")))
    else:
        server.script(Ok(ODD))
    assert calls()(mode).reply.text == ODD


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_a_last_line_without_its_end_counts(server, calls, mode):
    """A stream whose last line has no line feed is whole when that line says so."""
    part = {"model": MODEL, "message": {"role": "assistant", "content": "pong"}, "done": True}
    server.script(Raw((json.dumps(part).encode(),)))
    assert calls()(mode).reply.text == "pong"


@pytest.mark.parametrize("mode", MODES)
def test_a_key_of_the_environment_is_not_sent(server, calls, monkeypatch, mode):
    """The client sends ``OLLAMA_API_KEY`` to any host; only a key that the settings name is sent."""
    monkeypatch.setenv("OLLAMA_API_KEY", "canary-of-the-environment")
    calls()(mode)
    assert "authorization" not in server.requests[-1].headers
    calls(api_key=Secret("named"))(mode)
    assert server.requests[-1].headers["authorization"] == "Bearer named"


@pytest.mark.parametrize("mode", MODES)
def test_no_key_travels_unencrypted(server, afar, monkeypatch, mode):
    """Over plain HTTP to another machine the request goes without its key, and a refusal says why."""
    monkeypatch.setenv("OLLAMA_API_KEY", "canary-of-the-environment")
    server.script(Ok(), Status(401, "auth"))
    call = afar(api_key=Secret("canary"))
    assert call(mode).reply.text == "pong"
    assert "canary" not in str(server.requests[-1].headers)
    error = call(mode).error
    assert type(error) is AuthenticationError
    assert "not sent over plain HTTP" in error.message
    server.script(Status(401, "auth"))
    assert "check api_key" in afar(api_key=Secret(""))(mode).error.message


@pytest.mark.parametrize("mode", MODES)
def test_the_host_of_the_environment_has_no_say(server, calls, monkeypatch, mode):
    """Neither ``OLLAMA_HOST`` nor a proxy of the environment redirects a provider that has settings."""
    nobody = f"http://127.0.0.1:{closed_port()}"
    for name in ("OLLAMA_HOST", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nobody)
    assert calls()(mode).reply.text == "pong"


@pytest.mark.parametrize("mode", MODES)
def test_half_a_character_is_no_reason_to_fail(server, calls, mode):
    """Text that cannot be encoded, as careless cutting leaves it, is sent as JSON's escapes."""
    assert calls()(mode, "cut \ud83d").reply.text == "pong"
    assert server.requests[-1].json()["messages"][0]["content"] == "cut \ud83d"


def test_a_path_before_the_api_is_kept(server, calls):
    """A server behind a proxy's path is asked there."""
    calls(host=f"{server.url}/ollama/")("invoke")
    assert server.requests[-1].path == "/ollama/api/chat"


def test_the_answer_is_asked_for_as_it_is(server, calls):
    """No compression is offered: a few compressed bytes may be very many others."""
    calls()("invoke")
    assert server.requests[-1].headers["accept-encoding"] == "identity"
