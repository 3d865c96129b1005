"""The model as an object: its arguments, its facts, copies, and what shows in traces."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import get_type_hints

import pytest
from kickai_providers_core import ArgumentValueError, UnknownProviderError
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField
from pydantic import ValidationError

from kickai_langchain import ChatKickai, IgnoredArgumentWarning


def find_players(day: str) -> str:
    """Find the players of a day."""
    return day


def test_targets_can_be_given_instead_of_a_role(vendors):
    """They are called in their order."""
    made = vendors("Ada", script=("unavailable",))
    model = ChatKickai(targets=["mock:first", "mock:third"], resolver=made.resolver)
    assert (model.invoke("hi").text, made.models) == ("Ada", ["first", "third"])
    assert model.chain.targets == ("mock:first", "mock:third")


def test_wrong_arguments_are_refused(vendors):
    """A typo would have no effect."""
    made = vendors()
    with pytest.raises(ArgumentValueError, match="either a role or targets"):
        ChatKickai("player_coordinator", targets=["mock"], resolver=made.resolver)
    with pytest.raises(ValidationError, match="temprature"):
        made.chat(temprature=0.1)
    with pytest.raises(ValidationError, match="google_api_key") as raised:
        made.chat(google_api_key="sk-secret")
    assert "secret" not in str(raised.value)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        made.chat(temperature=-1)
    with pytest.raises(UnknownProviderError):
        ChatKickai(targets=["nobody"], resolver=made.resolver)


def test_keys_and_retries_have_no_effect_and_that_is_said(vendors):
    """They belong to the providers. A key is not kept."""
    with pytest.warns(
        IgnoredArgumentWarning, match="ignores api_key and max_retries: set it for each provider"
    ) as seen:
        model = ChatKickai(resolver=vendors().resolver, api_key="sk-secret", max_retries=2)
    assert "secret" not in str(seen[0].message)
    assert "secret" not in f"{model!r} {dumps(model)} {model.asdict()}"
    assert seen[0].filename == __file__


def test_the_profile_is_what_every_target_can_do(vendors):
    """LangChain's agents decide by it."""
    profile = vendors().chat().profile
    assert profile is not None
    assert (profile["tool_calling"], profile["structured_output"], profile["image_inputs"]) == (True, True, True)


def test_traces_show_the_role_and_its_values(vendors):
    """Or the model that the call names."""
    model = vendors().chat(stop=["END"])
    assert model._get_ls_params() == {
        "ls_provider": "kickai",
        "ls_model_type": "chat",
        "ls_model_name": "kickai/player_coordinator",
        "ls_temperature": 0.1,
        "ls_max_tokens": 500,
        "ls_stop": ["END"],
    }
    assert model._get_ls_params(model="other", temperature=0.9)["ls_model_name"] == "other"


def test_copies_share_the_chain(vendors):
    """It holds connections."""
    model = vendors().chat()
    assert copy.copy(model).chain is copy.deepcopy(model).chain is model.chain
    assert model.model_copy(update={"temperature": 0.9}).temperature == 0.9
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(model)


def test_langchain_can_read_the_type_hints_of_all_methods():
    """Its ``with_fallbacks`` passes on methods that return runnables."""
    for name, method in inspect.getmembers(ChatKickai, inspect.isfunction):
        if method.__module__.startswith("kickai_langchain"):
            assert "return" in get_type_hints(method) or name in {"stream_events", "astream_events"}


def test_it_can_be_a_part_of_langchains_own_fallbacks(vendors):
    """For example in front of a chain of another resolver."""
    made = vendors()
    first = ChatKickai(targets=["mock:unavailable"], resolver=made.resolver)
    second = ChatKickai(targets=["mock:second"], resolver=made.resolver)
    both = first.with_fallbacks([second]).bind_tools([find_players])
    assert both.invoke("hi").response_metadata["model_name"] == "second"
    assert made.models == ["unavailable", "second"]
    assert [tool.name for tool in made.request.tools] == ["find_players"]


def test_a_config_can_change_fields(vendors):
    """The resolver stays the same."""
    made = vendors()
    model = made.chat().configurable_fields(temperature=ConfigurableField(id="temperature"))
    model.invoke("hi", {"configurable": {"temperature": 0.9}})
    assert made.request.temperature == 0.9


def test_langchains_cache_tells_models_apart(vendors):
    """By role, targets and fields, but not by the key of a rollout."""
    made, cache = vendors(), InMemoryCache()
    warm = made.chat(cache=cache)
    warm.invoke("hi", key="ada")
    warm.invoke("hi", key="bo")
    assert len(made.calls) == 1
    made.chat(cache=cache, temperature=0.9).invoke("hi")
    ChatKickai(targets=["mock:second"], resolver=made.resolver, cache=cache).invoke("hi")
    assert len(made.calls) == 3


def test_tokens_are_estimated(vendors):
    """LangChain would download a tokenizer."""
    model = vendors().chat()
    assert model.get_num_tokens("12345678 ") == 3
    image = HumanMessage([{"type": "image", "base64": "aGk=" * 10_000, "mime_type": "image/png"}])
    assert 0 < model.get_num_tokens_from_messages([image]) < 1000
    assert model.get_num_tokens_from_messages([image], [find_players]) > model.get_num_tokens_from_messages([image])


def test_the_resolver_of_the_process_is_the_default(tmp_path, monkeypatch):
    """It is created once, from the settings in the working directory."""
    (tmp_path / "kickai.toml").write_text(
        '[kickai]\nprimary = "mock"\nfallback = []\n[providers.mock]\nreply = "Ada"\n'
    )
    monkeypatch.chdir(tmp_path)
    first, second = ChatKickai(), ChatKickai("team_manager")
    assert first.invoke("hi").text == second.invoke("hi").text == "Ada"
