"""Tools from Python functions, and the docstrings that describe them."""

# ruff: noqa: D103, D205, D417  the docstrings are what is tested

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

import pytest

from kickai_providers_core import ArgumentTypeError, Tool
from kickai_providers_core.values.docstrings import parse_docstring
from kickai_providers_core.values.function_tools import FunctionTool
from kickai_providers_core.values.shapes import MisfitError


def find_players(team: str, *, foot: Literal["left", "right"] = "right", limit: Annotated[int, "At most"] = 5) -> str:
    """Find the players of a team who
    can play.

    They are sorted.

    Args:
        team: The name of the team,
            in full.
        foot (str): The stronger foot.

    Returns:
        Their names: one a line.
    """
    return f"{team} {foot} {limit}"


async def wait(minutes: float) -> None: ...


def test_a_function_becomes_a_tool() -> None:
    """Name, description and schema come from the function itself."""
    assert Tool.from_function(find_players) == Tool(
        name="find_players",
        description="Find the players of a team who can play.",
        parameters={
            "type": "object",
            "properties": {
                "team": {"type": "string", "description": "The name of the team, in full."},
                "foot": {"type": "string", "enum": ["left", "right"], "description": "The stronger foot."},
                "limit": {"type": "integer", "description": "At most"},
            },
            "required": ["team"],
            "additionalProperties": False,
        },
    )


def test_an_asynchronous_function_and_a_method_become_tools() -> None:
    """A bound method is called without ``self``, and a decorated function has the wrapped one's hints."""

    class Team:
        def find(self, name: str) -> str:
            """Find a player."""
            return name

        @functools.wraps(find_players)
        def wrapped(*args: Any, **fields: Any) -> str:
            return find_players(*args, **fields)

    assert Tool.from_function(wait).parameters["required"] == ["minutes"]
    method = Tool.from_function(Team().find)
    assert (method.name, list(method.parameters["properties"])) == ("find", ["name"])
    assert Tool.from_function(Team.wrapped) == Tool.from_function(find_players)


def untyped(x) -> None: ...
def positional(x: int, /) -> None: ...
def starred(*names: str) -> None: ...
def keywords(**names: str) -> None: ...
def opaque(x: complex) -> None: ...
def missing(x: Nothing) -> None: ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (untyped, "the parameter 'x' of untyped has no type hint"),
        (positional, "the parameter 'x' of positional can be given by name only if"),
        (starred, "the parameter 'names' of starred can be given by name only if"),
        (keywords, "the parameter 'names' of keywords can be given by name only if"),
        (opaque, "the type of the parameter 'x' of opaque is not supported: complex"),
        (missing, "the type hints of missing cannot be resolved (name 'Nothing' is not defined)"),
        (lambda: None, "a tool must be a function whose name has 1 to 64 letters, digits, '_' and '-', got '<lambda>'"),
        (functools.partial(find_players), "a tool must be a function with a name, got partial"),
        (Tool, "a tool must be a function with a name, got the class Tool"),
        ("find_players", "a tool must be a function with a name, got str of 12 characters"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused(function: Any, message: str) -> None:
    """The error names the function, the parameter and the reason."""
    with pytest.raises(ArgumentTypeError) as raised:
        Tool.from_function(function)
    assert str(raised.value).startswith(message)


def test_arguments_are_read_for_the_function() -> None:
    """Optional parameters may be absent."""
    made = FunctionTool.from_function(find_players)
    assert made.parse_arguments('{"team": "Reds", "limit": 3}') == {"team": "Reds", "limit": 3}
    assert made.function(**made.parse_arguments('{"team": "Reds"}')) == "Reds right 5"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('{"team": "private', "the value must be valid JSON, got text"),
        ('{"team": NaN}', "the value must be valid JSON, got text"),
        ('{"team": "a", "team": "b"}', "the value must be valid JSON, got text"),
        ("[" * 100_000, "the value must be valid JSON, got text"),
        ("{}", "team must be present, got nothing"),
        ('{"team": 5}', "team must be text, got an integer"),
        ('{"team": "a", "private": 1}', "the value must be an object with no other keys than team, foot, limit"),
        ("[]", "the value must be an object, got an array"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: str, message: str) -> None:
    """The message can be sent to the model."""
    with pytest.raises(MisfitError) as raised:
        FunctionTool.from_function(find_players).parse_arguments(arguments)
    assert str(raised.value).startswith(message)


SPHINX = """Find a player.

:param str team: The name,
    in full.
:param limit: At most.
:returns: A name.
"""
NUMPY = """Find a player.

Parameters
----------
team : str
    The name,
    in full.
limit, other : int, optional
    At most.

Returns
-------
str
    A name.
"""
GOOGLE = """Find a player.

Args:
    team: The name,
        in full.

    limit (int, optional): At most.
    *args: More.
Raises:
    KeyError: Never.
"""


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (None, ("", {})),
        ("Find a player.", ("Find a player.", {})),
        (SPHINX, ("Find a player.", {"team": "The name, in full.", "limit": "At most."})),
        (NUMPY, ("Find a player.", {"team": "The name, in full.", "limit": "At most.", "other": "At most."})),
        (GOOGLE, ("Find a player.", {"team": "The name, in full.", "limit": "At most.", "args": "More."})),
        ("Args:\n    x: One.\nMore", ("", {"x": "One."})),
        (":param x: One.\nAnd: no more.", ("", {"x": "One."})),
    ],
)
def test_docstrings_of_three_styles(docstring: str | None, expected: Any) -> None:
    """The summary is the first paragraph; each style describes parameters in its own form."""
    assert parse_docstring(docstring) == expected
