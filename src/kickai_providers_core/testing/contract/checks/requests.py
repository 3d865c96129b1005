"""What is sent to the service: every field of the request, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, example, given, settings

from kickai_providers_core.testing import strategies
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, KEY, PROMPT
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.requirements import (
    require_capability,
    require_finish_reason,
    require_key,
)
from kickai_providers_core.testing.contract.helpers.sending import read_arguments
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Ok
from kickai_providers_core.values.errors import ProviderError, UnsupportedRequestError
from kickai_providers_core.values.images import Image
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.replies import FinishReason
from kickai_providers_core.values.requests import Capability
from kickai_providers_core.values.tools import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.faults import Recorded
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["RequestTests"]

FIELDS: dict[str, Any] = {"temperature": 0.375, "max_tokens": 137, "top_p": 0.625, "stop": ("HALT",), "seed": 4242}
"""Unusual values, so that they are found wherever a service expects them."""

LONE_SURROGATE = "\ud83d"
"""Half of an emoji, as JavaScript clients send when they cut a text. UTF-8 cannot encode it."""

TOOL = Tool(
    name="canary_tool",
    description="Finds a player.",
    parameters={"type": "object", "properties": {"canary_day": {"type": "string"}}},
)


class RequestTests(ProviderSpec):
    """The request reaches the service."""

    @in_each_mode
    def test_one_request_is_made(self, harness: ProviderHarness, mode: Mode) -> None:
        """One call sends one request."""
        _send(harness, mode)
        count = len(harness.server.requests)
        assert count == 1, f"one call sent {count} requests, expected 1"

    @in_each_mode
    def test_the_key_is_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """The key from the settings is sent in a header."""
        require_key(harness)
        headers = " ".join(_send(harness, mode).headers.values())
        assert KEY.reveal() in headers, "the request has no header with the key"

    @in_each_mode
    @pytest.mark.parametrize("field", FIELDS)
    def test_fields_are_sent_or_named(self, harness: ProviderHarness, mode: Mode, field: str) -> None:
        """Each field of the request is sent, or the reply names it in ``omitted``."""
        server = harness.server
        reply = harness.attempt(mode, request=evolve(harness.request, **{field: FIELDS[field]})).reply
        sent = _list_values(_get_last_request(server.requests).json())
        value = FIELDS[field][0] if field == "stop" else FIELDS[field]
        assert value in sent or field in reply.omitted, (
            f"{field} was not sent: send it, or name it in Reply.omitted when the service does not support it"
        )

    @in_each_mode
    def test_the_model_is_asked_for(self, harness: ProviderHarness, mode: Mode) -> None:
        """The request's model is sent, not the model of the settings."""
        sent = _send(harness, mode, model="another-model")
        assert "another-model" in sent.path or "another-model" in _list_values(sent.json()), (
            "the request's model 'another-model' was not sent"
        )

    @in_each_mode
    def test_the_conversation_keeps_its_order(self, harness: ProviderHarness, mode: Mode) -> None:
        """Every message is sent, oldest first; the system message may be sent separately."""
        turns = [("system", "turn-0"), ("user", "turn-1"), ("assistant", "turn-2"), ("user", "turn-3")]
        messages = tuple(Message.of({"role": role, "content": content}) for role, content in turns)
        values = _list_values(_send(harness, mode, messages=messages).json())
        sent = [value for value in values if isinstance(value, str) and "turn-" in value]
        turns_sent = [value for value in sent if "turn-0" not in value]
        assert turns_sent == ["turn-1", "turn-2", "turn-3"], f"expected the messages in their order, got {turns_sent}"
        assert any("turn-0" in value for value in sent), "the system message was not sent"

    @in_each_mode
    def test_several_system_messages_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each of several system messages is sent, also one within the conversation, or they are refused."""
        server = harness.server
        turns = [
            ("system", "turn-0"),
            ("system", "turn-1"),
            ("user", "turn-2"),
            ("system", "turn-3"),
            ("user", "turn-4"),
        ]
        messages = tuple(Message.of({"role": role, "content": content}) for role, content in turns)
        outcome = harness.attempt(mode, request=evolve(harness.request, messages=messages))
        if isinstance(outcome.raised, UnsupportedRequestError):
            return
        outcome.reply  # noqa: B018
        sent = _get_last_request(server.requests).body.decode()
        missing = [content for _, content in turns if content not in sent]
        assert not missing, f"these of several messages, three of them of the system, were not sent: {missing}"

    def test_any_text_is_sent(self, harness: ProviderHarness) -> None:
        """Any text of a user is answered, or rejected with a `ProviderError`."""
        server = harness.server

        @given(strategies.requests(model=self.model))
        @example(evolve(harness.request, messages=(Message(role="user", content=LONE_SURROGATE),)))
        @settings(
            max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        def send(request: ChatRequest) -> None:
            outcome = harness.attempt("invoke", request=request, timeout_s=GRACE_S)
            if outcome.raised is not None:
                outcome.raises(ProviderError)
            else:
                text = _replace_surrogates(request.messages[-1].content)
                assert text in _list_values(server.requests[-1].json()), f"the message {text!r} was not sent"

        send()

    @in_each_mode
    def test_tools_are_offered(self, harness: ProviderHarness, mode: Mode) -> None:
        """A provider with the capability ``tools`` sends their names and schemas."""
        require_capability(harness, Capability.TOOLS)
        sent = json.dumps(_send(harness, mode, tools=(TOOL,)).json())
        assert "canary_tool" in sent, "the tool's name was not sent"
        assert "canary_day" in sent, "the tool's schema was not sent"

    @in_each_mode
    def test_tool_calls_come_back(self, harness: ProviderHarness, mode: Mode) -> None:
        """A provider with the capability ``tools`` returns the model's tool call and the matching finish reason."""
        require_capability(harness, Capability.TOOLS)
        require_finish_reason(harness, FinishReason.TOOL_CALL)
        request = evolve(harness.request, tools=(TOOL,))
        reply = harness.attempt(mode, Ok("", (), finish=FinishReason.TOOL_CALL), request=request).reply
        assert reply.finish_reason is FinishReason.TOOL_CALL, f"expected tool_call, got {reply.finish_reason}"
        names = [call.name for call in reply.tool_calls]
        assert names == ["canary_tool"], f"expected a call of canary_tool, got {names}"
        read_arguments(reply.tool_calls[0])

    @in_each_mode
    def test_schemas_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """A provider with the capability ``json_schema`` sends the request's schema."""
        require_capability(harness, Capability.JSON_SCHEMA)
        schema = {"type": "object", "properties": {"canary_field": {"type": "string"}}}
        sent = _send(harness, mode, Ok('{"canary_field": "yes"}'), json_schema=schema)
        assert "canary_field" in json.dumps(sent.json()), "the JSON schema was not sent"

    @in_each_mode
    def test_images_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """A provider with the capability ``images`` sends them in Base64."""
        require_capability(harness, Capability.IMAGES)
        image = Image(media_type="image/png", data=b"canary-image")
        messages = (Message(role="user", content=PROMPT, images=(image,)),)
        sent = _send(harness, mode, messages=messages)
        assert "Y2FuYXJ5LWltYWdl" in json.dumps(sent.json()), "the image was not sent in Base64"


def _send(harness: ProviderHarness, mode: Mode, answer: Ok | None = None, **changes: Any) -> Recorded:
    """Call the provider with fields of the request changed; return what the service received."""
    server = harness.server
    harness.attempt(mode, answer, request=evolve(harness.request, **changes)).reply  # noqa: B018
    return _get_last_request(server.requests)


def _get_last_request(requests: list[Recorded]) -> Recorded:
    assert requests, "the provider sent no request"
    return requests[-1]


def _replace_surrogates(text: str) -> str:
    """Return a text with surrogate pairs joined and lone surrogates replaced, as it can be sent."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _list_values(value: Any) -> list[Any]:
    """Return every value of a JSON document that is neither a list nor an object, in order."""

    def walk(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for child in value.values():
                yield from walk(child)
        elif isinstance(value, list):
            for child in value:
                yield from walk(child)
        else:
            yield value

    return list(walk(value))
