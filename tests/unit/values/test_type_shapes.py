"""Types and their form in JSON: the schema that goes out, and the object that comes back."""

# ruff: noqa: D101, UP045, PYI061  the types are what is tested

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, Optional, Required, TypedDict, TypeVar

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.values.shapes import MisfitError
from kickai_providers_core.values.type_shapes import find_shape

Minutes = NewType("Minutes", int)
T = TypeVar("T")


class Foot(enum.Enum):
    """A foot."""

    LEFT = "left"
    RIGHT = "right"


class Level(enum.IntEnum):
    """A level."""

    LOW = 1
    HIGH = 2


class Empty(enum.Enum):
    """No member."""


class Odd(enum.Enum):
    """A member that JSON cannot express."""

    PAIR = (1, 2)


@dataclass(frozen=True)
class Player:
    """A player of the team.

    Attributes:
        name: The full name.
        number: The number on
            the shirt.
    """

    name: str
    number: int
    foot: Foot = Foot.RIGHT
    tags: list[str] = field(default_factory=list)
    computed: str = field(init=False, default="x")
    seed: InitVar[int] = 0


@attrs.frozen
class Team:
    name: str
    players: tuple[Player, ...]
    _coach: str | None = None
    size: int = attrs.field(init=False, default=0)


@dataclass
class Plain:
    x: float


class Match(TypedDict):
    home: str
    goals: tuple[int, int]
    note: NotRequired[str]


class Draft(TypedDict, total=False):
    title: Required[str]
    body: str


@dataclass
class Strict:
    share: int

    def __post_init__(self) -> None:
        if self.share > 100:
            raise ValueError(f"private {self.share}")


@dataclass
class Node:
    child: Node | None


@dataclass
class Page(Generic[T]):
    item: T


