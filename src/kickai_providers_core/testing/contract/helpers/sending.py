"""Calls whose request and reply a test compares."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome
    from kickai_providers_core.testing.faults import Ok, Recorded
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.tools import ToolCall

__all__ = [
    "encode_answer",
    "exchange",
    "get_last_request",
    "read_arguments",
    "require_detail",
    "require_sent",
    "send",
    "try_to_send",
]


def try_to_send(harness: ProviderHarness, mode: Mode, answer: Ok | None = None, **changes: Any) -> CallOutcome:
    """Call the provider with fields of the request changed; return how the call ended."""
    harness.server  # skips the test without a wire  # noqa: B018
    return harness.attempt(mode, answer, request=evolve(harness.request, **changes))


def exchange(harness: ProviderHarness, mode: Mode, answer: Ok | None = None, **changes: Any) -> tuple[Recorded, Reply]:
    """Call the provider with fields of the request changed; return what the service received, and the reply."""
    reply = try_to_send(harness, mode, answer, **changes).reply
    return get_last_request(harness), reply


def send(harness: ProviderHarness, mode: Mode, answer: Ok | None = None, **changes: Any) -> Any:
    """Call the provider with fields of the request changed; return the JSON value that the service received."""
    return exchange(harness, mode, answer, **changes)[0].json()


def get_last_request(harness: ProviderHarness) -> Recorded:
    """Return the last request that the service received; the test fails when there is none."""
    requests = harness.server.requests
    assert requests, "the provider sent no request"
    return requests[-1]


def read_arguments(call: ToolCall) -> dict[str, Any]:
    """Return the arguments of a tool call; the test fails when they are not a JSON object."""
    try:
        value = json.loads(call.arguments)
    except ValueError:
        value = None
    assert isinstance(value, dict), f"ToolCall.arguments of {call.name} must be a JSON object, got {call.arguments!r}"
    return value


def require_detail(harness: ProviderHarness, *names: str) -> None:
    """Skip the test unless the wire's answers can have these parts, see `Wire`."""
    wire = harness.server.wire
    known: set[str] = set()
    for method in (wire.reply, wire.stream):
        parameters = inspect.signature(method).parameters
        known |= set(parameters)
        if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
            known |= set(names)
    missing = [name for name in names if name not in known]
    if missing:
        pytest.skip(f"not applicable: {type(wire).__name__}.reply does not take {', '.join(missing)}")


def require_sent(harness: ProviderHarness, answer: Ok, text: str) -> None:
    """Skip the test unless the service's answer contains a text: a wire leaves out what its service does not have."""
    if text.encode() not in encode_answer(harness, answer):
        pytest.skip(f"not applicable: the answers of {type(harness.server.wire).__name__} do not contain it")


def encode_answer(harness: ProviderHarness, answer: Ok) -> bytes:
    """Return what the service sends for an answer to the last request, head and body."""
    wire, request = harness.server.wire, get_last_request(harness)
    if request.body and wire.wants_stream(request):
        head, events = wire.stream(request, answer.parts, *answer.unusual_finish, **answer.details)
        return b"".join((repr(dict(head.headers)).encode(), *events))
    response = wire.reply(request, answer.text, *answer.unusual_finish, **answer.details)
    return repr(dict(response.headers)).encode() + response.body
