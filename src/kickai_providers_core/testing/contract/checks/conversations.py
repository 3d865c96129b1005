"""Conversations: who said what, tool calls and their results, and the choice of a tool."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.helpers.json_search import (
    Leaf,
    find_leaves,
    find_subtree,
    find_text,
    list_words,
    show,
)
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.requirements import require_capability
from kickai_providers_core.testing.contract.helpers.sending import get_last_request, send, try_to_send
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Ok
from kickai_providers_core.values.errors import UnsupportedRequestError
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.replies import FinishReason
from kickai_providers_core.values.requests import Capability
from kickai_providers_core.values.tools import Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Collection

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["CALLS", "HISTORY", "SCHEMA", "SCHEMA_ANSWER", "TOOLS", "ConversationTests"]

USERS, MODELS = (
    re.compile(r"\b(user|human)\b", re.IGNORECASE),
    re.compile(r"\b(assistant|model|ai|bot)\b", re.IGNORECASE),
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Where the canary sits.",
    "properties": {
        "canary_day": {"type": "string", "description": "The canary weekday.", "enum": ["Saturday", "Sunday"]},
        "canary_place": {
            "type": "object",
            "properties": {"canary_field": {"type": "array", "items": {"type": "integer"}}},
            "required": ["canary_field"],
        },
    },
    "required": ["canary_day"],
}
SCHEMA_ANSWER = '{"canary_day": "Sunday", "canary_place": {"canary_field": [1]}}'
"""An answer that keeps to the schema."""

TOOLS = (
    Tool(name="canary_tool", description="Finds a canary player.", parameters=SCHEMA),
    Tool(name="canary_other", description="Counts canary players.", parameters={"type": "object", "properties": {}}),
)
ARGUMENTS: dict[str, Any] = {
    "canary_day": "Saturday",
    "canary_place": {"canary_field": [1, 2]},
    "none": None,
    "no": False,
}
CALLS = (
    ToolCall(id="call-canary-1", name="canary_tool", arguments=ARGUMENTS),
    ToolCall(id="call-canary-2", name="canary_other", arguments={"canary_number": 7.5}),
)
HISTORY = (
    Message(role="user", content="turn-first"),
    Message(role="assistant", content="turn-thinking", tool_calls=CALLS),
    Message(role="tool", content="result-one", tool_call_id="call-canary-1"),
    Message(role="tool", content="result-two", tool_call_id="call-canary-2"),
    Message(role="assistant", content="turn-answer"),
    Message(role="user", content="turn-last"),
)

CALLED = Ok("", (), finish=FinishReason.TOOL_CALL)


class ConversationTests(ProviderSpec):
    """A conversation reaches the service as it was."""

    @in_each_mode
    def test_roles_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """Messages of the user and of the assistant are marked as such, also when one author speaks twice."""
        texts = {"turn-1": "user", "turn-2": "assistant", "turn-3": "user", "turn-4": "user"}
        messages = tuple(Message.of({"role": role, "content": text}) for text, role in texts.items())
        body = send(harness, mode, messages=messages)
        marks = {text: _find_mark(body, text, texts) for text in texts}
        shown = f"the service received {show(body)}"
        assert marks["turn-1"] == marks["turn-3"] == marks["turn-4"], (
            f"messages of the user were not marked alike: {marks}; {shown}"
        )
        assert marks["turn-1"] != marks["turn-2"], f"the assistant's message was marked like the user's; {shown}"
        assert not MODELS.search(marks["turn-1"]), f"the user's message was marked as the model's; {shown}"
        assert not USERS.search(marks["turn-2"]), f"the assistant's message was marked as the user's; {shown}"

    @in_each_mode
    def test_the_system_message_is_no_other_message(self, harness: ProviderHarness, mode: Mode) -> None:
        """The system message is sent as such: neither like one of the user's nor like one of the assistant's."""
        texts = {"turn-0": "system", "turn-1": "user", "turn-2": "assistant", "turn-3": "user"}
        messages = tuple(Message.of({"role": role, "content": text}) for text, role in texts.items())
        body = send(harness, mode, messages=messages)
        marks = {text: _find_mark(body, text, texts) for text in texts}
        assert marks["turn-0"] not in {marks["turn-1"], marks["turn-2"]}, (
            f"the system message was marked like another one; the service received {show(body)}"
        )
        system, first = (find_text(body, text) for text in ("turn-0", "turn-1"))
        assert not _is_later_in_a_list(system, first), (
            f"the system message was sent after the conversation; the service received {show(body)}"
        )

    @in_each_mode
    def test_tools_are_sent_unchanged(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each tool is sent with its description, and its schema with everything that is nested in it."""
        require_capability(harness, Capability.TOOLS)
        body = send(harness, mode, tools=TOOLS)
        for tool in TOOLS:
            for what in (tool.name, tool.description):
                assert find_text(body, what), f"{what!r} of a tool was not sent; the service received {show(body)}"
        _check_schema(body, SCHEMA)

    @in_each_mode
    def test_json_schemas_are_sent_unchanged(self, harness: ProviderHarness, mode: Mode) -> None:
        """The request's JSON schema is sent with everything that is nested in it."""
        require_capability(harness, Capability.JSON_SCHEMA)
        _check_schema(send(harness, mode, Ok(SCHEMA_ANSWER), json_schema=SCHEMA), SCHEMA)

    @in_each_mode
    def test_tool_calls_of_the_past_are_sent(self, harness: ProviderHarness, mode: Mode) -> None:
        """The tool calls of an earlier answer are sent with their names and arguments, and the text next to them."""
        require_capability(harness, Capability.TOOLS)
        body = send(harness, mode, messages=HISTORY, tools=TOOLS)
        shown = f"the service received {show(body)}"
        texts = [leaf.value for leaf in find_leaves(body) if str(leaf.value).startswith(("turn-", "result-"))]
        for text in ("turn-first", "turn-thinking", "turn-answer", "turn-last"):
            assert text in texts, f"the message {text!r} was not sent; {shown}"
        for call in CALLS:
            named = [leaf for leaf in find_leaves(body) if leaf.value == call.name]
            assert len(named) > 1, f"the earlier call of {call.name} was not sent, only the tool; {shown}"
            assert find_subtree(body, json.loads(call.arguments)), (
                f"the arguments {call.arguments} of an earlier call were not sent unchanged; {shown}"
            )
        names = {call.name for call in CALLS}
        for call in CALLS:
            for leaf in (leaf for leaf in find_leaves(body) if leaf.value == call.id):
                near = _find_labels(leaf, names)
                assert len(near) != 1 or call.name in near, (
                    f"the id {call.id} of a call of {call.name} was sent with the call of {near.pop()}; {shown}"
                )

    @in_each_mode
    def test_tool_results_are_sent_with_their_calls(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each result is sent in its place, with the id or the name of its own call."""
        require_capability(harness, Capability.TOOLS)
        body = send(harness, mode, messages=HISTORY, tools=TOOLS)
        leaves = find_leaves(body)
        shown = f"the service received {show(body)}"
        order = [
            text
            for leaf in leaves
            for text in ("turn-first", "result-one", "result-two", "turn-answer", "turn-last")
            if isinstance(leaf.value, str) and text in leaf.value
        ]
        assert order == ["turn-first", "result-one", "result-two", "turn-answer", "turn-last"], (
            f"the results were not sent in their place, got {order}; {shown}"
        )
        first, second = CALLS
        for text, call, other in (("result-one", first, second), ("result-two", second, first)):
            leaf = find_text(body, text)
            assert leaf is not None, f"{text!r} was not sent; {shown}"
            own, wrong = {call.id, call.name}, {other.id, other.name}
            labels = _find_labels(leaf, own | wrong)
            assert labels & own, f"{text!r} names neither the id nor the name of its call {call.id}; {shown}"
            assert not labels & wrong, f"{text!r} is labelled with the call {other.id}, expected {call.id}; {shown}"

    @in_each_mode
    @pytest.mark.parametrize("choice", ["required", "none", "canary_other"])
    def test_the_tool_choice_is_sent_or_named(self, harness: ProviderHarness, mode: Mode, choice: str) -> None:
        """The choice of a tool is sent, named in ``omitted``, or refused as unsupported."""
        require_capability(harness, Capability.TOOLS)
        must_call = choice != "none" and FinishReason.TOOL_CALL in self.finish_reasons
        try_to_send(harness, mode, tools=TOOLS).reply  # noqa: B018
        free = get_last_request(harness).json()
        outcome = try_to_send(harness, mode, CALLED if must_call else None, tools=TOOLS, tool_choice=choice)
        if isinstance(outcome.raised, UnsupportedRequestError):
            return
        sent, reply = get_last_request(harness).json(), outcome.reply
        if "tool_choice" in reply.omitted:
            return
        shown = f"the service received {show(sent)}"
        assert sent != free, f"tool_choice={choice!r} was not sent: send it, or name it in Reply.omitted; {shown}"
        if choice == "canary_other":
            count, before = (list_words(each).count(choice) for each in (sent, free))
            assert count > before, f"tool_choice={choice!r} was sent without the tool's name; {shown}"
            return
        for other in sorted({"auto", "none", "required"} - {choice}):
            if isinstance(try_to_send(harness, mode, tools=TOOLS, tool_choice=other).raised, UnsupportedRequestError):
                continue
            same = get_last_request(harness).json() == sent
            assert not same, f"the tool choices {choice!r} and {other!r} were sent alike; {shown}"


def _find_mark(body: Any, text: str, texts: Collection[str]) -> str:
    """Return what a message was sent with, apart from its text: the keys and values of the entry of a list around it.

    A service may take successive messages of one author as one, so each key and value counts once.
    """
    leaf = find_text(body, text)
    assert leaf is not None, f"the message {text!r} was not sent; the service received {show(body)}"
    entries = [each for number, each in enumerate(leaf.around[:-1]) if isinstance(leaf.around[number + 1], list)]
    marks = [_describe(entry, texts) for entry in entries]
    # In a part of a message's content the author is not named, but around it.
    named = [mark for mark in marks if USERS.search(mark) or MODELS.search(mark) or "role" in mark]
    return (named or marks or [str(leaf.path[0])])[0]


def _describe(entry: Any, texts: Collection[str]) -> str:
    leaves = find_leaves(entry)
    return ", ".join(sorted({f"{leaf.key}={'' if leaf.value in texts else leaf.value}" for leaf in leaves}))


def _is_later_in_a_list(leaf: Leaf | None, other: Leaf | None) -> bool:
    """Return whether two leaves are in entries of one list, and the first leaf in the later entry."""
    steps = zip(leaf.path, other.path, strict=False) if leaf and other else ()
    first, second = next(((one, two) for one, two in steps if one != two), ("", ""))
    return isinstance(first, int) and isinstance(second, int) and first > second


def _find_labels(leaf: Leaf, labels: set[str]) -> set[str]:
    """Return which labels occur in the innermost value around a leaf that has any."""
    for value in leaf.around:
        found = set(list_words(value)) & labels
        if found:
            return found
    return set()


def _check_schema(body: Any, schema: dict[str, Any]) -> None:
    """Check that a schema was sent, as it is or in the service's own form: then with all of its names and texts."""
    if find_subtree(body, schema):
        return
    skipped = frozenset({"type"})  # services have their own names of types
    wanted, sent = list_words(schema, skip=skipped), list_words(body)
    missing = sorted({word for word in wanted if sent.count(word) < wanted.count(word)})
    assert not missing, f"parts of the schema were not sent: {missing}; the service received {show(body)}"
