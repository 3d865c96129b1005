"""What is sent to the server, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import json

import pytest
from attrs import evolve, frozen
from calling import MODES, Caller
from kickai_providers_core import (
    AuthenticationError,
    ChatRequest,
    Message,
    ProviderUnavailableError,
    Secret,
    Tool,
    ToolCall,
    UnsupportedRequestError,
)
from kickai_providers_core.authoring import http_transport
from kickai_providers_core.testing.faults import Fault, Ok, Status, WrongShape, closed_port
from ollama import Client
from ollama_wire import MODEL

from kickai_ollama.client import OllamaProvider
from kickai_ollama.settings import OllamaSettings

NESTED = {
    "type": "object",
    "properties": {"squad": {"type": "array", "minItems": 1, "items": {"type": "object", "default": None}}},
}
TOOL = Tool(name="pick", parameters=NESTED)

ODD = "one\u0085two\u2028three\u2029four"
"""Characters that end a line for Python and for httpx, and that JSON may contain."""


@frozen
class Raw(Fault):
    """A stream of raw bytes, one HTTP chunk each."""

    chunks: tuple[bytes, ...]

    async def play(self, exchange):
        """Send the chunks."""
        await exchange.link.send(exchange.answer().head)
        for data in self.chunks:
            await exchange.link.send(b"%x\r\n%s\r\n" % (len(data), data))
        await exchange.link.send(b"0\r\n\r\n")


@frozen
class Unended(Fault):
    """A stream whose body stays open, or is cut, after its last line."""

    data: bytes
    hangs: bool

    async def play(self, exchange):
        """Send the line, and no end."""
        await exchange.link.send(exchange.answer().head)
        await exchange.link.send(b"%x\r\n%s\r\n" % (len(self.data), self.data))
        if self.hangs:
            await asyncio.sleep(20)


@pytest.fixture
def remote(server):
    """Return a function that makes callers of a server that seems to be on another machine."""
    made = []

    def make(**changes):
        settings = OllamaSettings(**{"host": f"http://ollama.example:{server.port}", "model": MODEL, **changes})
        caller = Caller(settings, http_transport(settings.address.url, environ={}, look_up=lambda *_: ["127.0.0.1"]))
        made.append(caller)
        return caller

    yield make
    for caller in made:
        caller.provider.close()


@pytest.mark.parametrize("mode", MODES)
def test_the_schema_of_a_tool_is_sent_whole(server, calls, mode):
    """Every part of the schema reaches the server, including nulls and nested schemas."""
    calls()(mode, evolve(ChatRequest.of("Who?"), tools=(TOOL,)))
    assert server.requests[-1].json()["tools"][0]["function"]["parameters"] == NESTED


def test_the_client_alone_drops_parts_of_the_schema(server):
    """This is why the plugin sends its own body."""
    with Client(host=server.url) as client:
        client.chat(
            MODEL, [{"role": "user", "content": "Who?"}], tools=[{"function": {"name": "pick", "parameters": NESTED}}]
        )
    assert server.requests[-1].json()["tools"][0]["function"]["parameters"] != NESTED


@pytest.mark.parametrize("mode", MODES)
def test_text_with_unusual_line_ends_arrives(server, calls, mode):
    """Characters that end lines in Python are text, even unescaped and split between reads."""
    part = {"model": MODEL, "message": {"role": "assistant", "content": ODD}, "done": True}
    data = json.dumps(part, ensure_ascii=False).encode() + b"\n"
    if mode in {"stream", "astream"}:
        server.script(Raw((b"\n", *(data[at : at + 1] for at in range(len(data))), b"\n")))
    else:
        server.script(Ok(ODD))
    assert calls()(mode).reply.text == ODD


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_a_last_line_without_its_end_counts(server, calls, mode):
    """A stream whose last line has no line feed is whole when that line is done."""
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
def test_no_key_travels_unencrypted(server, remote, monkeypatch, mode):
    """Over plain HTTP to another machine the key is not sent, and the error of a refusal says so."""
    monkeypatch.setenv("OLLAMA_API_KEY", "canary-of-the-environment")
    server.script(Ok(), Status(401, "auth"))
    call = remote(api_key=Secret("canary"))
    assert call(mode).reply.text == "pong"
    assert "canary" not in str(server.requests[-1].headers)
    error = call(mode).error
    assert type(error) is AuthenticationError
    assert "not sent over plain HTTP" in error.message
    server.script(Status(401, "auth"))
    assert "check api_key" in remote(api_key=Secret(""))(mode).error.message


@pytest.mark.parametrize("mode", MODES)
def test_the_environment_does_not_redirect_the_provider(server, calls, monkeypatch, mode):
    """A provider with settings ignores ``OLLAMA_HOST`` and the proxy variables."""
    nobody = f"http://127.0.0.1:{closed_port()}"
    for name in ("OLLAMA_HOST", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nobody)
    assert calls()(mode).reply.text == "pong"


@pytest.mark.parametrize("mode", MODES)
def test_half_a_character_in_a_prompt_is_replaced(server, calls, mode):
    """Half a character, which cannot be encoded, is sent as U+FFFD."""
    assert calls()(mode, "cut \ud83d").reply.text == "pong"
    assert server.requests[-1].json()["messages"][0]["content"] == "cut \ufffd"


def test_a_path_before_the_api_is_kept(server, calls):
    """The path of the address comes before ``/api``."""
    calls(host=f"{server.url}/ollama/")("invoke")
    assert server.requests[-1].path == "/ollama/api/chat"


def test_only_bounded_compression_is_accepted(server, calls):
    """The request accepts only the encodings that are decompressed with a limit."""
    calls()("invoke")
    assert server.requests[-1].headers["accept-encoding"] == "gzip, deflate"


def line(content="", *, done=False, **message):
    """Return one line of a stream."""
    part = {"model": MODEL, "message": {"role": "assistant", "content": content, **message}, "done": done}
    return json.dumps(part).encode() + b"\n"


@pytest.mark.parametrize("mode", ["stream", "astream"])
@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + line("pong", done=True),
        line("po").replace(b"\n", b"\r\n") + line("ng", done=True).replace(b"\n", b"\r\n"),
        b"\n\r\n" + line("po") + b" \n" + line("ng", done=True),
        line("po", done=True) + line("ng"),
        line("po") + line("", done=True) + line("ng", done=True),
    ],
    ids=["byte-order mark", "CRLF", "blank lines", "text after the last part", "two last parts"],
)
@pytest.mark.parametrize("step", [1, 10_000])
def test_no_part_of_a_stream_is_lost(server, calls, mode, data, step):
    """Unusual line ends lose no text, nor does a part that says too early that it is the last."""
    server.script(Raw(tuple(data[at : at + step] for at in range(0, len(data), step))))
    ended = calls()(mode)
    assert ended.reply.text == "pong"
    assert [chunk.finish_reason is None for chunk in ended.chunks] == [True] * (len(ended.chunks) - 1) + [False]


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_an_error_after_the_last_part_counts(server, calls, mode):
    """An error after the last part makes the call fail."""
    server.script(Raw((line("pong", done=True), b'{"error": "crashed"}\n')))
    assert type(calls()(mode).error) is ProviderUnavailableError


@pytest.mark.parametrize("mode", ["stream", "astream"])
@pytest.mark.parametrize("end", ["hangs", "is cut"])
def test_a_whole_answer_whose_body_has_no_end_is_whole(server, calls, mode, end):
    """After the last part, a body that stays open or is cut does not matter."""
    server.script(Unended(line("pong", done=True), hangs=end == "hangs"))
    ended = calls(idle_timeout_s=0.3)(mode)
    assert ended.reply.text == "pong"


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_a_character_cut_between_two_parts_is_joined(server, calls, mode):
    """The halves of a character in two parts are joined, so that each chunk can be encoded."""
    server.script(Raw((line("a\ud83c"), line("", thinking="\ud83c"), line("\udfc9b"), line("\ud83c", done=True))))
    ended = calls()(mode)
    assert ended.reply.text == "a\U0001f3c9b\ufffd"
    for chunk in ended.chunks:
        chunk.text.encode()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("arguments", [{"day": "Sat"}, '{"day":"Sat"}'], ids=["object", "text"])
def test_tool_arguments_may_be_an_object_or_text(server, calls, mode, arguments):
    """Both forms are read, and each call has an id of its own."""
    call = {"id": "", "function": {"name": "pick", "arguments": arguments}}
    data = line(done=True, tool_calls=[call, call, {"function": {"name": "pick"}}])
    server.script(Raw((data,)) if mode in {"stream", "astream"} else WrongShape(json.loads(data)))
    found = calls()(mode).reply.tool_calls
    assert [each.arguments for each in found] == ['{"day":"Sat"}', '{"day":"Sat"}', "{}"]
    assert len({each.id for each in found}) == 3


@pytest.mark.parametrize("mode", MODES)
def test_a_number_that_json_does_not_have_is_not_sent(server, calls, mode):
    """NaN in the arguments of another target is sent as null; arguments that are cut are not sent."""

    def call_with(arguments):
        calling = Message(role="assistant", tool_calls=(ToolCall(id="x", name="pick", arguments=arguments),))
        return calls()(mode, ChatRequest(messages=(Message(role="user", content="Who?"), calling)))

    assert type(call_with('{"day": NaN').error) is UnsupportedRequestError
    assert not server.requests
    assert call_with('{"day": NaN}').reply.text == "pong"
    assert b"NaN" not in server.requests[-1].body
    assert server.requests[-1].json()["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"day": None}


@pytest.mark.parametrize("mode", MODES)
def test_the_history_of_other_targets_can_be_sent(server, calls, mode):
    """Replies of other targets may have empty, missing or duplicate ids, no arguments, or half characters."""
    calling = Message(
        role="assistant",
        tool_calls=(
            ToolCall(id="", name="a", arguments=""),
            ToolCall(id="x", name="b", arguments='{"day": "\ud83c"}'),
            ToolCall(id="x", name="c", arguments="{}"),
        ),
    )
    answers = tuple(Message(role="tool", content="\udfc9", tool_call_id=call_id) for call_id in ("x", "x", "unknown"))
    history = (Message(role="user", content="Who?"), calling, *answers, Message(role="assistant", content=""))
    assert calls()(mode, ChatRequest(messages=history)).reply.text == "pong"
    assert json.dumps(server.requests[-1].json(), ensure_ascii=False).encode()


async def test_a_flood_of_lines_does_not_block_the_loop(server):
    """Other tasks run while a server sends lines without a pause."""
    server.script(Raw((line("x") * 20_000, line("", done=True))))
    provider = OllamaProvider(OllamaSettings(host=server.url, model=MODEL))
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    count = sum([len(chunk.text) async for chunk in provider.astream(ChatRequest.of("Who?"), 60.0)])
    task.cancel()
    await provider.aclose()
    assert count == 20_000
    assert turns > 20
