"""Language models that answer with text."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest
from attrs import field, frozen

from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    ChainExhaustedError,
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    ProviderSettings,
    Reply,
    Resolver,
    Secret,
    Settings,
    UnknownProviderError,
    compat,
    hookimpl,
)
from kickai_providers_core.compat import LLMConfig, LLMFactory, ResilientLLM, get_settings, get_smart_provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import World


@pytest.mark.usefixtures("resolver")
def test_stop_words_are_sent(world: World) -> None:
    """Those of the object, unless the call states its own."""
    llm = ResilientLLM("team_manager", stop="Observation:")
    assert llm.supports_stop_words()
    llm.invoke("Go")
    llm.invoke("Go", stop=["END"], max_tokens=9)
    llm.stop.append("\n\n")
    llm.invoke("Go")
    sent = [request.stop for request in world.huggingface.requests]
    assert sent == [("Observation:",), ("END",), ("Observation:", "\n\n")]
    assert world.huggingface.requests[1].max_tokens == 9


def test_text_has_no_function_calls() -> None:
    """So the objects say that they support none, and callers use their text protocol."""
    llm = ResilientLLM("team_manager")
    assert not llm.supports_functions
    assert not llm.supports_tools


@pytest.mark.usefixtures("resolver")
def test_an_unknown_role_gets_the_default_role() -> None:
    """As everywhere."""
    assert ResilientLLM("tea_lady").chain.temperature == 0.3
    assert compat.get_agent_model_config("tea_lady").max_tokens == 500


@pytest.mark.usefixtures("resolver")
def test_the_factory_refuses_what_it_does_not_know() -> None:
    """Before anything is called."""
    with pytest.raises(UnknownProviderError, match="unknown provider 'hugingface'"):
        LLMFactory.create_llm(LLMConfig(provider="hugingface"))
    with pytest.raises(ArgumentTypeError, match="config must be an LLMConfig, got dict"):
        LLMFactory.create_llm({"provider": "gemini"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 3}, "temperature must be between 0 and 2, got 3"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
        ({"provider": ""}, "provider must be a string that is not empty"),
        ({"model": ""}, "model must be a string that is not empty"),
    ],
)
def test_a_configuration_is_validated(fields: dict[str, object], message: str) -> None:
    """The error names field, range and value."""
    with pytest.raises(ArgumentValueError, match=message):
        LLMConfig(**{"provider": "gemini", **fields})  # type: ignore[arg-type]


@pytest.mark.usefixtures("resolver")
def test_tools_are_refused(world: World) -> None:
    """The model's call of a tool would be lost in a text."""
    with pytest.raises(ArgumentTypeError, match=r"got 'tools'; llm\.chain takes all keywords"):
        ResilientLLM("team_manager").invoke("Go", tools=[])  # type: ignore[call-arg]
    assert world.huggingface.requests == []


async def test_no_frame_of_an_error_holds_the_prompt(resolver: Resolver, world: World) -> None:
    """Nor the key of a rollout: crash reporters show the local variables of each frame."""
    world.huggingface.fails = world.gemini.fails = True
    llm = ResilientLLM("team_manager")
    with pytest.raises(ChainExhaustedError) as called:
        llm("canary", key="canary")
    with pytest.raises(ChainExhaustedError) as invoked:
        llm.invoke("canary", key="canary")
    with pytest.raises(ChainExhaustedError) as awaited:
        await llm.ainvoke("canary", key="canary")
    for error in (called, invoked, awaited):
        frames = [each.frame for each in error.traceback[1:] if "kickai_providers_core" in str(each.path)]
        assert frames
        assert [frame for frame in frames if "canary" in repr(frame.raw.f_locals)] == []


@pytest.mark.usefixtures("resolver")
def test_copies_are_independent() -> None:
    """CrewAI copies agents with their models, and a queue of tasks may pickle them."""
    llm = ResilientLLM("team_manager", stop=["END"])
    llm.invoke("Go")
    for copied in (copy.copy(llm), copy.deepcopy(llm), pickle.loads(pickle.dumps(llm))):
        assert (copied.agent_role, copied.stop) == ("team_manager", ["END"])
        assert copied.invoke("Go") == "huggingface answers"
    config = compat.get_agent_model_config("team_manager")
    assert pickle.loads(pickle.dumps(LLMFactory.create_llm(config))).config == config


def test_reprs_name_what_is_called() -> None:
    """Without keys and without addresses."""
    assert repr(ResilientLLM(compat.AgentRole.TEAM_MANAGER)) == "ResilientLLM('team_manager')"
    assert "gemini-x" in repr(compat.ConfiguredLLM(LLMConfig(provider="gemini", model="gemini-x")))


def test_a_chain_without_a_second_provider_has_no_fallback(build: Callable[..., Resolver]) -> None:
    """None says so."""
    compat.use(build(settings=Settings(kickai=KickaiSettings(fallback=()))))
    assert compat.get_fallback_config("team_manager") is None


def test_ai_provider_changes_the_order(build: Callable[..., Resolver]) -> None:
    """As for chains: the preferred provider is first, and the other one is its fallback."""
    compat.use(build(settings=Settings(kickai=KickaiSettings(fallback=("gemini",), preferred="gemini"))))
    assert compat.get_agent_model_config("team_manager").provider is compat.AIProvider.GEMINI
    fallback = compat.get_fallback_config("team_manager")
    assert fallback is not None
    assert fallback.provider is compat.AIProvider.HUGGINGFACE
    assert get_settings().ai_provider is compat.AIProvider.GEMINI
    assert repr(get_settings()) == "SettingsView(ai_provider='gemini')"


@pytest.mark.usefixtures("resolver")
def test_the_health_of_an_unknown_provider_is_an_error() -> None:
    """It names the installed ones."""
    smart = get_smart_provider()
    for call in (smart.is_healthy, smart.report_error, smart.report_success):
        with pytest.raises(UnknownProviderError, match="installed: huggingface, gemini"):
            call("gemeni")
    with pytest.raises(ArgumentTypeError, match="provider must be a string"):
        smart.report_error(5)  # type: ignore[arg-type]


@frozen(kw_only=True)
class KeySettings(ProviderSettings):
    """Settings with two keys."""

    first: Secret | None = None
    second: Secret = field(factory=lambda: Secret(""))


class Keyed:
    """A provider that needs a key."""

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe it."""
        return ProviderInfo(name="huggingface", summary="has a key", settings_class=KeySettings)

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Create nothing."""
        return self

    @hookimpl
    def kickai_invoke_provider(self, provider: object) -> Reply:
        """Answer."""
        return Reply(text="yes", provider="", model="m", finish_reason=FinishReason.STOP)


def test_the_key_is_that_of_the_provider() -> None:
    """The first one that is set; empty when there is none."""
    providers = {"huggingface": KeySettings(second=Secret("hf_1")), "other": KeySettings(kind="huggingface")}
    settings = Settings(kickai=KickaiSettings(fallback=(), plugins=()), providers=providers)
    with Resolver.from_settings(settings, plugins={"huggingface": Keyed()}) as resolver:
        compat.use(resolver)
        try:
            assert get_settings().get_ai_api_key() == "hf_1"
            assert get_settings().get_ai_api_key("other") == ""
            assert "hf_1" not in repr(get_settings())
            with pytest.raises(UnknownProviderError):
                get_settings().get_ai_api_key("gemeni")
        finally:
            compat.use(None)
