"""Public values accept only what their documentation allows: other values are converted exactly, or refused by name."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from kickai_providers_core import (
    Attempt,
    BreakerSettings,
    ChatRequest,
    FinishReason,
    Image,
    Message,
    ModelInfo,
    Outcome,
    Policy,
    Problem,
    Progress,
    ProviderInfo,
    ProviderSettings,
    Reply,
    ReplyChunk,
    Rule,
    Skip,
    SkipReason,
    Target,
    Tool,
    ToolCall,
    Usage,
)
from kickai_providers_core.values.trace import RequestTrace

USER = Message(role="user", content="private")
CALL = ToolCall(id="1", name="f", arguments="{}")
SCHEMA = {"type": "object"}
CYCLE: dict[str, Any] = {}
CYCLE["again"] = CYCLE

VALID: dict[type, dict[str, Any]] = {
    ChatRequest: {"messages": (USER,)},
    Message: {"role": "user", "content": "private"},
    Image: {"media_type": "image/png", "data": b"x"},
    Tool: {"name": "t"},
    ToolCall: {"id": "1", "name": "f", "arguments": "{}"},
    Usage: {"input_tokens": 1, "output_tokens": 2},
    Reply: {"text": "private", "finish_reason": FinishReason.STOP},
    ReplyChunk: {"text": "private"},
    RequestTrace: {},
    Attempt: {
        "position": 0,
        "provider": "p",
        "model": None,
        "number": 1,
        "started_s": 0.0,
        "latency_s": 1.0,
        "outcome": Outcome.SUCCESS,
    },
    Skip: {"position": 0, "provider": "p", "model": None, "reason": SkipReason.BUSY},
    Target: {"provider": "p"},
    Problem: {"path": "p", "message": "wrong"},
    ProviderInfo: {"name": "p", "summary": "s"},
    ModelInfo: {},
    Progress: {"status": "s"},
    Policy: {},
    Rule: {},
    BreakerSettings: {},
    ProviderSettings: {},
}

NUMBERS = {
    ChatRequest: ("temperature", "max_tokens", "top_p", "seed"),
    Usage: ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_nano_usd"),
    Reply: ("latency_s", "deadline_s"),
    Attempt: ("position", "number", "started_s", "latency_s", "rests_s"),
    Skip: ("position", "at_s", "retry_in_s"),
    ModelInfo: ("context_window",),
    Progress: ("completed", "total"),
    Policy: ("backoff_initial_s", "backoff_max_s", "min_attempt_s", "retry_share", "retry_floor"),
    Rule: ("rest_s",),
    BreakerSettings: ("max_errors", "cooldown_s", "max_cooldown_s", "probe_lease_s"),
    ProviderSettings: (
        *("timeout_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s", "retries"),
        *("max_concurrency", "requests_per_minute", "tokens_per_minute", "context_window"),
    ),
}
TEXTS = {
    ChatRequest: ("model", "tool_choice"),
    Message: ("role", "content", "tool_call_id"),
    Image: ("media_type", "url"),
    Tool: ("name", "description"),
    ToolCall: ("name",),
    Reply: ("text", "model", "provider"),
    ReplyChunk: ("text", "model"),
    Attempt: ("provider", "model"),
    Skip: ("provider", "model", "detail"),
    Target: ("provider", "model"),
    Problem: ("path", "message", "hint", "source", "missing", "severity"),
    ProviderInfo: ("name", "summary"),
    ModelInfo: ("successor",),
    Progress: ("status",),
    Rule: ("retry", "fall_back", "rests"),
    ProviderSettings: ("kind", "model"),
}
FLAGS = {
    Reply: ("fell_back", "last_resort"),
    ReplyChunk: ("restart",),
    Attempt: ("retry_withheld",),
    ProviderInfo: ("holds_timeouts",),
    Policy: ("last_resort",),
    Rule: ("counts",),
}


def each(fields: dict[type, tuple[str, ...]]) -> list[Any]:
    """Return a parameter for each field of each class."""
    return [pytest.param(cls, name, id=f"{cls.__name__}.{name}") for cls, names in fields.items() for name in names]


def refusal(cls: type, **fields: Any) -> Exception:
    """Return the error of a value that cannot be made."""
    with pytest.raises((TypeError, ValueError)) as caught:
        cls(**VALID[cls] | fields)
    return caught.value


@pytest.mark.parametrize("cls", VALID)
def test_valid_values_can_be_made(cls: type) -> None:
    """What the other tests change is valid before."""
    cls(**VALID[cls])


@pytest.mark.parametrize("value", [nan, inf, -inf, True, "5", b"5", [5], -4, 5j])
@pytest.mark.parametrize(("cls", "name"), each(NUMBERS))
def test_what_is_not_a_number_in_range_is_refused(cls: type, name: str, value: Any) -> None:
    """NaN, infinities, bools, text and negative numbers are refused everywhere; a seed may be negative."""
    if (name, value) == ("seed", -4):
        pytest.skip("any whole number is a seed")
    error = refusal(cls, **{name: value})
    assert name in str(error)


@pytest.mark.parametrize("value", [5, b"x", ["x"], object(), nan, True])
@pytest.mark.parametrize(("cls", "name"), each(TEXTS))
def test_what_is_not_text_is_refused(cls: type, name: str, value: Any) -> None:
    """A TypeError or ValueError names the field."""
    assert name.split("_", maxsplit=1)[0] in str(refusal(cls, **{name: value}))


@pytest.mark.parametrize("value", [None, 0, 1, "yes"])
@pytest.mark.parametrize(("cls", "name"), each(FLAGS))
def test_what_is_not_true_or_false_is_refused(cls: type, name: str, value: Any) -> None:
    """Flags are True or False, and nothing that only counts as one."""
    error = refusal(cls, **{name: value})
    assert isinstance(error, TypeError)
    assert name in str(error)


@pytest.mark.parametrize(
    ("cls", "fields", "kind", "words"),
    [
        (ChatRequest, {"messages": ()}, ValueError, "ChatRequest.messages must be at least one Message, got none"),
        (ChatRequest, {"messages": "private"}, TypeError, "got str of 7 characters"),
        (ChatRequest, {"messages": None}, TypeError, "got None"),
        (ChatRequest, {"messages": USER}, TypeError, "got Message"),
        (ChatRequest, {"messages": [USER, {"role": "user"}]}, TypeError, r"messages\[1\] must be a Message"),
        (ChatRequest, {"model": ""}, ValueError, "ChatRequest.model"),
        (ChatRequest, {"max_tokens": 0}, ValueError, "ChatRequest.max_tokens must be at least 1, got 0"),
        (ChatRequest, {"max_tokens": 1.0}, TypeError, r"got 1.0 \(float\)"),
        (ChatRequest, {"top_p": 0}, ValueError, "greater than 0 and at most 1"),
        (ChatRequest, {"top_p": 1.5}, ValueError, "got 1.5"),
        (ChatRequest, {"stop": ["a", ""]}, ValueError, r"ChatRequest.stop\[1\]"),
        (ChatRequest, {"stop": 5}, TypeError, "ChatRequest.stop"),
        (ChatRequest, {"tools": (print,)}, TypeError, r"ChatRequest.tools\[0\] must be a Tool"),
        (ChatRequest, {"tools": Tool(name="t")}, TypeError, "ChatRequest.tools must be a sequence"),
        (ChatRequest, {"tools": [Tool(name="t"), Tool(name="t")]}, ValueError, "different names"),
        (ChatRequest, {"tool_choice": "t"}, ValueError, "tool_choice"),
        (ChatRequest, {"tool_choice": "required"}, ValueError, "without tools"),
        (ChatRequest, {"json_schema": dict}, TypeError, "got the class dict"),
        (ChatRequest, {"json_schema": {"enum": {1, 2}}}, TypeError, r"json_schema\['enum'\].*got set"),
        (ChatRequest, {"json_schema": {"maximum": nan}}, ValueError, r"json_schema\['maximum'\]"),
        (ChatRequest, {"json_schema": {1: "x"}}, TypeError, "each key of ChatRequest.json_schema"),
        (ChatRequest, {"json_schema": CYCLE}, ValueError, "a deeper or circular value"),
        (Message, {"role": "nobody"}, ValueError, "Message.role must be 'system', 'user', .*, got 'nobody'"),
        (Message, {"content": None}, TypeError, "Message.content"),
        (Message, {"role": "assistant", "content": None}, TypeError, "has tool calls, got None"),
        (Message, {"content": ["private"]}, TypeError, "got list"),
        (Message, {"images": "x"}, TypeError, "Message.images"),
        (Message, {"images": ["x"]}, TypeError, r"Message.images\[0\] must be a Image"),
        (Message, {"tool_calls": (CALL,)}, ValueError, "unless the role is 'assistant'"),
        (Message, {"tool_call_id": "1"}, ValueError, "unless the role is 'tool'"),
        (Image, {"data": b""}, ValueError, "Image.data"),
        (Image, {"data": "x"}, TypeError, "Image.data must be bytes"),
        (Image, {"data": None}, ValueError, "either data or a url"),
        (Image, {"url": "https://x.test/a.png"}, ValueError, "either data or a url"),
        (Image, {"data": None, "url": "data:image/png;base64,eA=="}, ValueError, "Image.url"),
        (Image, {"data": None, "url": "file:///etc/passwd"}, ValueError, "Image.url"),
        (Image, {"data": None, "url": "a.png"}, ValueError, "Image.url"),
        (Image, {"media_type": "png"}, ValueError, "Image.media_type"),
        (Tool, {"name": "get weather"}, ValueError, "Tool.name"),
        (Tool, {"parameters": {"type": "string"}}, ValueError, "Tool.parameters"),
        (Tool, {"parameters": None}, TypeError, "Tool.parameters"),
        (ToolCall, {"name": ""}, ValueError, "ToolCall.name"),
        (ToolCall, {"id": b"1"}, TypeError, "ToolCall.id"),
        (ToolCall, {"arguments": 5}, TypeError, "ToolCall.arguments"),
        (ToolCall, {"arguments": {"x": nan}}, ValueError, r"ToolCall.arguments\['x'\]"),
        (Reply, {"finish_reason": "done"}, ValueError, "stop, length"),
        (Reply, {"finish_reason": None}, TypeError, "finish_reason"),
        (Reply, {"usage": {"input_tokens": 1}}, TypeError, "Reply.usage"),
        (Reply, {"tool_calls": ["x"]}, TypeError, r"tool_calls\[0\]"),
        (Reply, {"omitted": "seed"}, TypeError, "omitted"),
        (RequestTrace, {"attempts": [1]}, TypeError, r"RequestTrace.attempts\[0\]"),
        (ReplyChunk, {"finish_reason": 1}, TypeError, "finish_reason"),
        (Attempt, {"outcome": "success"}, TypeError, "Attempt.outcome"),
        (Attempt, {"error": "x"}, TypeError, "Attempt.error"),
        (Skip, {"reason": "busy"}, TypeError, "Skip.reason"),
        (Target, {"provider": ""}, ValueError, "Target.provider"),
        (Problem, {"severity": "fatal"}, ValueError, "Problem.severity"),
        (Rule, {"retry": "always"}, ValueError, "retry"),
        (Policy, {"timeout": "never"}, TypeError, "Policy.timeout must be a Rule"),
        (ProviderInfo, {"settings_class": "x"}, TypeError, "settings_class"),
        (ProviderInfo, {"aliases": "hf"}, TypeError, "aliases"),
        (ProviderInfo, {"environment": ["KEY"]}, TypeError, "environment"),
        (ProviderInfo, {"models": {"m": 1}}, TypeError, "models"),
    ],
)
def test_wrong_values_are_refused_by_name(cls: type, fields: dict[str, Any], kind: type, words: str) -> None:
    """The error has the documented class, names the field, and quotes neither prompt nor answer."""
    with pytest.raises(kind, match=words) as caught:
        cls(**VALID[cls] | fields)
    assert "private" not in str(caught.value)


@pytest.mark.parametrize(
    ("cls", "fields", "name", "expected"),
    [
        (ChatRequest, {"messages": [USER]}, "messages", (USER,)),
        (ChatRequest, {"messages": iter([USER])}, "messages", (USER,)),
        (ChatRequest, {"stop": "END"}, "stop", ("END",)),
        (ChatRequest, {"stop": ["a", "b"]}, "stop", ("a", "b")),
        (ChatRequest, {"stop": None}, "stop", ()),
        (ChatRequest, {"tools": None}, "tools", ()),
        (ChatRequest, {"tools": [{"type": "function", "function": {"name": "t"}}]}, "tools", (Tool(name="t"),)),
        (ChatRequest, {"json_schema": {"enum": ("a", "b")}}, "json_schema", {"enum": ["a", "b"]}),
        (
            ChatRequest,
            {"tools": [Tool(name="t")], "tool_choice": {"type": "function", "function": {"name": "t"}}},
            "tool_choice",
            "t",
        ),
        (Message, {"role": "assistant", "content": None, "tool_calls": [CALL]}, "content", ""),
        (Message, {"role": "assistant", "tool_calls": [CALL]}, "tool_calls", (CALL,)),
        (Message, {"images": None}, "images", ()),
        (Message, {"content": "Goal \ud83d\ude00 \ud83d"}, "content", "Goal \U0001f600 \ufffd"),
        (Image, {"data": bytearray(b"x")}, "data", b"x"),
        (Tool, {"description": None}, "description", ""),
        (ToolCall, {"id": 0}, "id", "0"),
        (ToolCall, {"arguments": {"x": "ä"}}, "arguments", '{"x": "ä"}'),
        (ToolCall, {"arguments": " "}, "arguments", "{}"),
        (ToolCall, {"arguments": None}, "arguments", "{}"),
        (ToolCall, {"arguments": '{"cut'}, "arguments", '{"cut'),
        (Reply, {"finish_reason": "stop"}, "finish_reason", FinishReason.STOP),
        (Reply, {"text": "\ude00"}, "text", "\ufffd"),
        (Reply, {"request_id": 7}, "request_id", "7"),
        (Reply, {"model": "m\x1b[31m"}, "model", "m [31m"),
        (Reply, {"tool_calls": [CALL]}, "tool_calls", (CALL,)),
        (ReplyChunk, {"finish_reason": "tool_call"}, "finish_reason", FinishReason.TOOL_CALL),
        (ReplyChunk, {"text": "\ud83d"}, "text", "\ud83d"),
    ],
)
def test_values_with_one_exact_meaning_are_converted(cls: type, fields: Any, name: str, expected: Any) -> None:
    """A list becomes a tuple, one stop text stays one, and a word becomes its enum."""
    held = getattr(cls(**VALID[cls] | fields), name)
    assert held == expected
    assert type(held) is type(expected)


@pytest.mark.parametrize("missing", [None, "", "\x00", "\x1b\x9b", "\u202e\u2066", " \x00 "])
def test_a_call_without_an_id_gets_one(missing: Any) -> None:
    """A tool's message names its call by the id, so that no call is without one."""
    first, second = (ToolCall(id=missing, name="f", arguments="{}") for _ in range(2))
    assert first.id
    assert first.id != second.id


