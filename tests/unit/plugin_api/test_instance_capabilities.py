"""What an instance can do, as its plugin's hook says it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kickai_providers_core import Capability, ProviderInfo, ProviderSettings, hookimpl
from kickai_providers_core.plugin_api.discovery import discover
from kickai_providers_core.plugin_api.registry import Registry

TOOLS = frozenset({Capability.TOOLS})
JSON = frozenset({Capability.JSON_SCHEMA})


class Panic(BaseException):
    """An exception that is no `Exception`, and cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError


def fail(error: BaseException) -> Any:
    """Raise an exception."""
    raise error


ANSWERS = {
    "less than the plugin": (lambda: JSON, JSON, ""),
    "nothing": (frozenset, frozenset(), ""),
    "unknown": (lambda: None, TOOLS, ""),
    "an unknown name and a known one": (lambda: {"json_schema", "telepathy"}, JSON, "'telepathy', which is no"),
    "no set": (lambda: 7, TOOLS, "a value of type int"),
    "an exception": (lambda: fail(KeyError("x")), TOOLS, "raised KeyError"),
    "the end of the program": (lambda: fail(SystemExit(3)), TOOLS, "raised SystemExit"),
    "an exception that cannot be shown": (lambda: fail(Panic()), TOOLS, "raised Panic"),
    "too late": (lambda: time.sleep(1), TOOLS, "did not return within 50 ms"),
}


@pytest.mark.parametrize(("answer", "expected", "fault"), ANSWERS.values(), ids=ANSWERS)
def test_an_instance_can_do_less_than_its_plugin(answer: Any, expected: frozenset[Capability], fault: str) -> None:
    """What the hook returns counts; otherwise the plugin's own, and what is wrong is one problem."""

    class Plugin:
        @hookimpl
        def kickai_provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="x", summary="", capabilities=TOOLS)

        @hookimpl
        def kickai_create_provider(self) -> object:
            return self

        @hookimpl
        def kickai_invoke_provider(self) -> None:
            return None

        @hookimpl
        def kickai_provider_capabilities(self, settings: ProviderSettings, model: str | None) -> Any:
            assert isinstance(settings, ProviderSettings)
            return answer()

    instance = Registry(discover((), given={"x": Plugin()}), {}).find("x")
    assert instance is not None
    assert instance.get_capabilities("m") == expected
    assert [fault in str(problem) for problem in instance.find_capability_problems()] == ([True] if fault else [])
