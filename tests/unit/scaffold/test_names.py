"""The names that a new provider can have."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.plugin_api.inspection import PLUGIN_NAME
from kickai_providers_core.scaffold.names import MAX_LENGTH, check_name, find_taken_names


@pytest.mark.parametrize("name", ["x", "osprey", "osprey-2", "a1-b2-c3", "a" * MAX_LENGTH])
def test_these_names_are_possible(name):
    """There is no problem with them."""
    assert check_name(name, {}) == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "'' must be lower-case letters, digits and single hyphens, and begin with a letter"),
        ("Osprey", "'Osprey' must be lower-case letters, … and begin with a letter, for example osprey"),
        ("my_llm", "'my_llm' must be lower-case letters, … and begin with a letter, for example my-llm"),
        ("a--b", "'a--b' must be lower-case letters, … and begin with a letter, for example a-b"),
        ("2fast", "'2fast' must be lower-case letters, … and begin with a letter, for example fast"),
        ("../etc", "'../etc' must be lower-case letters, … and begin with a letter, for example etc"),
        ("osprey\n", "'osprey\\n' must be lower-case letters, … and begin with a letter, for example osprey"),
        ("é", "'é' must be lower-case letters, digits and single hyphens, and begin with a letter"),
        ("kickai-x", "'kickai-x' must be the name of the provider: leave out 'kickai-', … gets anyway"),
        ("none", "'none' must not be a keyword of Python with a capital letter: the class has that name"),
        ("a" * 33, f"'{'a' * 33}' must have at most 32 characters, and has 33"),
        ("mock", "'mock' is taken by the installed distribution kickai-mock: choose another one"),
    ],
)
def test_a_problem_says_what_to_change(name, message):
    """The message quotes the name, and suggests another one where it can."""
    pattern = ".*".join(map(re.escape, message.split("…")))
    assert re.fullmatch(pattern, check_name(name, {"mock": "kickai-mock"}))


@given(st.text(max_size=40))
def test_a_possible_name_is_one_of_the_plugin_api(name):
    """It also makes a valid package and class."""
    if not check_name(name, {}):
        assert PLUGIN_NAME.fullmatch(name)
        assert f"kickai_{name.replace('-', '_')}".isidentifier()
        assert name.title().replace("-", "").isidentifier()


def test_the_names_of_installed_plugins_are_taken():
    """Names, aliases, entry points and distributions count."""
    pytest.importorskip("kickai_mock")
    taken = find_taken_names("mock", 5.0)
    assert taken["mock"] == taken["fake"] == "kickai-mock"
    assert find_taken_names("providers-core", 5.0)["providers-core"] == "kickai-providers-core"
