"""A class becomes a plugin with a hook for each of its methods, and no other."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest

from kickai_providers_core import (
    Capability,
    FinishReason,
    Problem,
    ProviderInfo,
    Reply,
    ReplyChunk,
    Resolver,
    UnusableProviderError,
)
from kickai_providers_core.authoring import hooks_for
from kickai_providers_core.plugin_api.hookspecs import Progress

INFO = ProviderInfo(name="echo", summary="Repeats the prompt.")
SETTINGS = {"providers": {"echo": {}}}


def _reply(text, **fields):
    return Reply(text=text, finish_reason=FinishReason.STOP, **fields)


class Short:
    """A provider with the one method that it must have."""

    def __init__(self, settings):
        self.settings = settings

    def invoke(self, request, timeout_s):
        return _reply(request.messages[-1].content, model=self.settings.model or "none")


class Whole(Short):
    """A provider with every method."""

    closed: list[str]

    def __init__(self, settings):
        super().__init__(settings)
        self.closed = []

    @staticmethod
    def validate(settings, online):
        return [] if settings.model else [Problem(path="model", message=f"is missing (online: {online})")]

    @classmethod
    def capabilities(cls, settings, model):
        return frozenset({Capability.SEED})

    @staticmethod
    def prepare(settings, model):
        yield Progress(status=f"loading {model}")

    async def ainvoke(self, request, timeout_s):
        return _reply("async")

    def stream(self, request, timeout_s):
        yield ReplyChunk(text="stream", finish_reason=FinishReason.STOP)

    async def astream(self, request, timeout_s):
        yield ReplyChunk(text="astream", finish_reason=FinishReason.STOP)

    def close(self):
        self.closed.append("close")

    async def aclose(self):
        self.closed.append("aclose")


def _hooks(plugin):
    return {name for name in vars(plugin) if name.startswith("kickai_")}


def test_a_short_class_answers_in_every_mode():
    """The core fills in the modes that the class does not have."""
    plugin = hooks_for(INFO, Short)
    assert _hooks(plugin) == {"kickai_provider_info", "kickai_create_provider", "kickai_invoke_provider"}
    with Resolver.from_settings({"providers": {"echo": {"model": "m"}}}, env={}, plugins={"echo": plugin}) as resolver:
        chain = resolver.chain("echo")
        assert (chain.invoke("hi").text, chain.invoke("hi").model) == ("hi", "m")
        assert "".join(chunk.text for chunk in chain.stream("hi")) == "hi"
        assert asyncio.run(chain.ainvoke("hi")).text == "hi"


def test_every_method_becomes_its_hook():
    """Each mode is answered by the class itself, and closing reaches it."""
    plugin = hooks_for(INFO, Whole)
    settings = {"providers": {"echo": {"model": "m"}}}
    with Resolver.from_settings(settings, env={}, plugins={"echo": plugin}) as resolver:
        chain = resolver.chain("echo")
        assert [chunk.text for chunk in chain.stream("hi")] == ["stream"]
        provider = resolver.registry.find("echo").get_provider(5.0)

        async def both():
            return (await chain.ainvoke("hi")).text, "".join([chunk.text async for chunk in chain.astream("hi")])

        assert asyncio.run(both()) == ("async", "astream")
    assert provider.closed == ["close"]
    assert plugin.kickai_provider_capabilities(settings=None, model="m") == {Capability.SEED}
    assert [step.status for step in plugin.kickai_prepare_provider(settings=None, model="m")] == ["loading m"]


def test_a_problem_keeps_the_provider_from_being_created():
    """The static method is called with the settings, before the class is."""
    with (
        Resolver.from_settings(SETTINGS, env={}, plugins={"echo": hooks_for(INFO, Whole)}) as resolver,
        pytest.raises(ExceptionGroup) as caught,
    ):
        resolver.chain("echo").invoke("hi")
    assert "online: False" in str(caught.value.skipped[0].detail)


@pytest.fixture
def late_module(monkeypatch):
    """Return a module that is imported by its name."""
    module = ModuleType("kickai_echo_late")
    module.Short = Short
    monkeypatch.setitem(sys.modules, "kickai_echo_late", module)
    return module


def test_a_class_can_be_imported_on_first_use(late_module):
    """Discovery then does not pay for the vendor's client."""
    plugin = hooks_for(INFO, "kickai_echo_late:Short", methods=["invoke"])
    with Resolver.from_settings({}, env={}, plugins={"echo": plugin}) as resolver:
        assert resolver.chain("echo").invoke("hi").text == "hi"


def test_functions_need_no_class(late_module):
    """What needs no client does not import it."""
    problem = Problem(path="model", message="none is set")
    plugin = hooks_for(
        INFO,
        "kickai_echo_gone:Short",
        methods=["invoke", "validate"],
        validate=lambda settings, online: [problem] if online else [],
        capabilities=lambda settings: frozenset({Capability.SEED}),
    )
    assert plugin.kickai_validate_provider(settings=None, online=True) == [problem]
    assert plugin.kickai_provider_capabilities(settings=None) == {Capability.SEED}
    with Resolver.from_settings({}, env={}, plugins={"echo": plugin}) as resolver:
        assert resolver.registry.find("echo").validation.find_problems() == ()
    with pytest.raises(ValueError, match="functions must be among validate, capabilities, prepare, got invoke"):
        hooks_for(INFO, Short, invoke=print)


def test_a_function_is_not_marked_as_a_hook():
    """A module may import it and be a plugin itself: the function is not one of its hooks."""

    def find_capabilities(settings, *, model="small"):
        return frozenset({Capability.SEED, model})

    plugin = hooks_for(INFO, Short, capabilities=find_capabilities)
    assert vars(find_capabilities) == {}
    assert plugin.kickai_provider_capabilities(None) == {Capability.SEED, "small"}
    module = ModuleType("kickai_echo_module")
    vars(module).update({name: hook for name, hook in vars(plugin).items() if name.startswith("kickai_")})
    module.find_capabilities = find_capabilities
    with Resolver.from_settings({}, env={}, plugins={"echo": module}) as resolver:
        assert resolver.chain("echo").invoke("hi").text == "hi"


@pytest.mark.parametrize(
    ("name", "methods", "words"),
    [
        ("kickai_echo_late:Short", ["invoke", "stream"], "no method stream"),
        ("kickai_echo_gone:Short", ["invoke"], "kickai_echo_gone cannot be imported"),
    ],
)
def test_a_class_that_is_not_as_described_cannot_be_used(late_module, name, methods, words):
    """The error says what is missing."""
    plugin = hooks_for(INFO, name, methods=methods)
    with pytest.raises(UnusableProviderError, match=words):
        plugin.kickai_create_provider(settings=None)


@pytest.mark.parametrize(
    ("provider_class", "methods", "kind", "words"),
    [
        (object, None, TypeError, "invoke"),
        ("a:B", None, TypeError, "methods is required"),
        (Short, ["invoke", "call"], ValueError, "got call"),
    ],
)
def test_an_unsuitable_class_is_refused(provider_class, methods, kind, words):
    """When the plugin is made."""
    with pytest.raises(kind, match=words):
        hooks_for(INFO, provider_class, methods=methods)


def test_a_plugin_shows_its_name():
    """In logs and test failures."""
    assert repr(hooks_for(INFO, Short)) == "<plugin echo>"


def test_a_plugin_knows_the_module_that_made_it():
    """A plugin belongs to the module that called `hooks_for`, as the tests and the loader of plugins expect."""
    assert hooks_for(INFO, Short).__module__ == __name__
