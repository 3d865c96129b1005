"""Language models that answer with text, as the migration plan's code expects: each calls a chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

from kickai_providers_core.compat.model_configs import LLMConfig
from kickai_providers_core.compat.names import to_name
from kickai_providers_core.compat.process_default import find_resolver, get_resolver, warn_once
from kickai_providers_core.compat.smart_provider import is_usable
from kickai_providers_core.concurrency import threads
from kickai_providers_core.values.base_errors import ArgumentTypeError
from kickai_providers_core.values.errors import ConfigError, UnknownProviderError
from kickai_providers_core.values.prompt_masking import Masked
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.validation import describe_type, raise_argument_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core.chain import Chain
    from kickai_providers_core.resolver import Resolver
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.requests import Prompt

__all__ = ["ConfiguredLLM", "LLMFactory", "ResilientLLM", "TextKeywords", "TextLLM", "get_agent_llm"]

L = TypeVar("L")


class TextKeywords(TypedDict, total=False):
    """The overrides of one call, as those of `CallKeywords` with the same names."""

    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    stop: str | list[str] | None
    seed: int | None
    key: str | None
    deadline_s: float | None


KEYWORDS = tuple(TextKeywords.__annotations__)


class TextLLM(ABC):
    """Answers with text through a chain of the resolver that `compat` uses.

    Safe to share between threads, event loops and forked processes. Copies and pickles are independent. Errors are
    those of `Chain`; a keyword that is not one of `TextKeywords` is an `ArgumentTypeError`.

    Attributes:
        stop: Texts that end an answer, for every call that states none itself. The list may be changed.
    """

    supports_functions = False
    """An answer is text, so a call of a function would be lost. For functions use ``chain``, or an adapter."""

    supports_tools = False
    """As ``supports_functions``."""

    def __init__(self, stop: Iterable[str] = ()) -> None:
        self.stop = [stop] if isinstance(stop, str) else list(stop)
        self._cached: tuple[Resolver, Chain] | None = None

    @property
    def chain(self) -> Chain:
        """The chain that is called. It has whole replies, streams, tools and batches.

        The first use in a process reads the settings and imports the plugins.
        """
        chain = self._find_chain()
        if chain is None:
            resolver = get_resolver()
            # Two threads may build one chain each: they are equal in all but identity.
            chain = self._build_chain(resolver)
            self._cached = resolver, chain
        return chain

    def invoke(self, prompt: Prompt, **keywords: Unpack[TextKeywords]) -> str:
        """Return the answer, blocking the thread.

        Args:
            prompt: A text, messages, or anything else that `Chain.invoke` takes.
            keywords: Overrides for this call.
        """
        masked, given = Masked(prompt), Masked(keywords)
        del prompt, keywords  # an error's traceback must not hold them in a frame of ours
        return self._answer(masked, given)

    async def ainvoke(self, prompt: Prompt, **keywords: Unpack[TextKeywords]) -> str:
        """Return the answer without blocking the event loop. Cancelling it cancels the running attempt."""
        masked, given = Masked(prompt), self._complete(Masked(keywords))
        del prompt, keywords
        chain = self._find_chain()
        if chain is None:  # creating a resolver reads files and imports plugins
            chain = await threads.acall(lambda: self.chain)
        reply: Reply = await chain.ainvoke(masked.reveal(), **given.reveal())
        return reply.text

    def __call__(self, prompt: Prompt, **keywords: Unpack[TextKeywords]) -> str:
        """Return the answer; the same as `invoke`."""
        masked, given = Masked(prompt), Masked(keywords)
        del prompt, keywords
        return self._answer(masked, given)

    def supports_stop_words(self) -> bool:
        """Return True: every provider ends an answer at the texts in ``stop``."""
        return True

    def __getstate__(self) -> dict[str, object]:
        """Return what a copy or a pickle has: it builds a chain of its own."""
        return {**self.__dict__, "stop": list(self.stop), "_cached": None}

    def _find_chain(self) -> Chain | None:
        """Return the chain if it was built for the present resolver, without waiting."""
        cached, resolver = self._cached, find_resolver()
        return cached[1] if cached is not None and cached[0] is resolver else None

    @abstractmethod
    def _build_chain(self, resolver: Resolver) -> Chain:
        """Return the chain at a resolver."""

    def _answer(self, masked: Masked, given: Masked) -> str:
        complete = self._complete(given)
        reply: Reply = self.chain.invoke(masked.reveal(), **complete.reveal())
        return reply.text

    def _complete(self, given: Masked) -> Masked:
        """Return the keywords of a call with this object's stop texts.

        Raises:
            ArgumentTypeError: A keyword is unknown.
        """
        unknown = next((name for name in given.reveal() if name not in KEYWORDS), None)
        if unknown is not None:
            message = f"a text model takes {', '.join(KEYWORDS)}, got {unknown!r}; llm.chain takes all keywords"
            raise ArgumentTypeError(message)
        if self.stop and given.reveal().get("stop") is None:
            return Masked({**given.reveal(), "stop": list(self.stop)})
        return given


class ResilientLLM(TextLLM):
    """The language model of one agent: its role's chain, with fallback, retries, breakers and rollout.

    Attributes:
        agent_role: The role.
    """

    def __init__(self, agent_role: str, *, stop: Iterable[str] = ()) -> None:
        """Store the role. Nothing is read or called before the first use.

        Args:
            agent_role: An `AgentRole`, or another role of the settings; an unknown name gets the default role.
            stop: One or more texts that end an answer.
        """
        super().__init__(stop)
        self.agent_role = to_name("agent_role", agent_role)

    def __repr__(self) -> str:
        return f"ResilientLLM({self.agent_role!r})"

    def _build_chain(self, resolver: Resolver) -> Chain:
        return resolver.for_role(self.agent_role)


class ConfiguredLLM(TextLLM):
    """One model of one provider, without fallback. `LLMFactory.create_llm` creates it.

    Attributes:
        config: The model and how it is called.
    """

    def __init__(self, config: LLMConfig) -> None:
        super().__init__()
        self.config = config

    def __repr__(self) -> str:
        return f"ConfiguredLLM({self.config!r})"

    def _build_chain(self, resolver: Resolver) -> Chain:
        config = self.config
        target = Target(str(config.provider), config.model)
        return resolver.chain(target, temperature=config.temperature, max_tokens=config.max_tokens)


class LLMFactory:
    """Creates language models from their configuration."""

    @staticmethod
    def create_llm(config: LLMConfig) -> ConfiguredLLM:
        """Return the language model of a configuration. Nothing is called.

        It has retries, deadline and health as every chain, but no fallback: use `ResilientLLM` for that.

        Raises:
            ArgumentTypeError: The configuration is not an `LLMConfig`.
            UnknownProviderError: No provider has the configured name.
            ConfigError: The settings are invalid.
        """
        if not isinstance(config, LLMConfig):
            raise_argument_error("config", "an LLMConfig", describe_type(config))
        llm = ConfiguredLLM(config)
        _ = llm.chain  # reports an unknown provider here
        return llm


def get_agent_llm(base_llm: L, role: str) -> L | ResilientLLM:
    """Return the language model of an agent: its role's chain, or ``base_llm`` when that chain cannot answer.

    The chain cannot answer when the settings are invalid, or when no provider in it is installed and configured. Then
    one warning says so. A provider that fails at present does not matter: the chain handles that.

    Args:
        base_llm: What the agent has used so far.
        role: An `AgentRole`, or another role of the settings; an unknown name gets the default role.
    """
    try:
        resolver = get_resolver()
        llm = ResilientLLM(role)
        targets = llm.chain.targets
    except (ConfigError, UnknownProviderError) as error:
        warn_once(f"agents keep their own language model, since the settings cannot be used: {error}")
        return base_llm
    providers = {target.partition(":")[0] for target in targets}
    if any(is_usable(resolver, provider) for provider in providers):
        return llm
    warn_once("agents keep their own language model, since no provider is configured; kickai doctor says what to do")
    return base_llm
