"""The tool loop: call a model, run the Python functions that it calls, and go on until it answers.

`ToolLoop` holds the conversation and decides; `run` and `arun` call the chain and the functions.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.errors import TurnLimitError
from kickai_providers_core.values.function_tools import FunctionTool
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.plain_json import to_plain_json
from kickai_providers_core.values.prompt_masking import describe_length
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core.values.shapes import MisfitError
from kickai_providers_core.values.validation import (
    Number,
    convert_to_tuple,
    hide_arguments,
    raise_argument_error,
    raise_value_error,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from kickai_providers_core.values.prompt_masking import Masked
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.tools import Tool, ToolCall

__all__ = ["ToolError", "ToolLoop", "ToolResult", "ToolRun", "arun", "run"]

TURNS = Number(integer=True, minimum=1)


class ToolError(Exception):
    """Raise it in a tool to report a message to the model. Of any other exception, the model gets the class's name."""


@frozen(eq=False, repr=False)
class ToolResult(Value):
    """What one tool call came to.

    Attributes:
        call: The call.
        content: What the model got. Hidden from the repr.
        error: What the tool raised, or a `MisfitError` for invalid arguments; None if it returned. Only its class is
            in the repr.
    """

    call: ToolCall
    content: str = field(repr=describe_length)
    error: Exception | None = field(default=None, repr=lambda error: type(error).__name__ if error else "None")


@frozen(eq=False, repr=False)
class ToolRun(Value):
    """The end of a tool loop. ``str(run)`` is the text of the last reply.

    Attributes:
        replies: The reply of each turn; at least one. Only the last one calls no tools.
        messages: The whole conversation, with the last reply, for the next prompt.
        results: What each tool call came to, in order.
    """

    replies: tuple[Reply, ...]
    messages: tuple[Message, ...] = field(repr=lambda messages: f"<{len(messages)} messages>")
    results: tuple[ToolResult, ...] = ()

    @property
    def reply(self) -> Reply:
        """The last reply, which answers the prompt."""
        return self.replies[-1]

    def __str__(self) -> str:
        return self.reply.text


class ToolLoop:
    """The conversation of one tool loop. Not safe to share between threads or tasks.

    Args:
        prompt: The prompt.
        functions: The tools.
        max_turns: How often the model is called, from 1.

    Raises:
        TypeError: The prompt is malformed, or a function cannot be a tool.
        ValueError: There is no tool, two have one name, or ``max_turns`` is out of range.
    """

    @hide_arguments
    def __init__(self, prompt: Masked, functions: Sequence[Callable[..., Any]], max_turns: int) -> None:
        TURNS.check("max_turns", max_turns)
        tools = [FunctionTool.from_function(each) for each in convert_to_tuple("tools", "functions", functions)]
        if not tools:
            raise_value_error("tools", "at least one function", "none")
        self._tools = {each.tool.name: each for each in tools}
        if len(self._tools) < len(tools):
            raise_value_error("tools", "functions with different names", ", ".join(each.tool.name for each in tools))
        self._request = ChatRequest.from_prompt(prompt.reveal())
        self._max_turns = max_turns
        self._replies: list[Reply] = []
        self._results: list[ToolResult] = []

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the model gets to know about the functions."""
        return tuple(each.tool for each in self._tools.values())

    def build_turn_keywords(self, keywords: Masked) -> dict[str, Any]:
        """Return the keyword arguments of the next call. A tool can be required in the first turn only."""
        given = {**keywords.reveal(), "tools": self.tools}
        if self._replies and (given.get("tool_choice") or self._request.tool_choice):
            given["tool_choice"] = "auto"
        return given

    def require_sync(self) -> None:
        """Raise an `ArgumentTypeError` if a tool is an asynchronous function."""
        for name, each in self._tools.items():
            if inspect.iscoroutinefunction(each.function):
                raise_argument_error("each tool", "a synchronous function (arun_tools takes others)", f"async {name}")

    def next_request(self) -> ChatRequest:
        """Return the request for the next turn.

        Raises:
            TurnLimitError: The last turn is over.
        """
        if len(self._replies) < self._max_turns:
            return self._request
        raise TurnLimitError(
            f"the model still called tools in turn {self._max_turns}, the last one: raise max_turns, or go on from the "
            "error's messages",
            max_turns=self._max_turns,
            messages=self._request.messages,
        )

    def take(self, reply: Reply) -> tuple[ToolCall, ...]:
        """Take the reply of a turn, and return the calls to make; none when it is the answer."""
        self._replies.append(reply)
        self._extend(reply.to_message())
        return reply.tool_calls

    def add_results(self, results: Sequence[ToolResult]) -> None:
        """Take the results of a turn's calls, in the order of the calls."""
        self._results += results
        self._extend(*(Message(role="tool", content=each.content, tool_call_id=each.call.id) for each in results))

    def finish(self) -> ToolRun:
        """Return the whole run."""
        return ToolRun(tuple(self._replies), self._request.messages, tuple(self._results))

    def prepare(self, call: ToolCall) -> tuple[Callable[..., Any], dict[str, Any]] | ToolResult:
        """Return the function for a call with its arguments, or the result of a call that cannot be made."""
        known = self._tools.get(call.name)
        if known is None:
            names = ", ".join(self._tools)
            unknown = MisfitError("the name of the tool", f"one of {names}", call.name)
            return _build_error_result(call, unknown, f"unknown tool; known: {names}")
        try:
            return known.function, known.parse_arguments(call.arguments)
        except MisfitError as misfit:
            return _build_error_result(call, misfit, f"invalid arguments: {misfit}")

    def _extend(self, *messages: Message) -> None:
        self._request = evolve(self._request, messages=(*self._request.messages, *messages))


