"""Invalid arguments: errors that are both `KickaiError`s and builtins, and that change no target's health."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    Chain,
    ChatRequest,
    FinishReason,
    Image,
    KickaiError,
    Message,
    ProviderError,
    ProviderInfo,
    Reply,
    ReplyChunk,
    Resolver,
    Settings,
    Target,
    Tool,
    ToolCall,
    Usage,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


USER = Message(role="user", content="x")

WRONG_VALUES: list[tuple[Callable[[], object], type[KickaiError]]] = [
    (lambda: ChatRequest(messages=()), ArgumentValueError),
    (lambda: ChatRequest(messages="x"), ArgumentTypeError),  # type: ignore[arg-type]
    (lambda: ChatRequest(messages=(USER,), temperature=-1), ArgumentValueError),
    (lambda: ChatRequest(messages=(USER,), tools=(print,)), ArgumentTypeError),  # type: ignore[arg-type]
    (lambda: ChatRequest(messages=(USER,), tool_choice="required"), ArgumentValueError),
    (lambda: ChatRequest(messages=(USER,), json_schema=dict), ArgumentTypeError),  # type: ignore[arg-type]
    (ChatRequest, ArgumentTypeError),
    (lambda: ChatRequest.of(5), ArgumentTypeError),  # type: ignore[arg-type]
    (lambda: ChatRequest.of([]), ArgumentValueError),
    (lambda: ChatRequest.of([{"role": "user", "content": 5}]), ArgumentTypeError),
    (lambda: Message(role="nobody"), ArgumentValueError),  # type: ignore[arg-type]
    (lambda: Message.of({"content": "x"}), ArgumentValueError),
    (lambda: Image(media_type="image/png"), ArgumentValueError),
    (lambda: Tool(name="two words"), ArgumentValueError),
    (lambda: Tool.of(print), ArgumentTypeError),  # type: ignore[arg-type]
    (lambda: ToolCall(id="a", name="", arguments="{}"), ArgumentValueError),
    (lambda: Usage(input_tokens=-1, output_tokens=0), ArgumentValueError),
    (lambda: Reply(text=5, finish_reason="stop"), ArgumentTypeError),  # type: ignore[arg-type]
    (lambda: ReplyChunk(finish_reason="later"), ArgumentValueError),  # type: ignore[arg-type]
    (lambda: Target.parse("a,b"), ArgumentValueError),
    (lambda: Target.parse(":b"), ArgumentValueError),
    (lambda: Target.of(5), ArgumentTypeError),  # type: ignore[arg-type]
    (lambda: Target(provider=""), ArgumentValueError),
]


@pytest.mark.parametrize(("make", "kind"), WRONG_VALUES, ids=[str(place) for place in range(len(WRONG_VALUES))])
def test_a_malformed_value_is_a_kickai_error_and_a_builtin(make, kind) -> None:
    """Each constructor of a request or an answer raises an argument error, which is not a `ProviderError`."""
    with pytest.raises(kind) as caught:
        make()
    assert isinstance(caught.value, TypeError if kind is ArgumentTypeError else ValueError)
    assert not isinstance(caught.value, ProviderError)


class Plugin:
    """A provider that counts its calls, and whose hooks build malformed answers on request."""

    def __init__(self, name: str, *, malformed: bool) -> None:
        self._info = ProviderInfo(name=name, summary="answers")
        self._malformed = malformed
        self.calls = 0

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return self._info

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    def _reply(self) -> Reply:
        self.calls += 1
        return Reply(text=5 if self._malformed else "fine", finish_reason=FinishReason.STOP)  # type: ignore[arg-type]

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        return self._reply()

    @hookimpl
    async def kickai_ainvoke_provider(self) -> Reply:
        return self._reply()

    @hookimpl
    def kickai_stream_provider(self) -> Iterator[ReplyChunk]:
        yield ReplyChunk(text=self._reply().text, finish_reason=FinishReason.STOP)

    @hookimpl
    async def kickai_astream_provider(self) -> Any:
        yield ReplyChunk(text=self._reply().text, finish_reason=FinishReason.STOP)


@pytest.fixture
def plugins() -> dict[str, Plugin]:
    """Return two providers, one of which builds malformed answers."""
    return {"good": Plugin("good", malformed=False), "bad": Plugin("bad", malformed=True)}


@pytest.fixture
def resolver(plugins) -> Iterator[Resolver]:
    """Return a resolver of both."""
    with Resolver.from_settings(Settings(), plugins=plugins) as made:
        yield made


async def _text(chunks: Any) -> str:
    return "".join([chunk.text async for chunk in chunks])


MODES: dict[str, Callable[..., str]] = {
    "invoke": lambda chain, prompt, **given: chain.invoke(prompt, **given).text,
    "call": lambda chain, prompt, **given: chain(prompt, **given).text,
    "ainvoke": lambda chain, prompt, **given: asyncio.run(chain.ainvoke(prompt, **given)).text,
    "stream": lambda chain, prompt, **given: "".join(chunk.text for chunk in chain.stream(prompt, **given)),
    "astream": lambda chain, prompt, **given: asyncio.run(_text(chain.astream(prompt, **given))),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("prompt", "given", "kind"),
    [
        (5, {}, ArgumentTypeError),
        ([], {}, ArgumentValueError),
        ([{"role": "nobody", "content": "x"}], {}, ArgumentValueError),
        ("x", {"deadline_s": "5"}, ArgumentTypeError),
        ("x", {"deadline_s": True}, ArgumentTypeError),
        ("x", {"deadline_s": 0}, ArgumentValueError),
        ("x", {"deadline_s": float("nan")}, ArgumentValueError),
    ],
)
def test_a_malformed_call_is_refused_before_anything_is_sent(  # noqa: PLR0917  two fixtures and a row of the table
    resolver, plugins, mode, prompt, given, kind
) -> None:
    """In every way of calling, a malformed prompt or deadline is the caller's, and the next call is answered."""
    chain = resolver.chain("good")
    with pytest.raises(kind):
        MODES[mode](chain, prompt, **given)
    assert plugins["good"].calls == 0
    assert MODES[mode](chain, "x") == "fine"