def test_a_schema_is_copied() -> None:
    """What the caller does to its mapping later does not reach the request."""
    schema: dict[str, Any] = {"properties": {"a": {"type": "string"}}}
    request = ChatRequest(messages=(USER,), json_schema=schema)
    schema["properties"]["a"]["type"] = "integer"
    assert request.json_schema == {"properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(("cls", "name"), each({ChatRequest: ("json_schema",), Tool: ("description",)}))
def test_no_frame_of_a_refusal_holds_the_arguments(cls: type, name: str) -> None:
    """A traceback of a constructor has no local variable with the other arguments, and no error behind it."""
    secret = {ChatRequest: {"messages": (USER,), "stop": "canary"}, Tool: {"parameters": {"title": "canary"}}}[cls]
    error = refusal(cls, **{name: 5}, **secret)
    trace = error.__traceback__
    assert trace is not None
    frame = trace.tb_next and trace.tb_next.tb_next
    while frame is not None:
        assert "canary" not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next
    assert error.__context__ is None


def test_reprs_show_lengths_instead_of_texts() -> None:
    """No repr of a public value shows a prompt, an answer, an image or a call's arguments."""
    call = ToolCall(id="1", name="f", arguments='{"a": "canary"}')
    images = (Image(media_type="image/png", data=b"canary"), Image(media_type="image/png", url="https://x.test/canary"))
    message = Message(role="assistant", content="canary", tool_calls=(call,), images=images)
    values = (
        *(call, *images, message, ChatRequest(messages=(message,), json_schema={"title": "canary"})),
        *(
            Reply(text="canary", finish_reason="stop", tool_calls=(call,)),
            ReplyChunk(text="canary", tool_calls=(call,)),
        ),
    )
    assert "canary" not in repr(values)
    assert repr(Message(role="user", content="x")).startswith("Message(role='user', content=<1 character>")