def run(invoke: Callable[..., Reply], loop: ToolLoop, keywords: Masked) -> ToolRun:
    """Run a tool loop, blocking the thread. The tools run one after the other.

    Args:
        invoke: Calls the chain.
        loop: The conversation.
        keywords: The keyword arguments of each call.

    Raises:
        TurnLimitError: The model called tools in the last turn.
        KickaiError: As the chain raises.
        TypeError: A tool is asynchronous, or returned what JSON has no form for.
    """
    loop.require_sync()
    while True:
        calls = loop.take(invoke(loop.next_request(), **loop.build_turn_keywords(keywords)))
        if not calls:
            return loop.finish()
        loop.add_results([_run_call(loop, call) for call in calls])


async def arun(ainvoke: Callable[..., Awaitable[Reply]], loop: ToolLoop, keywords: Masked) -> ToolRun:
    """Run a tool loop without blocking the event loop; otherwise as `run`.

    The tools of one turn run at the same time: asynchronous ones as tasks, the others in threads. Cancelling it cancels
    the tasks; a thread goes on until its function returns.
    """
    while True:
        calls = loop.take(await ainvoke(loop.next_request(), **loop.build_turn_keywords(keywords)))
        if not calls:
            return loop.finish()
        loop.add_results(await _arun_calls(loop, calls))


async def _arun_calls(loop: ToolLoop, calls: Sequence[ToolCall]) -> list[ToolResult]:
    tasks = [asyncio.create_task(_arun_call(loop, call)) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:  # after an error or a cancellation, no tool goes on unobserved
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _run_call(loop: ToolLoop, call: ToolCall) -> ToolResult:
    prepared = loop.prepare(call)
    if isinstance(prepared, ToolResult):
        return prepared
    function, arguments = prepared
    try:
        value = function(**arguments)
    except Exception as error:  # noqa: BLE001  whatever a tool raises is the model's to handle
        return _report_failure(call, error)
    return ToolResult(call, _to_content(call, value))


async def _arun_call(loop: ToolLoop, call: ToolCall) -> ToolResult:
    prepared = loop.prepare(call)
    if isinstance(prepared, ToolResult):
        return prepared
    function, arguments = prepared
    try:
        if inspect.iscoroutinefunction(function):
            value = await function(**arguments)
        else:
            value = await asyncio.to_thread(function, **arguments)
            if inspect.isawaitable(value):
                value = await value
    except Exception as error:  # noqa: BLE001  as above
        return _report_failure(call, error)
    return ToolResult(call, _to_content(call, value))


def _report_failure(call: ToolCall, error: Exception) -> ToolResult:
    reason = str(error) if isinstance(error, ToolError) else f"the tool failed: {type(error).__name__}"
    return _build_error_result(call, error, reason)


def _build_error_result(call: ToolCall, error: Exception, reason: str) -> ToolResult:
    return ToolResult(call, json.dumps({"error": reason}, ensure_ascii=False), error)


def _to_content(call: ToolCall, value: object) -> str:
    """Return a tool's return value as the model gets it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(to_plain_json(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        message = f"the tool {call.name} returned {type(value).__name__}, which JSON has no form for"
        raise TypeError(message) from None
