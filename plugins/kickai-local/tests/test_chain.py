"""The model as the last target of a chain, when every service is down."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import fields
from kickai_providers_core import (
    Capability,
    ChatRequest,
    Outcome,
    ProviderInfo,
    ProviderUnavailableError,
    Resolver,
    SkipReason,
    Tool,
    hookimpl,
)

from kickai_local.settings import LocalSettings

ECHO = "Repeat exactly: KICKAI-42"
LOCAL = {"context_window": 512, "max_tokens": 16, "timeout_s": 60.0}

llama = pytest.mark.llama


class Away:
    """A service that is down."""

    @hookimpl
    def kickai_provider_info(self):
        """Describe it."""
        return ProviderInfo(name="away", summary="Down.", capabilities=frozenset({Capability.TOOLS}))

    @hookimpl
    def kickai_create_provider(self, settings):
        """Create it."""
        return self

    @hookimpl
    def kickai_invoke_provider(self, provider, request, timeout_s):
        """Fail."""
        raise ProviderUnavailableError("down")


@pytest.fixture
def resolver():
    """Return a resolver with a service that is down and the local model."""
    settings = {"kickai": {"deadline_s": 60.0}, "providers": {"local": LOCAL, "away": {"kind": "away", "retries": 0}}}
    with Resolver.from_settings(settings, env={}, plugins={"away": Away()}) as resolver:
        yield resolver


@llama
def test_it_answers_when_the_service_is_down(resolver):
    """A chain falls back to the model on the machine, and its reply lists the attempts."""
    reply = resolver.chain("away", "local", temperature=0.0).invoke(ECHO)
    assert (reply.text, reply.provider, reply.fell_back) == ("KICKAI-42", "local", True)
    assert reply.model == "SmolLM2-135M-Instruct.Q4_1"
    assert [attempt.outcome for attempt in reply.attempts] == [Outcome.ERROR, Outcome.SUCCESS]


@llama
def test_it_answers_in_every_mode(resolver):
    """Sync, async and both streams go through the chain to the model."""
    chain = resolver.chain("away", "local", temperature=0.0)

    async def both():
        pieces = [chunk.text async for chunk in chain.astream(ECHO)]
        return (await chain.ainvoke(ECHO)).text, "".join(pieces)

    assert asyncio.run(both()) == ("KICKAI-42", "KICKAI-42")
    assert "".join(chunk.text for chunk in chain.stream(ECHO)) == "KICKAI-42"


@llama
def test_it_is_skipped_for_what_it_cannot_do(resolver):
    """A request with tools is not sent to the model, and the error says why."""
    request = ChatRequest(messages=ChatRequest.of(ECHO).messages, tools=(Tool(name="players"),))
    with pytest.raises(ExceptionGroup) as caught:
        resolver.chain("away", "local").invoke(request)
    assert [skip.reason for skip in caught.value.skipped] == [SkipReason.INCAPABLE]


@llama
def test_a_process_that_died_does_not_fail_the_next_request(resolver):
    """When the model's process has died since the last answer, the next one comes from a new process."""
    chain = resolver.chain("local", temperature=0.0)
    assert chain.invoke(ECHO).text
    runtime = resolver.registry.find("local")._creation.get(60.0)._runtime
    stream = chain.stream(ECHO)
    os.kill(runtime._process._child.pid, signal.SIGKILL)
    assert "".join(chunk.text for chunk in stream) == "KICKAI-42"


def test_a_missing_model_is_not_configured(tmp_path):
    """Without its file the model is skipped as not configured, and the error names the file."""
    settings = {"providers": {"local": {"model_path": str(tmp_path / "gone.gguf")}}}
    with Resolver.from_settings(settings, env={}) as resolver, pytest.raises(ExceptionGroup) as caught:
        resolver.chain("local").invoke(ECHO)
    (skip,) = caught.value.skipped
    assert skip.reason is SkipReason.NOT_CONFIGURED
    assert "gone.gguf" in skip.detail


def test_the_environment_names_a_model(tmp_path):
    """The variable that the plugin reads fills in the path."""
    with Resolver.from_settings({}, env={"KICKAI_LOCAL_MODEL": "/of/mine.gguf"}) as resolver:
        assert resolver.registry.find("local").settings.model_path == "/of/mine.gguf"


@llama
def test_an_application_sees_the_answer_alone():
    """A program that prints the answer writes nothing else, to any stream."""
    script = f"""
from kickai_providers_core import Resolver
with Resolver.from_settings({{"providers": {{"local": {LOCAL!r}}}}}, env={{}}) as resolver:
    print(resolver.chain("local", temperature=0.0).invoke({ECHO!r}))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("KICKAI-42\n", "")


@llama
def test_the_readme_says_what_happens(tmp_path):
    """The example of the README, run in an empty folder, prints what the README shows."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", readme, re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == (shown, "")


def test_the_readme_names_every_setting():
    """The table of the README has the settings of this plugin, with their defaults."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    own = {field.name: field.default for field in fields(LocalSettings) if not field.inherited}
    shown_settings = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", readme, re.MULTILINE))
    assert set(shown_settings) == set(own)
    for name, default in own.items():
        shown = "the small model" if default is None else str(default).lower() if default is False else f"{default:g}"
        assert shown_settings[name].startswith(shown), name
