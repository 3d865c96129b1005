"""The LLM object that an application gives to CrewAI's agents."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from crewai import BaseLLM
from kickai_providers_core import ArgumentValueError, Capability, Chain, Resolver
from kickai_providers_core.compat.process_default import get_resolver
from pydantic import BaseModel, Field, PrivateAttr

from kickai_crewai.calls import CrewCall
from kickai_crewai.errors import KickaiCallError
from kickai_crewai.requests import estimate_tokens
from kickai_crewai.sharing import Users

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KickaiLLM"]

PREFIX = "kickai/"
"""The provider of the model's name, so that CrewAI does not take the LLM for OpenAI's."""

USABLE_SHARE = 0.85
"""The share of a context window that CrewAI's own LLMs fill before they summarize the conversation."""

UNKNOWN_WINDOW = 131_072
"""The context window, in tokens, when no target's is known: the size of most current models.

Too large a window costs nothing, since a target that refuses a long prompt is followed by one with a larger window.
Too small a one has CrewAI summarize conversations that would fit.
"""

UNSUPPORTED = ("frequency_penalty", "presence_penalty", "n", "api_key", "base_url")
"""Fields of CrewAI's LLMs that a chain of several vendors cannot honour."""

Method = TypeVar("Method", bound="Callable[..., Any]")


def without_retries(method: Method) -> Method:
    """Decorate a call to opt out of CrewAI's retries for rate limits: the chain has its own."""
    method._crewai_rate_limit_wrapped = True  # type: ignore[attr-defined]
    return method