@pytest.mark.parametrize("open_", [Chain.stream, Chain.astream])
@pytest.mark.parametrize(("mode", "kind"), [("alive", ArgumentValueError), (None, ArgumentTypeError)])
def test_a_wrong_mode_is_an_argument_error(resolver, open_, mode, kind) -> None:
    """Both ways of streaming refuse a mode that does not exist when they are called."""
    with pytest.raises(kind):
        open_(resolver.chain("good"), "x", mode=mode)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda resolver: resolver.chain(), ArgumentValueError),
        (lambda resolver: resolver.chain(["good"]), ArgumentTypeError),
        (lambda resolver: resolver.chain("good,bad"), ArgumentValueError),
        (lambda resolver: resolver.chain("good", deadline_s="5"), ArgumentTypeError),
        (lambda resolver: resolver.chain("good", deadline_s=-1), ArgumentValueError),
        (lambda resolver: resolver.chain("good", temperature="hot"), ArgumentTypeError),
        (lambda resolver: resolver.chain("good", max_tokens=0), ArgumentValueError),
        (lambda resolver: resolver.for_role(5), ArgumentTypeError),
    ],
)
def test_a_wrong_chain_is_an_argument_error(resolver, make, kind) -> None:
    """Targets, deadlines and parameters of a chain are refused when it is made."""
    with pytest.raises(kind):
        make(resolver)


@pytest.mark.parametrize("mode", MODES)
def test_a_plugin_that_builds_a_malformed_answer_fails_alone(resolver, plugins, mode) -> None:
    """An argument error out of a hook is a failure of that target: the next one answers, in every mode."""
    assert MODES[mode](resolver.chain("bad", "good"), "x") == "fine"
    assert plugins["bad"].calls >= 1
    assert plugins["good"].calls == 1


@pytest.mark.parametrize("kind", [ArgumentTypeError, ArgumentValueError])
@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_argument_errors_pickle_and_turn_into_json(kind, make) -> None:
    """Copies keep class and message, and `as_dict` has both."""
    copied = make(kind("deadline_s must be a number"))
    assert type(copied) is kind
    assert json.loads(json.dumps(copied.as_dict())) == {
        "error": kind.__name__,
        "message": "deadline_s must be a number",
    }
