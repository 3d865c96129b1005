"""The request as the service reads it, for wires that say how it does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from kickai_providers_core.testing.contract.checks.conversations import HISTORY, SCHEMA, SCHEMA_ANSWER, TOOLS
from kickai_providers_core.testing.contract.checks.images import IMAGES
from kickai_providers_core.testing.contract.checks.sampling import FIELDS
from kickai_providers_core.testing.contract.helpers.constants import PROMPT
from kickai_providers_core.testing.contract.helpers.json_search import show
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.requirements import require_capability
from kickai_providers_core.testing.contract.helpers.sending import exchange
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Ok
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.requests import Capability
from kickai_providers_core.values.tools import Tool

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["ReadingTests"]

CLOSED: dict[str, Any] = {**SCHEMA, "additionalProperties": False}
"""A schema with a keyword that not every service knows: a plugin that leaves it out allows other answers."""

TOOL = Tool(name="canary_tool", description="Finds a canary player.", parameters=CLOSED)

TURNS = (
    Message(role="system", content="turn-system"),
    Message(role="user", content="turn-first"),
    Message(role="assistant", content="turn-answer"),
    Message(role="user", content="turn-last"),
)


class ReadingTests(ProviderSpec):
    """The service finds in a request what was requested."""

    @in_each_mode
    def test_the_service_reads_every_field(self, harness: ProviderHarness, mode: Mode) -> None:
        """The service finds the messages, and each field under the name that it knows."""
        _check_reading(harness, mode, messages=TURNS, **FIELDS)

    @in_each_mode
    def test_the_service_reads_tools_and_their_calls(self, harness: ProviderHarness, mode: Mode) -> None:
        """The service finds the tools, and the earlier calls with their ids, names, arguments and results."""
        require_capability(harness, Capability.TOOLS)
        _check_reading(harness, mode, messages=HISTORY, tools=(TOOL, *TOOLS[1:]), tool_choice="auto")

    @in_each_mode
    def test_the_service_reads_images(self, harness: ProviderHarness, mode: Mode) -> None:
        """The service finds each image in its message, with its bytes and its media type."""
        require_capability(harness, Capability.IMAGES)
        _check_reading(harness, mode, messages=(Message(role="user", content=PROMPT, images=IMAGES),))

    @in_each_mode
    def test_the_service_reads_the_schema(self, harness: ProviderHarness, mode: Mode) -> None:
        """The service finds the JSON schema as it was requested."""
        require_capability(harness, Capability.JSON_SCHEMA)
        _check_reading(harness, mode, Ok(SCHEMA_ANSWER), json_schema=CLOSED)


def _check_reading(harness: ProviderHarness, mode: Mode, answer: Ok | None = None, **changes: Any) -> None:
    """Compare what was requested with what the service reads; what a wire does not read is not compared."""
    read = getattr(harness.server.wire, "read_request", None)
    if read is None:
        pytest.skip(f"not applicable: {type(harness.server.wire).__name__} has no read_request")
    request = evolve(harness.request, **changes)
    recorded, reply = exchange(harness, mode, answer, **changes)
    shown = f"the service received {show(recorded.json())}"
    try:
        found = read(recorded)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        pytest.fail(f"the service cannot read the request: {type(error).__name__}: {error}; {shown}", pytrace=False)
    for name in changes:
        if name in reply.omitted or (name == "tool_choice" and name not in found):
            continue  # "auto" is what services do without a choice
        wanted, got = _normalize(getattr(request, name)), _normalize(found.get(name))
        assert got == wanted, f"{name} was requested as {wanted}, but the service reads {got}; {shown}"


def _normalize(value: Any) -> Any:
    """Return a value without what may differ: the form of lists, and white space in the arguments of tool calls."""
    if isinstance(value, (list, tuple)):
        return [_normalize(each) for each in value]
    if isinstance(value, Message):
        fields = {name: getattr(value, name) for name in ("role", "content", "images", "tool_call_id")}
        calls = [
            {"id": call.id, "name": call.name, "arguments": json.loads(call.arguments)} for call in value.tool_calls
        ]
        return {**fields, "tool_calls": calls}
    return value
