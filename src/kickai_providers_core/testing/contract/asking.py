"""What is asked of the service: every field of the request, in its order, and nothing unsaid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, example, given, settings

from kickai_providers_core.testing import strategies
from kickai_providers_core.testing.contract.givens import GRACE_S, KEY, MODES, PROMPT
from kickai_providers_core.testing.contract.needs import need_capability, need_finish, need_key
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.testing.faults import Ok
from kickai_providers_core.values.errors import ProviderError
from kickai_providers_core.values.messages import Image, Message, Tool
from kickai_providers_core.values.replies import FinishReason
from kickai_providers_core.values.requests import Capability

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.subject import Subject
    from kickai_providers_core.testing.faults import FaultServer, Recorded
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["Asking"]

FIELDS: dict[str, Any] = {"temperature": 0.375, "max_tokens": 137, "top_p": 0.625, "stop": ("HALT",), "seed": 4242}
"""Values that stand for nothing else, so that they can be found wherever a service wants them."""

HALF_A_CHARACTER = "\ud83d"
"""A lone surrogate, as a client in JavaScript makes of an emoji that it cuts through. UTF-8 has no bytes for it."""

TOOL = Tool(
    name="canary_tool",
    description="Finds a player.",
    parameters={"type": "object", "properties": {"canary_day": {"type": "string"}}},
)


class Asking(Supplied):
    """The request reaches the service."""

    @pytest.mark.parametrize("mode", MODES)
    def test_one_request_is_made(self, subject: Subject, mode: Mode) -> None:
        """One call makes one request of the service."""
        server = subject.server
        subject.attempt(mode).reply  # noqa: B018
        assert len(server.requests) == 1

    @pytest.mark.parametrize("mode", MODES)
    def test_the_key_is_sent(self, subject: Subject, mode: Mode) -> None:
        """The key that the settings hold authenticates the request, in a header."""
        need_key(subject)
        server = subject.server
        subject.attempt(mode).reply  # noqa: B018
        assert KEY.reveal() in " ".join(_asked(server).headers.values()), "no header holds the key"

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("field", FIELDS)
    def test_fields_are_sent_or_named(self, subject: Subject, mode: Mode, field: str) -> None:
        """Each field of the request goes to the service, or the reply names it as left out."""
        server = subject.server
        reply = subject.attempt(mode, request=evolve(subject.request, **{field: FIELDS[field]})).reply
        sent = _values(_asked(server).json())
        wanted = FIELDS[field][0] if field == "stop" else FIELDS[field]
        assert wanted in sent or field in reply.omitted, f"{field} was neither sent nor named in omitted"

    @pytest.mark.parametrize("mode", MODES)
    def test_the_model_is_asked_for(self, subject: Subject, mode: Mode) -> None:
        """The model that the request names is the one asked for, and not the settings' own."""
        server = subject.server
        subject.attempt(mode, request=evolve(subject.request, model="another-model")).reply  # noqa: B018
        asked = _asked(server)
        assert "another-model" in asked.path or "another-model" in _values(asked.json())

    @pytest.mark.parametrize("mode", MODES)
    def test_the_conversation_keeps_its_order(self, subject: Subject, mode: Mode) -> None:
        """Every message is sent, oldest first; a service may want the system's words in a place of their own."""
        server = subject.server
        turns = [("system", "turn-0"), ("user", "turn-1"), ("assistant", "turn-2"), ("user", "turn-3")]
        messages = tuple(Message.of({"role": role, "content": content}) for role, content in turns)
        subject.attempt(mode, request=evolve(subject.request, messages=messages)).reply  # noqa: B018
        sent = [value for value in _values(_asked(server).json()) if isinstance(value, str) and "turn-" in value]
        assert [value for value in sent if "turn-0" not in value] == ["turn-1", "turn-2", "turn-3"]
        assert any("turn-0" in value for value in sent), "the system's message was not sent"

    def test_any_text_is_sent(self, subject: Subject) -> None:
        """Whatever a user writes is answered, or refused with a typed error."""
        server = subject.server

        @given(strategies.requests(model=self.model))
        @example(evolve(subject.request, messages=(Message(role="user", content=HALF_A_CHARACTER),)))
        @settings(
            max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        def ask(request: ChatRequest) -> None:
            outcome = subject.attempt("invoke", request=request, timeout_s=GRACE_S)
            if outcome.raised is not None:
                outcome.raises(ProviderError)
            else:
                assert _joined(request.messages[-1].content) in _values(server.requests[-1].json())

        ask()

    @pytest.mark.parametrize("mode", MODES)
    def test_tools_are_offered(self, subject: Subject, mode: Mode) -> None:
        """A provider that claims tools sends their names and schemas."""
        need_capability(subject, Capability.TOOLS)
        server = subject.server
        subject.attempt(mode, request=evolve(subject.request, tools=(TOOL,))).reply  # noqa: B018
        sent = json.dumps(_asked(server).json())
        assert "canary_tool" in sent
        assert "canary_day" in sent

    @pytest.mark.parametrize("mode", MODES)
    def test_tool_calls_come_back(self, subject: Subject, mode: Mode) -> None:
        """A provider that claims tools returns the call that the model asks for, and the finish reason for it."""
        need_capability(subject, Capability.TOOLS)
        need_finish(subject, FinishReason.TOOL_CALL)
        request = evolve(subject.request, tools=(TOOL,))
        reply = subject.attempt(mode, Ok("", (), finish=FinishReason.TOOL_CALL), request=request).reply
        assert reply.finish_reason is FinishReason.TOOL_CALL
        assert [call.name for call in reply.tool_calls] == ["canary_tool"]
        assert isinstance(json.loads(reply.tool_calls[0].arguments), dict)

    @pytest.mark.parametrize("mode", MODES)
    def test_schemas_are_sent(self, subject: Subject, mode: Mode) -> None:
        """A provider that claims JSON schemas sends the one it is given."""
        need_capability(subject, Capability.JSON_SCHEMA)
        server = subject.server
        schema = {"type": "object", "properties": {"canary_field": {"type": "string"}}}
        answer = Ok('{"canary_field": "yes"}')
        subject.attempt(mode, answer, request=evolve(subject.request, json_schema=schema)).reply  # noqa: B018
        assert "canary_field" in json.dumps(_asked(server).json())

    @pytest.mark.parametrize("mode", MODES)
    def test_images_are_sent(self, subject: Subject, mode: Mode) -> None:
        """A provider that claims images sends them, in the text encoding that JSON needs."""
        need_capability(subject, Capability.IMAGES)
        server = subject.server
        image = Image(media_type="image/png", data=b"canary-picture")
        messages = (Message(role="user", content=PROMPT, images=(image,)),)
        subject.attempt(mode, request=evolve(subject.request, messages=messages)).reply  # noqa: B018
        assert "Y2FuYXJ5LXBpY3R1cmU" in json.dumps(_asked(server).json())


def _asked(server: FaultServer) -> Recorded:
    """Return the last request that came in."""
    assert server.requests, "no request was made"
    return server.requests[-1]


def _joined(text: str) -> str:
    """Return a text with the halves of its characters joined; half a character cannot be sent, and is replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _values(value: Any) -> list[Any]:
    """Return every value of a JSON document that is neither a list nor an object, in their order."""

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
