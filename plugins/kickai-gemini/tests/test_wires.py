"""What the provider sends, and what it makes of the answers, on a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from conftest import KEY, MODES, Caller
from gemini_service import USAGE, candidate
from kickai_providers_core import (
    AuthenticationError,
    ChatRequest,
    FinishReason,
    Image,
    InvalidReplyError,
    Message,
    ProviderUnavailableError,
    Secret,
    Tool,
    ToolCall,
    Usage,
)
from kickai_providers_core.testing.faults import FaultServer, Ok, Redirect, Status
from loguru import logger

from kickai_gemini.client import Gemini
from kickai_gemini.settings import GeminiSettings

SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
ANN = {"result": "Ann"}
FULL = ChatRequest(
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content="Who?", images=(Image(media_type="image/png", data=b"\xfb\xff"),)),
        Message(role="assistant", tool_calls=(ToolCall(id="7", name="who", arguments='{"day": "Sat", "n": 1}'),)),
        Message(role="tool", content="Ann", tool_call_id="7"),
    ),
    model="gemini-3.1-flash-lite",
    temperature=0.1,
    max_tokens=64,
    top_p=0.5,
    stop=("END",),
    tools=(Tool(name="who", description="Finds players.", parameters=SCHEMA),),
    tool_choice="required",
    json_schema=SCHEMA,
)


NUMBERS = {"mode": {1: "AUTO", 2: "ANY", 3: "NONE"}, "type": {1: "STRING", 6: "OBJECT"}}


def plain(value):
    """Return JSON in the form of the reference: the API also takes numbers for names, and snake case."""
    if isinstance(value, dict):
        words = {re.sub("_(.)", lambda found: found[1].upper(), name): each for name, each in value.items()}
        return {
            name: NUMBERS[name][each] if name in NUMBERS and isinstance(each, int) else plain(each)
            for name, each in words.items()
            if name != "thoughtSignature"
        }
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.replace("-", "+").replace("_", "/") if isinstance(value, str) and value.endswith("=") else value


@pytest.mark.parametrize("mode", MODES)
def test_full_request_arrives_in_the_form_of_the_api(calls, server, service, sdk, mode):
    """A request has every field, as in the REST reference, and the model in the path."""
    service.answer = [candidate(parts=[{"functionCall": {"name": "who", "args": {"day": "Sat"}}}], finish="STOP")]
    server.script(Ok(pieces=()))
    assert calls()(mode, FULL).error is None
    (sent,) = server.requests
    assert sent.path.startswith("/v1beta/models/gemini-3.1-flash-lite:")
    new = sdk == "google-genai"
    schema = SCHEMA if new else {**SCHEMA, "type": "OBJECT", "properties": {"day": {"type": "STRING"}}}
    assert plain(sent.json()) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Who?"}, {"inlineData": {"mimeType": "image/png", "data": "+/8="}}]},
            {"role": "model", "parts": [{"functionCall": {"id": "7", "name": "who", "args": {"day": "Sat", "n": 1}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"id": "7", "name": "who", "response": {"result": "Ann"}}}],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "who",
                        "description": "Finds players.",
                        "parametersJsonSchema" if new else "parameters": schema,
                    }
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "temperature": 0.1,
            "topP": 0.5,
            "maxOutputTokens": 64,
            "stopSequences": ["END"],
            "responseMimeType": "application/json",
            "responseJsonSchema" if new else "responseSchema": schema,
        },
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", [Ok(), Status(401), Status(429), Status(503)], ids=["ok", "401", "429", "503"])
def test_one_call_is_one_request(calls, server, mode, fault):
    """No call is retried, refreshed or continued."""
    server.script(fault)
    calls()(mode)
    assert len(server.requests) == 1


@pytest.mark.parametrize("mode", MODES)
def test_answer_is_not_continued(calls, server, service, mode):
    """A finish reason for which google-genai would send another request is an error."""
    service.answer = [{**candidate("half", "CONTINUATION"), "continuationToken": "dG9rZW4="}]
    server.script(Ok(pieces=()))
    assert isinstance(calls()(mode).error, InvalidReplyError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("mode", MODES)
def test_key_is_only_in_a_header(calls, server, mode):
    """The key is in one header: not in the path, the body or the provider's variables."""
    call = calls()
    assert call(mode).error is None
    (sent,) = server.requests
    assert sent.headers["x-goog-api-key"] == KEY.reveal()
    assert KEY.reveal() not in sent.path + sent.body.decode()
    assert KEY.reveal() not in repr(vars(call.provider)) + repr(vars(call.provider._wire))


