"""The base of values does what the methods that attrs generates would do."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import field, frozen

from kickai_providers_core import Target
from kickai_providers_core.values.base_value import Value


@frozen(eq=False, repr=False)
class Lean(Value):
    """A value of the base."""

    a: Any
    b: Any = field(default=1, repr=False)
    c: Any = field(default=2, eq=False)
    d: Any = field(default="x", repr=len)


@frozen
class Full:
    """The same with generated methods."""

    a: Any
    b: Any = field(default=1, repr=False)
    c: Any = field(default=2, eq=False)
    d: Any = field(default="x", repr=len)


@frozen(eq=False, repr=False)
class Leaner(Lean):
    """A subclass with another field."""

    e: int = 0


VALUES: list[tuple[Any, ...]] = [
    (1,),
    (1.0,),
    (True,),
    (2,),
    (1, 2),
    (1, 1, 3),
    (1, 1, 2, "y"),
    (None,),
    ("1",),
    (Target("p"),),
]


@pytest.mark.parametrize("one", VALUES)
@pytest.mark.parametrize("other", VALUES)
def test_values_are_compared_and_hashed_as_those_of_attrs(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """By the fields that take part; equal values have the same hash."""
    assert (Lean(*one) == Lean(*other)) is (Full(*one) == Full(*other))
    assert (Lean(*one) != Lean(*other)) is (Full(*one) != Full(*other))
    if Lean(*one) == Lean(*other):
        assert hash(Lean(*one)) == hash(Lean(*other))


@pytest.mark.parametrize("fields", VALUES)
def test_reprs_are_those_of_attrs(fields: tuple[Any, ...]) -> None:
    """With the fields that are shown, and in the way that each field asks for."""
    assert repr(Lean(*fields)) == repr(Full(*fields)).replace("Full", "Lean")


def test_values_of_other_classes_differ() -> None:
    """Also those of a subclass, and what has the same fields."""
    assert Lean(1) != Leaner(1)
    assert Leaner(1) != Lean(1)
    assert Lean(1) != Full(1)
    assert Lean(1) != 1
    assert len({Lean(1), Leaner(1), Lean(1)}) == 2
    assert repr(Leaner(1)) == "Leaner(a=1, c=2, d=1, e=0)"


def test_a_value_with_a_field_that_has_no_hash_has_none() -> None:
    """As with attrs."""
    with pytest.raises(TypeError, match="unhashable type"):
        hash(Lean([]))


def test_a_class_within_a_function_is_shown_by_its_own_name() -> None:
    """Without the function."""

    @frozen(eq=False, repr=False)
    class Inner(Value):
        a: int

    assert repr(Inner(1)) == "Inner(a=1)"
