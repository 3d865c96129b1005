"""Discovery survives: each fault is one named problem of one plugin, and the others work."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from distributions import GOOD, Environment

if TYPE_CHECKING:
    from pathlib import Path

LOOK = """
    import json
    from kickai_providers_core.plugin_api import discovery
    found = discovery.discover(discovery.find_entry_points())
    print(json.dumps({
        plugin.distribution: [plugin.status, str(plugin.error) if plugin.error else "", type(plugin.error).__name__]
        for plugin in found.plugins if plugin.distribution.startswith("test-")
    }))
"""

FAULTS = {
    "an import that raises": ("raise RuntimeError('no database')", "its import raised RuntimeError: no database"),
    "an import that ends the program": ("import sys; sys.exit(3)", "its import raised SystemExit: 3"),
    "an import of something missing": ("import a_vendor_that_is_missing", "its import raised ModuleNotFoundError"),
    "a description that raises": (
        """
        from kickai_providers_core import hookimpl
        @hookimpl
        def kickai_provider_info():
            raise KeyError("HOME")
        """,
        "kickai_provider_info raised KeyError: 'HOME'",
    ),
    "a description of the wrong type": (
        """
        from kickai_providers_core import hookimpl
        @hookimpl
        def kickai_provider_info():
            return {"name": "x"}
        """,
        "kickai_provider_info returned dict, not a ProviderInfo",
    ),
    "a misspelt hook": (
        GOOD.format(name="bad") + "\n@hookimpl\ndef kickai_invoke_providr(provider, request, timeout_s): ...\n",
        "there is no hook kickai_invoke_providr; did you mean kickai_invoke_provider?",
    ),
    "a wrong argument name": (
        GOOD.format(name="bad").replace("timeout_s", "timeout"),
        "kickai_invoke_provider has no parameter 'timeout'; it has provider, request, timeout_s",
    ),
    "a plugin API from the future": (
        GOOD.format(name="bad").replace('summary="answers"', 'summary="answers", api_version=99'),
        "it needs plugin API 99, but this core has plugin API 1: upgrade kickai-providers-core",
    ),
    "a name that cannot be written in settings": (
        GOOD.format(name="Bad Name"),
        "'Bad Name' is not a valid provider name",
    ),
    "a missing hook": (
        """
        from kickai_providers_core import ProviderInfo, hookimpl
        @hookimpl
        def kickai_provider_info():
            return ProviderInfo(name="bad", summary="")
        """,
        "it does not implement the required hook kickai_create_provider",
    ),
    "settings of the wrong class": (
        GOOD.format(name="bad").replace('summary="answers"', 'summary="answers", settings_class=dict'),
        "its settings_class must be a subclass of ProviderSettings",
    ),
    "no hook at all": ("x = 1", "it implements no hooks"),
    "an answer in another provider's stead": (
        """
        from kickai_providers_core import hookimpl
        @hookimpl
        def kickai_invoke_provider(provider, request, timeout_s):
            return None
        """,
        (
            "it implements kickai_invoke_provider without kickai_provider_info: "
            "only wrappers and implementations with tryfirst=True may do that"
        ),
    ),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which one good plugin is installed."""
    environment = Environment(tmp_path_factory.mktemp("good") / "site")
    environment.install_with_pip("test-good", GOOD.format(name="good"))
    return environment.site


@pytest.fixture
def environment(good: Path, tmp_path: Path) -> Environment:
    """Return an environment for one test, in which one good plugin is installed."""
    return Environment(shutil.copytree(good, tmp_path / "site"))