@pytest.mark.parametrize("mode", MODES)
def test_redirect_is_not_followed(calls, server, mode):
    """A redirect is an error, and nothing is sent to its target."""
    with FaultServer(server.wire) as elsewhere:
        server.script(Redirect(f"{elsewhere.url}/v1beta"))
        assert isinstance(calls()(mode).error, ProviderUnavailableError)
        assert elsewhere.requests == []


def test_two_keys_and_two_services_in_one_process(calls, server):
    """Each instance uses its own service and key."""
    with FaultServer(server.wire, Ok("other")) as second:
        one, other = calls(), calls(base_url=second.url, api_key=Secret("another-key"))
        assert [call().reply.text for call in (one, other, one)] == ["pong", "other", "pong"]
        assert [each.headers["x-goog-api-key"] for each in server.requests] == [KEY.reveal()] * 2
        assert [each.headers["x-goog-api-key"] for each in second.requests] == ["another-key"]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_no_environment_variable_redirects_an_instance(calls, server, monkeypatch, mode):
    """No variable of Google's clients changes the address or the key of an instance."""
    with FaultServer(server.wire) as elsewhere:
        for name in ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, elsewhere.url)
        for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
            monkeypatch.setenv(name, "a-key-of-the-environment")
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
        monkeypatch.setenv("GOOGLE_GENAI_USE_ENTERPRISE", "true")
        monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v9")
        monkeypatch.setenv("GOOGLE_GENAI_CLIENT_MODE", "replay")
        monkeypatch.setenv("GOOGLE_GENAI_REPLAYS_DIRECTORY", "/nowhere")
        monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "elsewhere.test")
        monkeypatch.setenv("GOOGLE_API_USE_MTLS_ENDPOINT", "always")
        monkeypatch.setenv("GOOGLE_API_USE_CLIENT_CERTIFICATE", "perhaps")
        assert calls()(mode).reply.text == "pong"
        assert elsewhere.accepted_connections == 0
    (sent,) = server.requests
    assert sent.path.startswith("/v1beta/models/")
    assert sent.headers["x-goog-api-key"] == KEY.reveal()


def test_missing_key_sends_nothing(sdk, monkeypatch):
    """Without a key no other credentials are searched for, and no connection is made."""
    connections = []
    monkeypatch.setattr("socket.socket.connect", lambda _, address: connections.append(address))
    monkeypatch.setattr("socket.getaddrinfo", lambda *where, **_: connections.append(where))
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="GOOGLE_API_KEY"):
        Gemini(GeminiSettings(client=sdk))
    assert connections == []


@pytest.mark.parametrize("mode", MODES)
def test_model_that_answered_is_named(calls, service, server, mode):
    """A reply names the model that answered, if it differs from the requested one."""
    service.answer = [candidate("pong", "STOP", model="gemini-3.8-flash", usage=USAGE)]
    server.script(Ok(pieces=()))
    assert calls(model="gemini-2.5-pro")(mode).reply.model == "gemini-3.8-flash"
    assert "gemini-2.5-pro" in server.requests[0].path or date.today() >= date(2026, 12, 1)  # noqa: DTZ011


