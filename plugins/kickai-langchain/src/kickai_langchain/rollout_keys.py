"""The rollout key of a call, from LangChain's config."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from kickai_providers_core.values.prompt_masking import Masked
from kickai_providers_core.values.rollout_key import get_key
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

__all__ = ["KeyedChatModel", "find_key"]

KEY = "kickai_key"
"""The name of the rollout key in a config."""


def find_key(config: RunnableConfig | None) -> Any:
    """Return the rollout key that a config states, or None.

    The first of: ``configurable["kickai_key"]``, ``metadata["kickai_key"]``, and ``configurable["thread_id"]``, which
    LangGraph uses for a conversation. A thread's id does not replace a key that the application has set with `use_key`.
    Within a runnable or a graph, the config of the surrounding run counts too.
    """
    merged = ensure_config(config)
    own, metadata = merged.get("configurable") or {}, merged.get("metadata") or {}
    stated = own.get(KEY, metadata.get(KEY))
    if stated is not None or get_key() is not None:
        return stated
    thread = own.get("thread_id")
    return None if thread is None else str(thread) or None


def add_key(keywords: dict[str, Any], config: RunnableConfig | None) -> dict[str, Any]:
    """Return the keywords of a call with the config's key, unless they have one.

    LangChain shows the keywords to tracers and makes them part of the key of its cache. Masked, it does neither.
    """
    key = keywords.get("key")
    key = find_key(config) if key is None else key
    if key is None or isinstance(key, Masked):
        return keywords
    return {**keywords, "key": Masked(key)}


class KeyedChatModel(BaseChatModel):
    """A chat model whose calls get the rollout key of their config.

    LangChain does not pass the config on to the methods that subclasses implement.
    """

    def invoke(  # noqa: D102  documented by LangChain
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return super().invoke(input, config, stop=stop, **add_key(kwargs, config))

    async def ainvoke(  # noqa: D102
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return await super().ainvoke(input, config, stop=stop, **add_key(kwargs, config))

    def stream(  # noqa: D102
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        chunks: Iterator[AIMessageChunk] = super().stream(input, config, stop=stop, **add_key(kwargs, config))
        return chunks

    def astream(  # noqa: D102
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        chunks: AsyncIterator[AIMessageChunk] = super().astream(input, config, stop=stop, **add_key(kwargs, config))
        return chunks

    if not TYPE_CHECKING:  # LangChain's overloads count for type checkers

        def stream_events(self, input, config=None, **kwargs):  # noqa: A002, ANN001, ANN003, ANN201, D102
            return super().stream_events(input, config, **add_key(kwargs, config))

        def astream_events(self, input, config=None, **kwargs):  # noqa: A002, ANN001, ANN003, ANN201, D102
            return super().astream_events(input, config, **add_key(kwargs, config))