class KickaiLLM(BaseLLM):
    """The chain of a role as an LLM of CrewAI: each call is one walk down the chain.

    Give each agent an LLM of its own, since CrewAI sums up usage by agent; all of them share one resolver. An LLM is
    safe to use from several threads and event loops. It holds nothing that must be closed; its resolver does.

    Args:
        role: The name of a role in the settings; None calls the primary and the fallback.
        resolver: The resolver. None for that of the process, ``kickai_providers_core.compat.get_resolver()``: it reads
            ``kickai.toml`` and the environment when it is first needed, and is closed at exit.
        chain: A chain to call instead of a role's.
        fields: The attributes below. ``temperature``, ``max_tokens``, ``top_p``, ``seed`` and ``stop`` override the
            role's; ``stream=True`` streams every call.

    Attributes:
        role: As given.
        deadline_s: Seconds that a call may take, above 0; None for the chain's own.
        stream_mode: How streamed calls fall back. ``live`` passes text on at once, and falls back only before the first
            text. ``buffered`` falls back at any time, and passes text on when the answer is complete.
        native_tools: Whether the model is given tools in the request. False uses CrewAI's text protocol. None decides:
            native when every usable target supports tools, so that each of them can be fallen back to.
        context_window: Tokens of prompt and answer together, for CrewAI's summaries of long conversations; None for
            the smallest known window among the usable targets.

    Raises:
        ConfigError: The settings are invalid.
        ArgumentValueError: An argument is unknown, or cannot be honoured by a chain of several vendors.
    """

    role: str | None = None
    deadline_s: float | None = Field(default=None, gt=0)
    stream_mode: Literal["live", "buffered"] = "live"
    native_tools: bool | None = None
    context_window: int | None = Field(default=None, gt=0)

    _chain: Chain = PrivateAttr()
    _users: Users = PrivateAttr(default_factory=Users)
    _usage_lock: Any = PrivateAttr(default_factory=Lock)

    def __init__(
        self,
        role: str | None = None,
        *,
        resolver: Resolver | None = None,
        chain: Chain | None = None,
        **fields: Any,
    ) -> None:
        role = _find_role(role, chain, resolver, fields.pop("model", None))
        name = role if role is not None else "default" if chain is None else "chain"
        super().__init__(**{"provider": "kickai", **fields, "model": PREFIX + name, "role": role})
        _refuse_unknown(self)
        if chain is None:
            chain = (resolver if resolver is not None else get_resolver()).for_role(role)
        self._chain = chain

    @property
    def chain(self) -> Chain:
        """The chain that it calls."""
        return self._chain

    def __copy__(self) -> Self:
        """Return an LLM on the same chain that counts its own tokens; CrewAI copies the LLM of each agent it copies."""
        copy: Self = super().__copy__()
        copy._token_usage = dict.fromkeys(self._token_usage, 0)
        copy._users, copy._usage_lock = Users(), Lock()
        return copy

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()

    @without_retries
    def call(  # noqa: D102, PLR0917  CrewAI's signature, documented there
        self,
        messages: str | list[Any],
        tools: list[dict[str, Any]] | None = None,
        callbacks: list[Any] | None = None,  # noqa: ARG002  LiteLLM's
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        call = self._start(
            messages,
            tools=tools,
            available_functions=available_functions,
            from_task=from_task,
            from_agent=from_agent,
            response_model=response_model,
        )
        return call.invoke()

    @without_retries
    async def acall(  # noqa: D102, PLR0917
        self,
        messages: str | list[Any],
        tools: list[dict[str, Any]] | None = None,
        callbacks: list[Any] | None = None,  # noqa: ARG002  LiteLLM's
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        call = self._start(
            messages,
            tools=tools,
            available_functions=available_functions,
            from_task=from_task,
            from_agent=from_agent,
            response_model=response_model,
        )
        return await call.ainvoke()

    def _start(self, messages: str | list[Any], **arguments: Any) -> CrewCall:
        if arguments["from_agent"] is not None:
            self._users.add(arguments["from_agent"])
        return CrewCall(
            llm=self,
            chain=self._chain,
            deadline_s=self.deadline_s,
            stream_mode=self.stream_mode,
            messages=messages,
            **arguments,
        )

    def supports_function_calling(self) -> bool:
        """Return whether CrewAI may pass tools with a request; otherwise it describes them in the prompt."""
        if self.native_tools is not None:
            return self.native_tools
        return Capability.TOOLS in self._chain.capabilities

    def supports_stop_words(self) -> bool:
        """Return True: each request carries the stop words, and the answer is cut at them."""
        return True

    def supports_multimodal(self) -> bool:
        """Return whether every usable target takes images."""
        return Capability.IMAGES in self._chain.capabilities

    def get_context_window_size(self) -> int:
        """Return the tokens of a prompt above which CrewAI summarizes the conversation."""
        window = self.context_window or self._chain.context_window or UNKNOWN_WINDOW
        return int(window * USABLE_SHARE)

    def get_input_tokens_count(
        self,
        messages: str | list[Any],
        tools: list[Any] | None = None,
        response_model: type[BaseModel] | None = None,
    ) -> int:
        """Return about how many tokens a prompt has, from its length."""
        return estimate_tokens(messages, tools, response_model)

    def summarize_messages(self, messages: list[Any], callbacks: list[Any], verbose: bool = True) -> None:  # noqa: FBT002
        """Shorten a conversation in place.

        Raises:
            Exception: What the chain raised. CrewAI then goes on with the whole conversation.
        """
        try:
            super().summarize_messages(messages, callbacks, verbose)
        except KickaiCallError as error:
            raise error.failure from None

    def to_config_dict(self) -> dict[str, Any]:
        """Return the arguments of an equal LLM, apart from ``resolver`` and ``chain``.

        ``KickaiLLM(**config, resolver=resolver)`` accepts them. CrewAI's own ``LLM(**config)`` does not: it knows no
        model of this name, and says so.
        """
        names = ("role", "temperature", "top_p", "max_tokens", "seed", "stream", *_OWN_FIELDS)
        values = {name: getattr(self, name) for name in names}
        config = {name: value for name, value in values.items() if value is not None}
        return {"model": self.model, **config, **({"stop": self.stop} if self.stop else {})}

    def _multimodal_formatter_name(self) -> str:
        return "openai"  # the form of content parts that the core reads

    def _effective_max_tokens(self) -> int | float | None:
        return self.max_tokens if self.max_tokens is not None else self._chain.max_tokens

    def _track_token_usage_internal(self, usage_data: dict[str, Any]) -> None:
        with self._usage_lock:
            super()._track_token_usage_internal(usage_data)


_OWN_FIELDS = ("deadline_s", "stream_mode", "native_tools", "context_window")


def _find_role(role: str | None, chain: Chain | None, resolver: Resolver | None, model: str | None) -> str | None:
    """Return the role that the arguments name; ``model`` comes from `KickaiLLM.to_config_dict`."""
    if chain is not None and (role is not None or resolver is not None):
        raise ArgumentValueError("KickaiLLM takes either a chain, or a role and its resolver")
    if model is not None and not model.startswith(PREFIX):
        raise ArgumentValueError(f"KickaiLLM takes a role, not the model {model!r}: the settings name its models")
    return role if chain is None else chain.role


def _refuse_unknown(llm: KickaiLLM) -> None:
    """Refuse arguments that would have no effect."""
    given = sorted([*llm.additional_params, *(name for name in UNSUPPORTED if getattr(llm, name) is not None)])
    if given:
        raise ArgumentValueError(f"KickaiLLM does not take {', '.join(given)}: set it in the settings of a provider")
