"""The model of a request: used by targets that name none, and refused where all name another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core import (
    ChatRequest,
    FinishReason,
    Message,
    ModelNotFoundError,
    ProviderInfo,
    Reply,
    Resolver,
    SkipReason,
    hookimpl,
)

if TYPE_CHECKING:
    from kickai_providers_core import Chain

MODES = ("invoke", "ainvoke", "stream", "astream")


class Echo:
    """A provider that answers with the name of the requested model."""

    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name=self.name, summary="")

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self, request: ChatRequest) -> Reply:
        if request.model == "gone":
            raise ModelNotFoundError("no such model")
        return Reply(text=f"{self.name}:{request.model}", finish_reason=FinishReason.STOP)


def make_resolver() -> Resolver:
    """Return a resolver with two such providers, the first of which has a model of its own in the settings."""
    settings = {"providers": {"one": {"model": "usual", "retries": 0}, "two": {"retries": 0}}}
    return Resolver.from_settings(settings, plugins={"one": Echo("one"), "two": Echo("two")}, env={})


def request(model: str | None) -> ChatRequest:
    """Return a request for a model."""
    return ChatRequest(messages=(Message(role="user", content="hi"),), model=model)


def ask(chain: Chain, prompt: Any, mode: str) -> Reply:
    """Return the reply of a chain in a mode."""
    if mode == "invoke":
        return chain.invoke(prompt)
    if mode == "stream":
        with chain.stream(prompt) as stream:
            list(stream)
            return stream.reply

    async def main() -> Reply:
        if mode == "ainvoke":
            return await chain.ainvoke(prompt)
        stream = chain.astream(prompt)
        async for _ in stream:
            pass
        return stream.reply

    return asyncio.run(main())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("targets", "model", "answer"),
    [
        (["one"], None, "one:usual"),
        (["one"], "x", "one:x"),
        (["two"], "x", "two:x"),
        (["one:x"], "x", "one:x"),
        (["one:y", "two:x"], "x", "two:x"),
        (["one:y", "two"], "x", "two:x"),
        (["one:y", "two"], None, "one:y"),
    ],
)
def test_the_model_of_a_request_is_called_or_its_target_skipped(
    targets: list[str], model: str | None, answer: str, mode: str
) -> None:
    """It applies to targets that name no model; a target that names another is skipped with that reason."""
    with make_resolver() as resolver:
        reply = ask(resolver.chain(*targets), request(model), mode)
        assert reply.text == answer
        assert reply.attempts[-1].model == answer.partition(":")[2]
        for skip in reply.skipped:
            assert (skip.reason, skip.detail) == (SkipReason.INCAPABLE, "its model is y, and the request names x")


@pytest.mark.parametrize("mode", MODES)
def test_a_request_whose_model_no_target_may_call_is_refused(mode: str) -> None:
    """Before anything is sent or iterated, naming the model and the targets."""
    with make_resolver() as resolver:
        chain = resolver.chain("one:y", "two:z")
        words = "the request names the model 'x', and every target another one: one:y, two:z"
        begin = {"stream": chain.stream, "astream": chain.astream}.get(mode, lambda prompt: ask(chain, prompt, mode))
        with pytest.raises(ValueError, match=words):
            begin(request("x"))


def test_a_missing_model_of_one_request_suspends_only_that_model() -> None:
    """That it does not exist suspends that model alone."""
    with make_resolver() as resolver:
        chain = resolver.chain("one", "two:y")
        assert chain.invoke("hi").text == "one:usual"
        with pytest.raises(ModelNotFoundError):
            raise failure(resolver.chain("one"), request("gone"))
        assert chain.invoke("hi").text == "one:usual"
        suspended = [row.model for row in resolver.health().targets if not row.available]
        assert suspended == ["gone"]


def failure(chain: Chain, prompt: Any) -> BaseException:
    """Return the cause of a request's failure."""
    try:
        chain.invoke(prompt)
    except ExceptionGroup as error:
        return error.exceptions[0]
    raise AssertionError
