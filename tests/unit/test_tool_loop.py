"""The tool loop: the model calls Python functions until it answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    Capability,
    ChatRequest,
    FinishReason,
    Message,
    ProviderInfo,
    ProviderUnavailableError,
    Reply,
    Resolver,
    ToolCall,
    ToolError,
    ToolRun,
    TurnLimitError,
    hookimpl,
    use_key,
)
from kickai_providers_core.values.rollout_key import get_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Chain

MODES = ("sync", "async")


def answer(text: str) -> Reply:
    """Return a reply with text."""
    return Reply(text=text, finish_reason=FinishReason.STOP)


def calls(*pairs: tuple[str, Any]) -> Reply:
    """Return a reply that calls tools, each with its arguments."""
    made = tuple(
        ToolCall(id=f"{name}-{place}", name=name, arguments=arguments) for place, (name, arguments) in enumerate(pairs)
    )
    return Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=made)


class Script:
    """A provider that answers with each of its replies in turn, and with the last one for ever."""

    def __init__(self, *replies: Reply | Exception) -> None:
        self.replies = list(replies)
        self.requests: list[ChatRequest] = []

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="script", summary="", capabilities=frozenset(Capability))

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self, request: ChatRequest) -> Reply:
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture
def converse() -> Iterator[Callable[..., ToolRun]]:
    """A function that runs a tool loop over a script, in one of the two ways."""
    resolvers: list[Resolver] = []

    def run(script: Script, how: str, prompt: Any = "Who plays?", **keywords: Any) -> ToolRun:
        resolver = Resolver.from_settings({}, plugins={"script": script}, env={})
        resolvers.append(resolver)
        chain: Chain = resolver.chain("script")
        if how == "sync":
            return chain.run_tools(prompt, **keywords)
        return asyncio.run(chain.arun_tools(prompt, **keywords))

    yield run
    for resolver in resolvers:
        resolver.close()


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def fail(reason: str) -> None:
    """Fail."""
    if reason:
        raise ToolError(reason)
    raise KeyError("private")


@pytest.mark.parametrize("how", MODES)
def test_tools_are_called_until_the_model_answers(converse: Any, how: str) -> None:
    """Each turn sends the whole conversation with the results, and the end has all of it."""
    script = Script(calls(("add", {"a": 1, "b": 2}), ("add", {"a": 5})), calls(("add", {"a": 3, "b": 6})), answer("9"))
    run = converse(script, how, tools=[add], seed=5, tool_choice="required")
    assert (str(run), run.reply.text, len(run.replies)) == ("9", "9", 3)
    assert [(each.role, each.content, each.tool_call_id) for each in run.messages] == [
        ("user", "Who plays?", None),
        ("assistant", "", None),
        ("tool", "3", "add-0"),
        ("tool", "6", "add-1"),
        ("assistant", "", None),
        ("tool", "9", "add-0"),
        ("assistant", "9", None),
    ]
    assert [request.messages for request in script.requests] == [run.messages[:1], run.messages[:4], run.messages[:6]]
    assert [request.tool_choice for request in script.requests] == ["required", "auto", "auto"]
    assert {request.seed for request in script.requests} == {5}
    assert {request.tools[0].description for request in script.requests} == {"Add two numbers."}
    assert [(each.call.name, each.content, each.error) for each in run.results] == [
        ("add", "3", None),
        ("add", "6", None),
        ("add", "9", None),
    ]


@pytest.mark.parametrize("how", MODES)
def test_a_model_that_calls_no_tool_ends_the_loop(converse: Any, how: str) -> None:
    """The conversation can start from messages, and without a call there is one turn."""
    history = [Message(role="system", content="Be brief."), Message(role="user", content="Hi")]
    script = Script(answer("Hello."))
    run = converse(script, how, history, tools=[add])
    assert run.messages == (*history, Message(role="assistant", content="Hello."))
    assert (run.results, script.requests[0].tool_choice) == ((), None)


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    ("call", "content", "error"),
    [
        (("fail", {"reason": "No such team."}), {"error": "No such team."}, "ToolError"),
        (("fail", {"reason": ""}), {"error": "the tool failed: KeyError"}, "KeyError"),
        (("add", {"a": "1"}), {"error": "invalid arguments: a must be an integer, got text"}, "MisfitError"),
        (("add", '{"a": 1'), {"error": "invalid arguments: the value must be valid JSON, got text"}, "MisfitError"),
        (("subtract", {}), {"error": "unknown tool; known: add, fail"}, "MisfitError"),
    ],
)
def test_a_failure_is_reported_to_the_model(converse: Any, how: str, call: Any, content: Any, error: str) -> None:
    """The model gets the class of an exception and no more, what is wrong with arguments, or a tool's own words."""
    run = converse(Script(calls(call), answer("Sorry.")), how, tools=[add, fail])
    (result,) = run.results
    assert json.loads(result.content) == content
    assert type(result.error).__name__ == error
    assert "private" not in repr(run)


@pytest.mark.parametrize("how", MODES)
def test_too_many_turns_are_an_error_with_the_messages(converse: Any, how: str) -> None:
    """The application can go on from the messages; message and JSON have none of them."""
    script = Script(calls(("add", {"a": 1})))
    with pytest.raises(TurnLimitError) as raised:
        converse(script, how, tools=[add], max_turns=3)
    error = raised.value
    assert (len(script.requests), error.max_turns) == (3, 3)
    assert [each.role for each in error.messages] == ["user", *["assistant", "tool"] * 3]
    assert str(error).startswith("the model still called tools in turn 3, the last one: raise max_turns")
    assert error.as_dict() == {"error": "TurnLimitError", "message": str(error), "max_turns": 3}


