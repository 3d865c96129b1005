"""The rollout key of each call, from LangChain's config."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve, frozen
from kickai_providers_core import Chain, use_key
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda

WAYS = ("invoke", "ainvoke", "stream", "astream", "batch", "streaming", "events", "aevents")

# LangChain's third version of events is in beta, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
STREAMING: tuple[dict[str, bool], dict[str, bool]] = ({}, {"streaming": True})


@frozen
class Router:
    """Records the keys, and follows no rollout."""

    keys: list[str | None]

    def choose(self, key: str | None) -> None:
        """Choose no route."""
        self.keys.append(key)


def keyed(made: Any, keys: list[str | None], **fields: Any) -> Any:
    """Return a model whose chain records the key of each request, as the router of a rollout sees it."""
    model = made.chat(**fields)
    model._chain = Chain(evolve(model.chain._starter, router=Router(keys)))
    return model


async def read(chunks: Any) -> None:
    """Read all chunks."""
    async for _ in chunks:
        pass


async def acall(model: Any, how: str, config: Any, **keywords: Any) -> None:
    """Call a model in one of the asynchronous ways."""
    if how == "astream":
        await read(model.astream("hi", config, **keywords))
    elif how == "aevents":
        await read(await model.astream_events("hi", config, version="v3", **keywords))
    else:
        await model.ainvoke("hi", config, **keywords)


def call(model: Any, how: str, config: Any, **keywords: Any) -> None:
    """Call a model in one of the ways."""
    if how.startswith("a"):
        asyncio.run(acall(model, how, config, **keywords))
    elif how == "batch":
        model.batch(["hi"], config, **keywords)
    elif how == "stream":
        list(model.stream("hi", config, **keywords))
    elif how == "events":
        list(model.stream_events("hi", config, version="v3", **keywords))
    else:
        model.invoke("hi", config, **keywords)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"configurable": {"kickai_key": "ada", "thread_id": "7"}, "metadata": {"kickai_key": "bo"}}, "ada"),
        ({"configurable": {"thread_id": "7"}, "metadata": {"kickai_key": "bo"}}, "bo"),
        ({"configurable": {"thread_id": 7}}, "7"),
        ({"configurable": {"thread_id": UUID(int=7)}}, str(UUID(int=7))),
        ({"configurable": {"thread_id": ""}}, None),
        (None, None),
    ],
)
def test_the_config_has_the_key(vendors, how, config, expected):
    """An own key, or else the thread of the conversation."""
    keys: list[str | None] = []
    call(keyed(vendors(), keys, **STREAMING[how == "streaming"]), how, config)
    assert keys == [expected]


@pytest.mark.parametrize("how", WAYS)
def test_the_calls_own_key_takes_precedence(vendors, how):
    """The call knows best, then the config's own key, then the context, then the thread."""
    keys: list[str | None] = []
    model = keyed(vendors(), keys, **STREAMING[how == "streaming"])
    own = {"configurable": {"kickai_key": "config", "thread_id": "thread"}}
    call(model, how, own, key="call")
    with use_key("context"):
        call(model, "invoke", own)
        call(model, "invoke", {"configurable": {"thread_id": "thread"}})
    assert keys == ["call", "config", "context"]


def test_the_config_of_a_surrounding_run_counts(vendors):
    """As in a node of a graph, which calls the model without a config."""
    keys: list[str | None] = []
    model = keyed(vendors(), keys)
    node = RunnableLambda(lambda text: model.invoke(text).text)
    node.invoke("hi", {"configurable": {"thread_id": "7"}})
    assert keys == ["7"]


def test_a_key_that_is_not_text_is_refused(vendors):
    """The error does not quote it."""
    with pytest.raises(TypeError, match="key must be a string, got int"):
        vendors().chat().invoke("hi", {"configurable": {"kickai_key": 4711}})


def test_traces_do_not_show_the_key(vendors):
    """It often names a user."""
    seen: list[Any] = []

    class Tracer(BaseCallbackHandler):
        def on_chat_model_start(self, *arguments: Any, **fields: Any) -> None:
            seen.append((arguments, fields))

    vendors().chat().invoke("hi", {"callbacks": [Tracer()]}, key="ada@example.org")
    assert "<masked str>" in str(seen)
    assert "ada@example.org" not in str(seen)
