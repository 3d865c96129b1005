"""The chat model that an application gives to LangChain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal, NoReturn, Self

from kickai_providers_core import ArgumentValueError, Capability, Chain, Reply, Resolver
from kickai_providers_core.compat.process_default import get_resolver
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field, PrivateAttr

from kickai_langchain.ignored_arguments import drop_ignored
from kickai_langchain.replies import PROVIDER, build_chunk, build_last_chunk, build_message
from kickai_langchain.requests import build_keywords, build_prompt, convert_tool, convert_tool_choice
from kickai_langchain.rollout_keys import KeyedChatModel
from kickai_langchain.structured_output import (
    Method,
    attach_parser,
    build_json_binding,
    choose_method,
    parse_call,
    parse_text,
)

__all__ = ["ChatKickai"]

CHARACTERS_PER_TOKEN = 4
"""About as many as in English text ("What are tokens and how to count them?", OpenAI help center)."""

StreamMode = Literal["live", "buffered"]

OWN_KEYWORDS = ("model", "temperature", "max_tokens", "stop", "timeout")
"""The fields that a call's keyword of the same name overrides."""


class ChatKickai(KeyedChatModel):
    """A chain as a chat model of LangChain: each call is one walk down the chain.

    Safe to use from several threads and event loops. It holds nothing that must be closed; its resolver does. It is not
    serializable, since its providers and their keys are in its resolver: LangChain's `dumps` writes only its repr.

    A call takes the keywords of `kickai_providers_core.CallKeywords`, such as ``temperature`` and ``key``. It raises
    what the chain raises.

    Args:
        role: The name of a role in the settings; None calls the primary and the fallback.
        targets: Targets to call instead of a role's, each ``instance`` or ``instance:model``.
        resolver: The resolver. None for the one of the process, which reads ``kickai.toml`` and the environment when
            it is first needed, and is closed at exit.
        fields: The attributes below, and the fields of every LangChain chat model, for example ``callbacks``.

    Attributes:
        role: As given.
        targets: As given.
        resolver: As given.
        model: The model for targets that name none.
        temperature: From 0; None for the role's.
        max_tokens: The token limit of an answer, from 1; None for the role's.
        stop: Texts that end an answer.
        timeout: Seconds that a call may take, with all its attempts, above 0; None for the chain's deadline.
        streaming: True streams within `invoke` too, so that callbacks get each token. False never streams. None streams
            on request.
        stream_usage: Whether the last chunk of a stream has the token counts.
        stream_mode: How streams fall back. ``live`` passes text on at once, and falls back only before the first text.
            ``buffered`` falls back at any time, and passes text on when the answer is complete.

    Raises:
        ConfigError: The settings are invalid.
        UnknownProviderError: A target has no provider.
        ArgumentValueError: There are both a role and targets.
        ValidationError: A field is unknown or has a wrong value.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)  # the input may be a key under another name

    role: str | None = None
    targets: tuple[str, ...] | None = None
    resolver: Resolver | None = Field(default=None, exclude=True, repr=False)
    model: str | None = None
    temperature: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: list[str] | None = None
    timeout: float | None = Field(default=None, gt=0)
    streaming: bool | None = None
    stream_usage: bool = True
    stream_mode: StreamMode = "live"

    _chain: Chain = PrivateAttr()

    def __init__(
        self,
        role: str | None = None,
        *,
        targets: Sequence[str] | None = None,
        resolver: Resolver | None = None,
        **fields: Any,
    ) -> None:
        if role is not None and targets is not None:
            raise ArgumentValueError("ChatKickai takes either a role or targets")
        own_fields: dict[str, Any] = {"role": role, "targets": targets, "resolver": resolver}
        super().__init__(**own_fields, **drop_ignored(fields))
        own = resolver if resolver is not None else get_resolver()
        self._chain = own.for_role(role) if self.targets is None else own.chain(*self.targets)
        if fields.get("profile") is None:
            self.profile = _build_profile(self._chain)

    @property
    def chain(self) -> Chain:
        """The chain that it calls."""
        return self._chain

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        copy: Self = self.model_copy()  # a resolver cannot be copied
        return copy

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a ChatKickai cannot be pickled: its resolver holds connections; create both in the other process"
        )

    @property
    def _llm_type(self) -> str:
        return PROVIDER

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Return what distinguishes the model in LangChain's cache and in traces."""
        own = {name: getattr(self, name) for name in OWN_KEYWORDS}
        return {"role": self.role, "targets": list(self._chain.targets), **own}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """Return what traces show. Which model answers is only known afterwards: see a message's metadata."""
        first = self._chain.targets[0] if self.targets is not None else self.role or "default"
        own = {
            "model": self.model or f"{PROVIDER}/{first}",
            "temperature": self._chain.temperature if self.temperature is None else self.temperature,
            "max_tokens": self._chain.max_tokens if self.max_tokens is None else self.max_tokens,
        }
        stated = {name: value for name, value in kwargs.items() if value is not None}
        return super()._get_ls_params(stop=stop or self.stop, **{**own, **stated})

    def get_num_tokens(self, text: str) -> int:
        """Return about how many tokens a text has, from its length: the targets' tokenizers differ."""
        return -(-len(text) // CHARACTERS_PER_TOKEN)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Return about how many tokens messages and tools have; an image counts as a fixed number."""
        described: list[Any] | None = None if tools is None else list(map(convert_tool, tools))
        tokens: int = count_tokens_approximately(messages, chars_per_token=CHARACTERS_PER_TOKEN, tools=described)
        return tokens

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools that it may call. Targets that do not support tools are skipped.

        Args:
            tools: Functions, classes, LangChain tools, or mappings in the form of OpenAI's API.
            tool_choice: ``auto``, ``none``, ``any`` or ``required`` or True, or the name of a tool.
            kwargs: Further keywords of each call. ``strict`` is ignored, since not every provider can promise it.
        """
        choice = {} if tool_choice is None else {"tool_choice": convert_tool_choice(tool_choice)}
        kwargs.pop("strict", None)
        return self.bind(tools=[convert_tool(tool) for tool in tools], **choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Method | None = None,
        strict: bool | None = None,  # noqa: ARG002  no provider of several can promise it
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return the model with answers of one form.

        An answer that does not fit the JSON schema is a failed attempt, and the next target is called.

        Args:
            schema: A pydantic model, a TypedDict, a JSON schema, or a function in the form of OpenAI's API. The answer
                is an object of the model, or else a mapping.
            include_raw: Whether to return a mapping with ``raw``, ``parsed`` and ``parsing_error``.
            method: ``json_schema`` or ``json_mode`` sends the schema with the request; ``function_calling`` sends it as
                a tool. None decides: JSON schemas, unless only tools are supported by every target.
            strict: Ignored; see `bind_tools`.
            kwargs: Further keywords of each call.
        """
        how = choose_method(method, self._chain.capabilities)
        traced = {"ls_structured_output_format": {"kwargs": {"method": how}, "schema": schema}}
        # The object comes when the answer is complete, so nothing prevents a fallback before.
        kwargs.setdefault("stream_mode", "buffered")
        if how == "json_schema":
            model: Runnable[Any, AIMessage] = self.bind(**build_json_binding(schema), **traced, **kwargs)
            return attach_parser(model, lambda message: parse_text(message, schema), include_raw=include_raw)
        model = self.bind_tools([schema], tool_choice="any", **traced, **kwargs)
        return attach_parser(model, lambda message: parse_call(message, schema), include_raw=include_raw)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        return _build_result(self._chain.invoke(build_prompt(messages), **self._build_keywords(stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        keywords = self._build_keywords(stop, kwargs)
        return _build_result(await self._chain.ainvoke(build_prompt(messages), **keywords))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        stream_mode: StreamMode | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        keywords = self._build_keywords(stop, kwargs)
        with self._chain.stream(build_prompt(messages), mode=stream_mode or self.stream_mode, **keywords) as chunks:
            for chunk in chunks:
                message = build_chunk(chunk)
                if message is None:
                    continue
                generation = ChatGenerationChunk(message=message)
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=generation)
                yield generation
        yield self._build_end(chunks.reply, stream_usage)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        stream_mode: StreamMode | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        keywords = self._build_keywords(stop, kwargs)
        async with self._chain.astream(
            build_prompt(messages), mode=stream_mode or self.stream_mode, **keywords
        ) as chunks:
            async for chunk in chunks:
                message = build_chunk(chunk)
                if message is None:
                    continue
                generation = ChatGenerationChunk(message=message)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=generation)
                yield generation
        yield self._build_end(chunks.reply, stream_usage)

    def _build_end(self, reply: Reply | None, stream_usage: bool | None) -> ChatGenerationChunk:
        assert reply is not None  # noqa: S101  a stream that ended without an error has a reply
        has_usage = self.stream_usage if stream_usage is None else stream_usage
        return ChatGenerationChunk(message=build_last_chunk(reply, has_usage=has_usage))

    def _build_keywords(self, stop: list[str] | None, stated: dict[str, Any]) -> dict[str, Any]:
        return build_keywords({name: getattr(self, name) for name in OWN_KEYWORDS}, {**stated, "stop": stop})


def _build_result(reply: Reply) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=build_message(reply))])


def _build_profile(chain: Chain) -> ModelProfile:
    """Return what every target can do, so that each of them can take over."""
    can = chain.capabilities
    profile: ModelProfile = {
        "text_inputs": True,
        "text_outputs": True,
        "image_inputs": Capability.IMAGES in can,
        "tool_calling": Capability.TOOLS in can,
        "tool_choice": Capability.TOOLS in can,
        "structured_output": Capability.JSON_SCHEMA in can,
    }
    if chain.context_window is not None:
        profile["max_input_tokens"] = chain.context_window
    return profile