def test_retired_model_logs_one_warning(calls, server):
    """Each call with a retired model uses its successor; the warning is logged once."""
    logged = []
    logger.enable("kickai_gemini")
    sink = logger.add(lambda message: logged.append((message.record["level"].name, message.record["message"])))
    try:
        call = calls(model="gemini-1.5-flash")
        for mode in MODES:
            assert call(mode).reply.text == "pong"
    finally:
        logger.remove(sink)
        logger.disable("kickai_gemini")
    assert logged == [("WARNING", "the model gemini-1.5-flash is retired; using gemini-3.5-flash-lite instead")]
    assert all("gemini-3.5-flash-lite:" in each.path for each in server.requests)


@pytest.mark.parametrize("mode", MODES)
def test_omitted_parameters_are_named(calls, server, mode):
    """The reply names the parameters that were not sent."""
    request = ChatRequest(messages=FULL.messages[:2], model="gemini-3.5-flash-lite", temperature=0.1, top_p=0.5)
    assert calls()(mode, request).reply.omitted == ("temperature", "top_p")
    assert "temperature" not in server.requests[0].body.decode()


@pytest.mark.parametrize("mode", MODES)
def test_thinking_tokens_are_counted_with_both_clients(calls, mode):
    """Thinking tokens count as output with both clients."""
    assert calls()(mode).reply.usage == Usage(input_tokens=3, output_tokens=7, reasoning_tokens=2)


@pytest.mark.parametrize("mode", MODES)
def test_integers_stay_integers(calls, server, mode):
    """Integers in the arguments of a tool call stay integers."""
    server.script(Ok("", (), finish=FinishReason.TOOL_CALL))
    request = ChatRequest(messages=FULL.messages[:2], tools=FULL.tools)
    (called,) = calls()(mode, request).reply.tool_calls
    assert called.name == "who"
    assert json.loads(called.arguments) == {"day": "Saturday", "number": 7}
    assert "7.0" not in called.arguments


def test_thinking_level_is_sent(server, service):
    """google-genai sends the thinking level."""
    pytest.importorskip("google.genai")
    call = Caller(GeminiSettings(base_url=server.url, api_key=KEY, client="google-genai", thinking_level="minimal"))
    assert call().reply.text == "pong"
    call.provider.close()
    assert plain(server.requests[0].json())["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}


@pytest.mark.parametrize("mode", MODES)
def test_google_genai_is_not_imported(server, mode):
    """A call does not import google-genai, which takes seconds of CPU time."""
    pytest.importorskip("google.genai")
    script = """
import sys
from conftest import Caller
from kickai_gemini.settings import GeminiSettings
from kickai_providers_core import Secret
call = Caller(GeminiSettings(base_url=sys.argv[1], api_key=Secret("k"), client="google-genai"))
print(call(sys.argv[2]).reply.text, "google.genai" in sys.modules, "pydantic" in sys.modules)
"""
    command = [sys.executable, "-c", script, server.url, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    assert done.stdout == "pong False False\n"


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_connection_is_reused_after_a_stream(calls, server, mode):
    """A stream that was read to its end returns its connection to the pool."""
    call = calls()
    if mode == "stream":
        assert [call("stream").reply.text for _ in range(3)] == ["pong"] * 3
    else:

        async def thrice():
            for _ in range(3):
                assert [chunk.text async for chunk in call.provider.astream(ChatRequest.of("ping"), 10.0)]

        asyncio.run(thrice())
    assert server.accepted_connections == 1


@pytest.mark.parametrize("mode", MODES)
def test_lone_surrogate_is_sent_as_a_replacement(calls, server, mode):
    """A lone surrogate is sent as U+FFFD."""
    assert calls()(mode, "half a smile: \ud83d").reply.text == "pong"
    assert server.requests[0].json()["contents"][0]["parts"] == [{"text": "half a smile: \ufffd"}]


def test_requests_are_json(calls, server):
    """Requests have the content type of JSON."""
    calls()()
    assert server.requests[0].headers["content-type"] == "application/json"
    assert json.loads(server.requests[0].body)