@attrs.define
class Untyped:
    x = attrs.field()


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 5, 5),
        (float, 5, 5.0),
        (float, 0.5, 0.5),
        (str, "5", "5"),
        (bool, True, True),
        (None, None, None),
        (Any, {"a": [1]}, {"a": [1]}),
        (object, "x", "x"),
        (Minutes, 90, 90),
        (int | None, None, None),
        (Optional[int], 3, 3),
        (float | int, 3, 3),
        (str | list[str], ["a"], ["a"]),
        (Literal["a", 1, None], 1, 1),
        (Literal["a", 1, None], None, None),
        (Foot, "left", Foot.LEFT),
        (Level, 2, Level.HIGH),
        (list, [1, "a"], [1, "a"]),
        (Sequence[int], [1], [1]),
        (Iterable[int], [1], [1]),
        (tuple, [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 2], {1, 2}),
        (AbstractSet[str], ["a"], frozenset({"a"})),
        (dict, {"a": 1}, {"a": 1}),
        (Mapping[str, Foot], {"a": "left"}, {"a": Foot.LEFT}),
        (date, "2030-12-31", date(2030, 12, 31)),
        (datetime, "2030-12-31T10:00:00+00:00", datetime(2030, 12, 31, 10, tzinfo=UTC)),
        (Annotated[int, "minutes", object()], 3, 3),
        (Annotated[int, ["a list cannot be hashed"]], 3, 3),
        (Player, {"name": "Ann", "number": 7, "foot": "left"}, Player("Ann", 7, Foot.LEFT)),
        (
            Team,
            {"name": "Reds", "players": [{"name": "Ann", "number": 7, "tags": ["x"]}], "coach": None},
            Team("Reds", (Player("Ann", 7, tags=["x"]),)),
        ),
        (Match, {"home": "Reds", "goals": [1, 2]}, {"home": "Reds", "goals": (1, 2)}),
        (Draft, {"title": "x"}, {"title": "x"}),
        (list[Match], [], []),
    ],
)
def test_a_value_of_the_right_form_becomes_an_object(hint: Any, value: Any, expected: Any) -> None:
    """The schema is valid, allows the value, and reading the value gives the object with the same types."""
    shape = find_shape(hint, "x")
    jsonschema.Draft202012Validator.check_schema(shape.schema)
    jsonschema.validate(value, dict(shape.schema))
    json.dumps(shape.schema)
    found = shape.read(value, "")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (int, "5", "the value must be an integer, got text"),
        (int, 5.0, "the value must be an integer, got a number"),
        (int, True, "the value must be an integer, got true or false"),
        (float, "5", "the value must be a number, got text"),
        (float, True, "the value must be a number, got true or false"),
        (float, 10**400, "the value must be a number, got an integer"),
        (str, 5, "the value must be text, got an integer"),
        (bool, 1, "the value must be true or false, got an integer"),
        (None, 0, "the value must be null, got an integer"),
        (int | None, "x", "the value must be an integer, got text"),
        (int | bool, "x", "the value must be of one of 2 allowed types, got text"),
        (int | str, None, "the value must be of one of 2 allowed types, got null"),
        (Literal["a", 1], True, "the value must be one of 'a', 1, got true or false"),
        (Literal["a", 1], [], "the value must be one of 'a', 1, got an array"),
        (Foot, "LEFT", "the value must be one of 'left', 'right', got text"),
        (list[int], "12", "the value must be an array, got text"),
        (list[int], [1, "x"], "[1] must be an integer, got text"),
        (tuple[int, str], [1], "the value must be an array of 2, got an array"),
        (set[int], [1, 1], "the value must be an array of different items, got an array"),
        (set[Any], [{}], "the value must be an array of values that can be compared, got an array"),
        (dict[str, int], [], "the value must be an object, got an array"),
        (dict[str, int], {"private": "x"}, "[…] must be an integer, got text"),
        (date, "soon", "the value must be a date in the form 2030-12-31, got text"),
        (datetime, 5, "the value must be a date and time in the form 2030-12-31T23:59:59Z, got an integer"),
        (Player, [], "the value must be an object, got an array"),
        (Player, {"name": "Ann"}, "number must be present, got nothing"),
        (Plain, {"x": 1, "private": 2}, "the value must be an object with no other keys than x, got an object"),
        (
            Team,
            {"name": "Reds", "players": [{"name": "Ann", "number": "7"}]},
            "players[0].number must be an integer, got text",
        ),
        (Match, {"home": "Reds", "goals": [1, None]}, "goals[1] must be an integer, got null"),
        (Draft, {}, "title must be present, got nothing"),
        (list[Strict], [{"share": 101}], "[0] must be what Strict accepts, got an object"),
    ],
)
def test_a_value_of_another_form_is_refused(hint: Any, value: Any, message: str) -> None:
    """Nothing is converted silently, and the message has the path and no part of the value."""
    with pytest.raises(MisfitError) as raised:
        find_shape(hint, "x").read(value, "")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (complex, "the type of x is not supported: complex (JSON has no form for it)"),
        (bytes, "the type of x is not supported: bytes (JSON has no form for it)"),
        (list[complex], "the type of an item of x is not supported: complex"),
        (dict[int, str], "the type of a key of x is not supported: int (the keys of a mapping must be str)"),
        (T, "the type of x is not supported: ~T"),
        (Literal[b"x"], "its values must be text, integers, True, False or None"),
        (Literal[1, True], "JSON does not tell 1 from True"),
        (Empty, "the values of an enumeration must be text or integers"),
        (Odd, "the values of an enumeration must be text or integers"),
        (Node, "the type of Node.child is not supported: Node (it contains itself)"),
        (Page[int], "the type of x is not supported"),
        (Untyped, "the field 'x' of Untyped has no type"),
    ],
)
def test_a_type_without_a_form_is_refused(hint: Any, message: str) -> None:
    """The error names where the type is, the type, and the reason."""
    with pytest.raises(TypeError) as raised:
        find_shape(hint, "x")
    assert message in str(raised.value)


def test_a_type_that_cannot_be_resolved_is_refused() -> None:
    """A class that a function defines cannot refer to another one there by name."""

    @dataclass
    class Outer:
        inner: Inner

    @dataclass
    class Inner:
        x: int

    with pytest.raises(TypeError, match=r"^the type hints of Outer cannot be resolved .*at module level$"):
        find_shape(Outer, "x")


def test_descriptions_come_from_docstrings() -> None:
    """The model reads what the class's docstring says; the signature that dataclasses write is not a description."""
    schema = find_shape(Player, "x").schema
    assert schema["description"] == "A player of the team."
    assert schema["properties"]["number"] == {"type": "integer", "description": "The number on the shirt."}
    assert schema["required"] == ["name", "number"]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["name", "number", "foot", "tags"]
    assert "description" not in find_shape(Plain, "x").schema
    assert find_shape(Annotated[int, "minutes"], "x").schema == {"type": "integer", "description": "minutes"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "players", "number", "foot"]), inner),
    )
)
def test_whatever_is_read_fits_the_schema(value: Any) -> None:
    """A value is read or refused, and what is read keeps to the schema."""
    for hint in (Team, Player, Match, list[int | str], dict[str, float], tuple[int, ...] | None):
        shape = find_shape(hint, "x")
        try:
            shape.read(value, "")
        except MisfitError:
            continue
        jsonschema.validate(value, dict(shape.schema))