@pytest.mark.parametrize(("source", "message"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_plugin_is_one_named_problem(environment: Environment, source: str, message: str) -> None:
    """The faulty distribution is named with its fault, and the good plugin is ready."""
    environment.install("test-bad", source)
    found = environment.run(LOOK)
    assert found["test-good"] == ["ready", "", "NoneType"]
    status, error, kind = found["test-bad"]
    assert (status, kind) == ("broken", "PluginLoadError")
    assert error.startswith("plugin test-bad (from test-bad): ")
    assert message in error


def test_an_entry_point_that_names_a_class(environment: Environment) -> None:
    """A class is not an instance, and the problem says what to name instead."""
    environment.install("test-bad", "class Plugin: ...", target="test_bad:Plugin")
    assert (
        "Plugin is a class; the entry point must name a module or an instance" in environment.run(LOOK)["test-bad"][1]
    )


def test_an_entry_point_that_leads_nowhere(environment: Environment) -> None:
    """A module that is not there is an import that raises."""
    environment.install("test-bad", "", target="test_elsewhere")
    assert "its import raised ModuleNotFoundError" in environment.run(LOOK)["test-bad"][1]


def test_two_plugins_with_one_name_are_both_refused(environment: Environment) -> None:
    """Neither may get the other's key; each problem names the rival, and a third plugin works."""
    environment.install("test-one", GOOD.format(name="vendor"), entry_point="vendor")
    environment.install("test-two", GOOD.format(name="vendor"), entry_point="vendor")
    found = environment.run(LOOK)
    assert found["test-good"][0] == "ready"
    for name, rival in (("test-one", "test-two"), ("test-two", "test-one")):
        status, error, kind = found[name]
        assert (status, kind) == ("broken", "DuplicateProviderError")
        assert f"the provider name 'vendor' is also claimed by vendor (from {rival})" in error


def test_a_name_beats_an_alias(environment: Environment) -> None:
    """A plugin that claims another's name as an alias is the broken one."""
    source = GOOD.format(name="other").replace('summary="answers"', 'summary="answers", aliases=("good",)')
    environment.install("test-other", source)
    found = environment.run(LOOK)
    assert found["test-good"][0] == "ready"
    assert "the provider name 'good' is also claimed by test-good" in found["test-other"][1]


def test_a_plugin_that_is_not_allowed_is_not_imported(environment: Environment) -> None:
    """The allow-list names entry points or distributions; the others are only listed."""
    environment.install("test-evil", "import pathlib; pathlib.Path('imported').touch()")
    look = LOOK.replace("find_entry_points())", "find_entry_points(), allowed=['test-good'])")
    found = environment.run(look)
    assert found["test-good"][0] == "ready"
    assert found["test-evil"][0] == "not allowed"
    assert not (environment.site.parent / "imported").exists()


def test_the_environment_names_the_plugins_that_may_load(environment: Environment) -> None:
    """KICKAI_PLUGINS applies to the whole application."""
    environment.install("test-evil", "import pathlib; pathlib.Path('imported').touch()")
    ask = """
        import json
        from kickai_providers_core import Resolver
        with Resolver.from_settings({}) as resolver:
            print(json.dumps(resolver.chain("good").invoke("hi").text))
    """
    assert environment.run(ask, env={"KICKAI_PLUGINS": "test-good"}) == "from good"
    assert not (environment.site.parent / "imported").exists()


def test_of_two_rivals_the_allowed_one_works(environment: Environment) -> None:
    """The allow-list chooses by the name of the distribution."""
    environment.install("test-one", GOOD.format(name="vendor"), entry_point="vendor")
    environment.install("test-two", GOOD.format(name="vendor"), entry_point="vendor")
    found = environment.run(LOOK.replace("find_entry_points())", "find_entry_points(), allowed=['test-two'])"))
    assert found["test-one"][0] == "not allowed"
    assert found["test-two"][0] == "ready"


def test_an_installed_extension_wraps_and_observes_every_call(environment: Environment) -> None:
    """An extension sees each invocation and each event."""
    environment.install(
        "test-tracing",
        """
        from attrs import evolve
        from kickai_providers_core import hookimpl
        seen = []
        @hookimpl(wrapper=True)
        def kickai_invoke_provider(request):
            reply = yield
            return evolve(reply, text=reply.text + ", traced")
        @hookimpl
        def kickai_observe(event):
            seen.append(type(event).__name__)
        """,
    )
    ask = """
        import json, test_tracing
        from kickai_providers_core import Resolver
        with Resolver.from_settings({}) as resolver:
            text = resolver.chain("good").invoke("hi").text
        print(json.dumps([text, test_tracing.seen]))
    """
    text, seen = environment.run(ask)
    assert text == "from good, traced"
    assert seen == ["RequestStarted", "AttemptStarted", "AttemptEnded", "RequestEnded"]
