"""Structuring: strict, complete, and with clear messages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import define, field, frozen
from attrs.validators import ge, gt, in_, le, lt, optional

from kickai_providers_core import Secret, Target
from kickai_providers_core.config.descriptions import (
    describe_bounds,
    describe_hint,
    describe_kind,
    describe_value,
    format_path,
    join_options,
    suggest_name,
)
from kickai_providers_core.config.problems import StructuringError, Violation
from kickai_providers_core.config.structuring import build_converter, structure_table
from kickai_providers_core.config.value_hooks import EnvironmentText


class Level(IntEnum):
    """An enum of numbers."""

    LOW = 1
    HIGH = 2


class Mode(Enum):
    """An enum of several types."""

    OFF = False
    AUTO = "auto"


@frozen(kw_only=True)
class Inner:
    """A nested table."""

    size: int = 1
    name: str = "inner"


@frozen(kw_only=True)
class Outer:
    """A table with nested tables."""

    inner: Inner = field(factory=lambda: Inner(size=5))
    other: Inner | None = None
    many: tuple[Inner, ...] = ()
    _hidden: int = 0
    fixed: int = field(default=0, init=False)
    stamped: str = field(default="", converter=str.upper)


def structure(value, hint):
    """Return a value as a type."""
    return build_converter(lambda reference: Secret(reference["env"])).structure(value, hint)


def find_violations(value, hint):
    """Return the violations of a value that is not of a type."""
    with pytest.raises(StructuringError) as caught:
        structure(value, hint)
    return [(format_path(violation.path), violation.message) for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("a", str, "a"),
        (EnvironmentText(" a "), str, "a"),
        (True, bool, True),
        (EnvironmentText("ON"), bool, True),
        (EnvironmentText("0"), bool, False),
        (2, int, 2),
        (EnvironmentText(" 2 "), int, 2),
        (2, float, 2.0),
        (2.5, float, 2.5),
        (EnvironmentText("2.5"), float, 2.5),
        (None, int | None, None),
        (3, int | None, 3),
        ("b", Literal["a", "b"], "b"),
        (1, Literal[True, 1], 1),
        (EnvironmentText("true"), Literal[True, "a"], True),
        (2, Level, Level.HIGH),
        (Level.LOW, Level, Level.LOW),
        (False, Mode, Mode.OFF),
        ([1, 2], tuple[int, ...], (1, 2)),
        ((1, 2), list[int], [1, 2]),
        ([1, 1], frozenset[int], frozenset({1})),
        ([1, "a"], tuple[int, str], (1, "a")),
        (["a"], Sequence[str], ("a",)),
        (EnvironmentText(""), tuple[str, ...], ()),
        (EnvironmentText("1, 2"), tuple[int, ...], (1, 2)),
        ({"a": [1]}, Mapping[str, tuple[int, ...]], {"a": (1,)}),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ("x", int | str, "x"),
        (EnvironmentText("5"), int | str, 5),
        ("g:m:1", Target, Target("g", "m:1")),
        (Target("g"), Target, Target("g")),
        (" key\n", Secret, Secret("key")),
        ({"env": "v"}, Secret | None, Secret("v")),
        ([{"env": "v"}, "w"], tuple[Secret, ...], (Secret("v"), Secret("w"))),
        ({"size": 2}, Inner, Inner(size=2)),
        (Inner(size=3), Inner, Inner(size=3)),
        ({"inner": {"name": "n"}}, Outer, Outer(inner=Inner(size=5, name="n"))),
        ({"other": {"name": "n"}}, Outer, Outer(other=Inner(size=1, name="n"))),
        ({"many": [{"size": 2}]}, Outer, Outer(many=(Inner(size=2),))),
        ({"hidden": 4, "stamped": "a"}, Outer, Outer(hidden=4, stamped="A")),
        ({"x": object}, Any, {"x": object}),
        ("a/b", Path, Path("a/b")),
    ],
)
def test_valid_values_are_accepted(value, hint, expected):
    """The result has exactly the given type."""
    result = structure(value, hint)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        (None, str, "must be a string, got None"),
        (1, str, "must be a string, got 1"),
        ("false", bool, "must be true or false, got 'false'"),
        (1, bool, "must be true or false, got 1"),
        (None, bool, "must be true or false, got None"),
        (EnvironmentText("2"), bool, "must be true or false, got '2'"),
        (2.9, int, "must be an integer, got 2.9"),
        (2.0, int, "must be an integer, got 2.0"),
        (True, int, "must be an integer, got true"),
        ("2", int, "must be an integer, got '2'"),
        (EnvironmentText("2.0"), int, "must be an integer, got '2.0'"),
        (10**400, int, "must be an integer, got a very large number"),
        (10**400, float, "must be a number, got a very large number"),
        (float("inf"), float, "must be a finite number, got inf"),
        (EnvironmentText("nan"), float, "must be a number, got 'nan'"),
        (True, float, "must be a number, got true"),
        (None, float, "must be a number, got None"),
        (True, Literal[1, "a"], "must be 1 or 'a', got true"),
        (EnvironmentText("c"), Literal["a"], "must be 'a', got 'c'"),
        (3, Level, "must be 1 or 2, got 3"),
        ("a", tuple[str, ...], "must be an array, got 'a'"),
        ({"a": 1}, tuple[str, ...], "must be an array, got a table"),
        ([1], tuple[int, int], "must be an array of 2 items, got 1 item"),
        ([], Mapping[str, int], "must be a table, got an empty array"),
        (None, int | str, "must be an integer or a string, got None"),
        ("sk-canary", tuple[Secret, ...], "must be an array, got a string"),
        ("sk-canary", Mapping[str, Secret], "must be a table, got a string"),
        (("sk-canary",), int | Secret, f"must be an integer or {describe_hint(Secret)}, got an array"),
        (dt.date(2026, 1, 1), str, "must be a string, got a date or time"),
        (object(), str, "must be a string, got a value of type object"),
        ("x" * 33, int, "must be an integer, got a string of 33 characters"),
        ("", Target, "must be 'instance' or 'instance:model', got ''"),
        ("x", Inner, "must be a table, got a string"),
    ],
)
def test_invalid_values_are_reported(value, hint, message):
    """Nothing is coerced, and neither long text nor a possible secret is quoted."""
    assert find_violations(value, hint) == [("", message)]


def test_a_message_names_a_type_of_a_plugin():
    """It does not contain what cattrs or the type itself raise."""
    assert find_violations({"a": 3}, Mapping[str, Path]) == [("a", "must be a value of type Path, got 3")]


def test_every_violation_has_its_path():
    """All are reported, in arrays, tables and classes."""
    value = {"many": [{"size": "a"}, {"sze": 1}], "inner": {"size": 1.5, 3: 4}, "fixed": 1, "hidden": None}
    assert find_violations(value, Outer) == [
        ("many[0].size", "must be an integer, got 'a'"),
        ("many[1].sze", "unknown key (allowed: size, name)"),
        ("inner.size", "must be an integer, got 1.5"),
        ("inner.3", "unknown key (allowed: size, name)"),
        ("hidden", "must be an integer, got None"),
        ("fixed", "unknown key (allowed: inner, other, many, hidden, stamped)"),
    ]


def test_a_missing_field_is_reported_with_its_bounds():
    """A field without a default is required."""

    @frozen(kw_only=True)
    class Needy:
        size: int = field(validator=ge(3))
        mode: Mode = field()
        word: Literal["a", "b"] | None = field()
        name: str = ""

    assert find_violations({}, Needy) == [
        ("size", "missing (must be an integer of at least 3)"),
        ("mode", "missing (must be false or 'auto')"),
        ("word", "missing (must be 'a' or 'b')"),
    ]


def test_a_class_may_validate_several_fields_together():
    """The violation is that of the whole table, with the message of the class."""

    @frozen(kw_only=True)
    class Window:
        start: int = 0
        end: int = field(default=1)

        @end.validator
        def _after(self, _attribute, value):
            if value <= self.start:
                message = "the end is after the start"
                raise ValueError(message)

        def __attrs_post_init__(self):
            if self.start == 7:
                raise KeyError

    assert structure({"start": 1, "end": 2}, Window) == Window(start=1, end=2)
    assert find_violations({"start": 3, "end": 2}, Window) == [
        ("", "invalid combination of fields: the end is after the start")
    ]
    assert find_violations({"start": 7, "end": 9}, Window) == [
        ("", "invalid combination of fields: KeyError was raised")
    ]


def test_a_default_that_depends_on_other_fields_is_no_base_for_a_nested_table():
    """It is not known before the instance exists."""

    @define(kw_only=True)
    class Computed:
        size: int = 2
        inner: Inner = field()

        @inner.default
        def _of_size(self):
            return Inner(size=self.size)

    assert structure({"inner": {"name": "n"}}, Computed).inner == Inner(size=1, name="n")
    assert structure({}, Computed).inner == Inner(size=2)


@pytest.mark.parametrize(
    ("validator", "bounds"),
    [
        (None, ""),
        (in_([1]), ""),
        (ge(1), "of at least 1"),
        (gt(1), "greater than 1"),
        (le(1.5), "of at most 1.5"),
        (lt(2), "less than 2"),
        ([le(2), ge(0)], "between 0 and 2"),
        ([gt(0), le(1)], "greater than 0 and at most 1"),
        (optional([gt(0), lt(1)]), "greater than 0 and less than 1"),
        ([ge(0), lt(1)], "of at least 0 and less than 1"),
    ],
)
def test_the_bounds_of_validators_are_described(validator, bounds):
    """This includes wrapped and combined validators."""

    @frozen
    class Bounded:
        value: float = field(default=0.5, validator=validator)

    assert describe_bounds(Bounded.__attrs_attrs__[0]) == bounds


@pytest.mark.parametrize(
    ("table", "expected", "faults"),
    [
        ({"size": 2}, Inner(size=2), 0),
        ({"size": "x", "name": "n"}, Inner(name="n"), 1),
        ({"sze": 2, "name": 3}, Inner(), 2),
        ("x", Inner(), 1),
    ],
)
def test_invalid_values_are_left_out(table, expected, faults):
    """The rest is structured, so that it can be checked as well."""
    value, violations = structure_table(build_converter(lambda _: Secret("")), table, Inner)
    assert value == expected
    assert len(violations) == faults


def test_an_array_with_an_invalid_item_is_left_out():
    """Other fields stay."""
    table = {"many": [{"size": 2}, {"size": "x"}], "inner": {"size": "x", "name": "n"}, "hidden": 3}
    value, violations = structure_table(build_converter(lambda _: Secret("")), table, Outer)
    assert value == Outer(inner=Inner(size=5, name="n"), hidden=3)
    assert [format_path(violation.path) for violation in violations] == ["many[1].size", "inner.size"]


def test_a_class_that_rejects_every_table_has_no_result():
    """The result is None, and the violation is reported once."""

    @frozen(kw_only=True)
    class Never:
        size: int = 0

        def __attrs_post_init__(self):
            message = "never"
            raise ValueError(message)

    value, violations = structure_table(build_converter(lambda _: Secret("")), {"size": 1}, Never)
    assert value is None
    assert violations == (Violation((), "invalid combination of fields: never"),)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a", "b-c", 1, "d"), "a.b-c[1].d"),
        (("a b", "", 'q"\n\x1b'), '"a b"."".' + r'"q\"\n\u001b"'),
        ((0,), "[0]"),
    ],
)
def test_a_path_is_formatted_as_in_toml(path, text):
    """Keys are quoted where TOML quotes them, and control characters are escaped."""
    assert format_path(path) == text


def test_values_and_names_are_described():
    """Kinds of values, lists of names, and the nearest name."""
    assert [describe_kind(value) for value in (True, 1.5, "a", {}, (), [1], None)] == [
        "a boolean",
        "a number",
        "a string",
        "a table",
        "an empty array",
        "an array",
        "None",
    ]
    assert [describe_value(value) for value in (-3, 2.5, True)] == ["-3", "2.5", "true"]
    assert [join_options(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "nothing",
        "a",
        "a or b",
        "a, b or c",
    ]
    assert suggest_name("Gemni", ["mock", "gemini"]) == "Did you mean 'gemini'?"
    assert suggest_name("xyzzy", ["mock", "gemini"]) == ""