@pytest.mark.parametrize("how", MODES)
def test_each_turn_is_one_walk(converse: Any, how: str) -> None:
    """A turn that fails is retried by its own walk, and runs no tool twice."""
    made: list[int] = []

    def count(number: int) -> str:
        made.append(number)
        return "ok"

    script = Script(calls(("count", {"number": 1})), ProviderUnavailableError("down"), answer("done"))
    run = converse(script, how, tools=[count])
    assert (str(run), made, len(run.replies[1].attempts)) == ("done", [1], 2)


@dataclass
class Player:
    """A player."""

    name: str
    number: int


class Foot(Enum):
    """A foot."""

    LEFT = "left"


@attrs.frozen
class Team:
    """A team."""

    players: tuple[Player, ...]
    founded: date
    foot: Foot


class LikePydantic:
    """What the core uses of a pydantic model."""

    model_json_schema = model_validate_json = None

    def model_dump(self, mode: str) -> Any:
        """Return it as JSON."""
        return {"mode": mode}


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("äöü", "äöü"),
        (None, "null"),
        ({"ä": (1, 2.5, True)}, '{"ä": [1, 2.5, true]}'),
        ({3}, "[3]"),
        (
            Team((Player("Ann", 7),), date(1999, 1, 2), Foot.LEFT),
            '{"players": [{"name": "Ann", "number": 7}], "founded": "1999-01-02", "foot": "left"}',
        ),
        (LikePydantic(), '{"mode": "json"}'),
    ],
)
def test_what_a_tool_returns_becomes_text(converse: Any, how: str, value: Any, content: str) -> None:
    """Text stays as it is, and anything else becomes JSON."""

    def get() -> Any:
        return value

    run = converse(Script(calls(("get", {})), answer("ok")), how, tools=[get])
    assert run.results[0].content == content


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("value", [object(), float("nan"), {1: 2}, {"x": b"private"}])
def test_what_json_has_no_form_for_is_the_applications_error(converse: Any, how: str, value: Any) -> None:
    """Such a tool is a mistake of the application, which the model cannot fix."""

    def get() -> Any:
        return value

    with pytest.raises(TypeError, match=r"^the tool get returned \w+, which JSON has no form for$"):
        converse(Script(calls(("get", {})), answer("ok")), how, tools=[get])


async def await_it() -> str:
    """Answer later."""
    await asyncio.sleep(0)
    return "awaited"


def test_asynchronous_tools_run_on_the_loop_and_others_in_threads(converse: Any) -> None:
    """The calls of one turn run at the same time, and a thread has the context of the caller."""
    both, threads = threading.Barrier(2), []

    def meet() -> str | None:
        both.wait(timeout=30)
        threads.append(threading.current_thread())
        return get_key()

    def later() -> Any:
        return await_it()

    script = Script(calls(("meet", {}), ("await_it", {}), ("meet", {}), ("later", {})), answer("ok"))
    with use_key("user-1"):
        run = converse(script, "async", tools=[meet, await_it, later])
    assert [each.content for each in run.results] == ["user-1", "awaited", "user-1", "awaited"]
    assert threading.main_thread() not in threads


def test_an_asynchronous_tool_needs_an_event_loop(converse: Any) -> None:
    """It is refused before anything is sent."""
    script = Script(answer("ok"))
    with pytest.raises(ArgumentTypeError, match=r"^each tool must be a synchronous function .*, got async await_it$"):
        converse(script, "sync", tools=[await_it])
    assert script.requests == []


async def test_cancelling_cancels_the_tools() -> None:
    """No task is left behind."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with Resolver.from_settings({}, plugins={"script": Script(calls(("wait", {})))}, env={}) as resolver:
        task = asyncio.create_task(resolver.chain("script").arun_tools("hi", tools=[wait]))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"tools": []}, ArgumentValueError, "tools must be at least one function, got none"),
        ({"tools": [add, add]}, ArgumentValueError, "tools must be functions with different names, got add, add"),
        ({"tools": add}, ArgumentTypeError, "tools must be a sequence of functions"),
        ({"tools": [lambda x: x]}, ArgumentTypeError, "a tool must be a function whose name"),
        ({"tools": [add], "max_turns": 0}, ArgumentValueError, "max_turns must be at least 1, got 0"),
        ({"tools": [add], "temprature": 1}, ArgumentTypeError, "unknown keyword argument 'temprature'"),
        ({"tools": [add], "prompt": 5}, ArgumentTypeError, "a prompt must be"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(
    converse: Any, how: str, keywords: Any, error: type[Exception], message: str
) -> None:
    """The error names the argument."""
    script = Script(answer("ok"))
    with pytest.raises(error) as raised:
        converse(script, how, **keywords)
    assert str(raised.value).startswith(message)
    assert script.requests == []


@pytest.mark.parametrize("how", MODES)
def test_the_last_reply_can_be_an_object(converse: Any, how: str) -> None:
    """A response type applies to the answer, not to the turns that call tools."""
    script = Script(calls(("add", {"a": 1})), answer('{"name": "Ann", "number": 2}'))
    run = converse(script, how, tools=[add], response_type=Player)
    assert run.reply.parsed == Player("Ann", 2)
