"""Errors whose causes form a cycle, as some vendors' clients raise them: nothing that shows or copies one hangs."""

from __future__ import annotations

import json
import pickle

import pytest
from loguru import logger

from kickai_providers_core import (
    AuthenticationError,
    ChainExhaustedError,
    ProviderInfo,
    Reply,
    Resolver,
    Settings,
    hookimpl,
)


def _cyclic(name: str) -> AuthenticationError:
    """Return an error that is its own cause, by way of another one."""
    error, other = AuthenticationError("refused"), ValueError("inner")
    setattr(error, name, other)
    setattr(other, name, error)
    return error


class Refusing:
    """A provider that raises an error with a cycle, or answers."""

    def __init__(self, name: str, cycle: str | None) -> None:
        self._info = ProviderInfo(name=name, summary="refuses")
        self._cycle = cycle

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe the provider."""
        return self._info

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Create nothing."""
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        """Raise, or answer."""
        if self._cycle is not None:
            raise _cyclic(self._cycle)
        return Reply(text="fine", finish_reason="stop")


@pytest.fixture
def lines():
    """Collect what is logged, with its exceptions."""
    found: list[str] = []
    logger.enable("kickai_providers_core")
    sink = logger.add(found.append, level=0, backtrace=True, diagnose=False)
    yield found
    logger.remove(sink)
    logger.disable("kickai_providers_core")


@pytest.mark.parametrize("cycle", ["__cause__", "__context__"])
def test_a_cycle_of_causes_does_not_prevent_the_fallback(cycle, lines) -> None:
    """The reply explains itself, pickles, and becomes JSON with the failed attempt."""
    plugins = {"bad": Refusing("bad", cycle), "good": Refusing("good", None)}
    with Resolver.from_settings(Settings(), plugins=plugins) as resolver:
        reply = resolver.chain("bad", "good").invoke("x")
    assert "AuthenticationError" in reply.explain()
    assert json.loads(json.dumps(reply.as_dict()))["attempts"][0]["error"] == "AuthenticationError"
    assert pickle.loads(pickle.dumps(reply)).attempts[0].error.message == "refused"
    assert lines


@pytest.mark.parametrize("cycle", ["__cause__", "__context__"])
def test_a_cycle_of_causes_can_end_a_request(cycle, lines) -> None:
    """The error of the whole request explains itself, pickles, and becomes JSON."""
    with Resolver.from_settings(Settings(), plugins={"bad": Refusing("bad", cycle)}) as resolver:
        with pytest.raises(ChainExhaustedError) as caught:
            resolver.chain("bad").invoke("x")
        logger.opt(exception=caught.value).error("it failed")
    assert "AuthenticationError" in caught.value.explain()
    assert json.loads(json.dumps(caught.value.as_dict()))["causes"][0]["message"] == "refused"
    assert pickle.loads(pickle.dumps(caught.value)).exceptions[0].message == "refused"
    assert any("it failed" in line for line in lines)
