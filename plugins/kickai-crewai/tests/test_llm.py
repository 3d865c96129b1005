"""The LLM object: its arguments, what CrewAI learns from it, and its form as a mapping."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest
from crewai import LLM
from crews import agent_with
from kickai_providers_core import ArgumentValueError, Capability
from pydantic import BaseModel, ValidationError

from kickai_crewai import KickaiLLM


def test_a_role_names_the_model(vendors):
    """CrewAI must not take it for a model of OpenAI."""
    llm = vendors().llm("player_coordinator")
    assert (llm.model, llm.provider, llm.role) == ("kickai/player_coordinator", "kickai", "player_coordinator")
    assert llm.chain.role == "player_coordinator"


def test_without_a_role_the_default_chain_is_called(vendors, call):
    """It is the chain of the primary and the fallback."""
    made = vendors("hi")
    llm = made.llm(None)
    assert (llm.model, llm.chain.targets) == ("kickai/default", ("mock",))
    assert call(llm, "hi") == "hi"


def test_any_chain_may_be_called(vendors, call):
    """For targets that no role names."""
    made = vendors("hi")
    llm = KickaiLLM(chain=made.resolver.chain("mock:x"))
    assert (llm.model, call(llm, "hi"), made.calls[0].model) == ("kickai/chain", "hi", "x")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"api_key": "k", "base_url": "u"}, "does not take api_key, base_url: set it in the settings of a provider"),
        ({"n": 2}, "does not take n"),
        ({"frequency_penalty": 0.1}, "does not take frequency_penalty"),
        ({"temprature": 0.1}, "does not take temprature"),
        ({"model": "gpt-4"}, "takes a role, not the model 'gpt-4'"),
        ({"chain": "c"}, "either a chain, or a role and its resolver"),
    ],
)
def test_an_argument_without_effect_is_refused(vendors, fields, words):
    """A typo would otherwise change nothing."""
    with pytest.raises(ArgumentValueError, match=words):
        vendors().llm(**fields)


@pytest.mark.parametrize("fields", [{"deadline_s": 0}, {"stream_mode": "restart"}, {"context_window": -1}])
def test_a_wrong_value_is_refused(vendors, fields):
    """CrewAI's LLMs are pydantic models, and so are the errors about their fields."""
    with pytest.raises(ValidationError, match=next(iter(fields))):
        vendors().llm(**fields)


def test_capabilities_are_those_of_every_target(vendors):
    """A request that only some targets can serve could not fall back to the others."""
    assert vendors().llm().chain.capabilities == frozenset(Capability)
    without = vendors(without_tools=True).llm()
    assert [without.supports_function_calling(), without.supports_multimodal()] == [False, False]


def test_the_context_window_is_the_smallest_targets(vendors):
    """Less a reserve of 15 %, as CrewAI's own LLMs report it."""
    assert vendors(context_window=10_000).llm().get_context_window_size() == 8500
    assert vendors(context_window=10_000).llm(context_window=2000).get_context_window_size() == 1700
    assert vendors().llm().get_context_window_size() == int(131_072 * 0.85)


def test_counting_tokens_is_cheap_and_silent(vendors, caplog):
    """CrewAI's own estimate logs a warning at each call, and leaves out tools."""

    class Squad(BaseModel):
        """Players."""

        players: list[str]

    caplog.set_level(logging.DEBUG)
    llm = vendors().llm()
    assert llm.get_input_tokens_count("x" * 400) == 104
    parts = [{"type": "text", "text": "x" * 40}, {"type": "image_url", "image_url": {"url": "y" * 1000}}]
    calls = [{"id": "c1", "function": {"name": "f", "arguments": "z" * 400}}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": None, "tool_calls": calls}]
    plain = llm.get_input_tokens_count(messages)
    assert 110 < plain < 150
    assert llm.get_input_tokens_count(messages, [{"function": {"description": "w" * 400}}]) > plain + 100
    assert llm.get_input_tokens_count(messages, response_model=Squad) > plain + 10
    assert caplog.records == []


def test_the_events_show_the_token_limit_that_applies(vendors):
    """The LLM's own, or the role's."""
    assert vendors().llm()._effective_max_tokens() == 500
    assert vendors().llm(max_tokens=7)._effective_max_tokens() == 7


def test_the_config_builds_an_equal_llm(vendors):
    """It is JSON, and needs a resolver again."""
    made = vendors()
    llm = made.llm(temperature=0.5, max_tokens=9, stop=["END"], deadline_s=3.0, native_tools=False, stream=True)
    config = llm.to_config_dict()
    assert json.loads(json.dumps(config)) == config
    again = KickaiLLM(**config, resolver=made.resolver)
    assert again.to_config_dict() == config
    assert config["model"] == "kickai/player_coordinator"


def test_crewais_own_llm_refuses_the_config(vendors):
    """It does not become a model of OpenAI by accident."""
    with pytest.raises(ImportError, match="kickai/player_coordinator"):
        LLM(**vendors().llm().to_config_dict())


def test_a_dumped_agent_does_not_contain_the_chain(vendors):
    """Neither settings nor keys are part of it."""
    dumped = agent_with(vendors().llm()).model_dump(mode="json")["llm"]
    assert (dumped["model"], dumped["role"]) == ("kickai/player_coordinator", "player_coordinator")
    assert not [key for key in dumped if "chain" in key or "resolver" in key]


PROGRAM = """
from threading import Thread
from kickai_crewai import KickaiLLM
llms = []
threads = [Thread(target=lambda: llms.append(KickaiLLM("team_manager"))) for _ in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(llms[0].call("hi"), len({id(llm.chain._starter.context.portal) for llm in llms}))
"""


def test_without_a_resolver_the_settings_of_the_application_are_used(tmp_path):
    """All LLMs of a process share one resolver, which reads ``kickai.toml`` and is closed at exit."""
    (tmp_path / "kickai.toml").write_text(
        '[kickai]\nprimary = "mock"\nfallback = []\n[providers.mock]\nreply = "from file"'
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("from file 1", "")
