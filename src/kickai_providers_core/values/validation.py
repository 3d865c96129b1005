"""Validators and converters for the fields of public values.

Each error is one sentence that names the field, the expected value and the given one. A wrong type is a `TypeError`,
and a wrong value a `ValueError`. Text that may belong to a prompt or an answer is never quoted: the message contains
its type and length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from math import isfinite
from typing import Any, NoReturn, TypeVar

from attrs import Attribute, frozen

from kickai_providers_core.values.base_errors import ArgumentTypeError, ArgumentValueError
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.plain_text import clean_text, format_count
from kickai_providers_core.values.text_length_limits import QUOTE_LIMIT

__all__ = [
    "Boolean",
    "InstanceOf",
    "Number",
    "OneOf",
    "Text",
    "convert_to_tuple",
    "copy_json_object",
    "describe_type",
    "hide_arguments",
    "hide_constructor_arguments",
    "quote",
    "quote_with_type",
    "raise_argument_error",
    "raise_type_error",
    "raise_value_error",
    "require_all",
    "require_text",
]

T = TypeVar("T")
Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])

MAX_DEPTH = 64
"""The maximum nesting of a JSON schema, which also catches values that contain themselves."""


def quote(value: object) -> str:
    """Return a value as error messages quote it; a value that is neither text nor a number is described by its type."""
    if isinstance(value, str | int | float | None):
        if isinstance(value, int) and value.bit_length() > 4 * QUOTE_LIMIT:
            return f"an integer of {value.bit_length()} bits"
        text = repr(value)
        return text if len(text) <= QUOTE_LIMIT else f"{text[:QUOTE_LIMIT]}…"
    return describe_type(value)


def quote_with_type(value: object) -> str:
    """Return a value as `quote` does, followed by its type: ``'5' (str)``."""
    is_plain = isinstance(value, str | int | float)
    return f"{quote(value)} ({type(value).__name__})" if is_plain else quote(value)


def describe_type(value: object) -> str:
    """Return the type and the length of a value that may contain a prompt."""
    if isinstance(value, str):
        return f"{type(value).__name__} of {format_count(len(value), 'character')}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else type(value).__name__


def raise_type_error(where: str, expected: str, value: str) -> NoReturn:
    """Raise a `TypeError` for a value, which `quote` or `describe_type` has formatted."""
    message = f"{where} must be {expected}, got {value}"
    raise TypeError(message)


def raise_value_error(where: str, expected: str, value: str) -> NoReturn:
    """Raise a `ValueError` for a value, which `quote` or `describe_type` has formatted."""
    message = f"{where} must be {expected}, got {value}"
    raise ValueError(message)


def raise_argument_error(where: str, expected: str, value: str) -> NoReturn:
    """Raise an `ArgumentTypeError` for an argument, which `quote` or `describe_type` has formatted."""
    message = f"{where} must be {expected}, got {value}"
    raise ArgumentTypeError(message)


def hide_arguments(function: Function) -> Function:
    """Decorate a function to raise its TypeErrors and ValueErrors as `ArgumentTypeError` and `ArgumentValueError`.

    The new error is raised from a frame without the arguments: loggers and crash reporters show the local variables of
    each frame of a traceback, and those of a constructor may contain the prompt.
    """

    @wraps(function)
    def call(*args: Any, **fields: Any) -> Any:
        kind: type[ArgumentTypeError | ArgumentValueError]
        try:
            return function(*args, **fields)
        except TypeError as error:
            kind, message = ArgumentTypeError, str(error)
        except ValueError as error:
            kind, message = ArgumentValueError, str(error)
        del args, fields
        raise kind(message)

    return call  # type: ignore[return-value]  # it has the same signature


def hide_constructor_arguments(cls: Class) -> Class:
    """Decorate a class with `hide_arguments` for its constructor."""
    cls.__init__ = hide_arguments(cls.__init__)  # type: ignore[misc]
    return cls


def _add_article(name: str) -> str:
    is_spoken_as_you = name.startswith(("Us", "Uni"))  # a Usage, but an Update
    return f"{'an' if name[0] in 'AEIOU' and not is_spoken_as_you else 'a'} {name}"


def _format_field_path(instance: object, attribute: Attribute[Any]) -> str:
    return attribute.name if instance is None else f"{type(instance).__name__}.{attribute.name}"


@frozen(eq=False, repr=False)
class Number(Value):
    """Validates a finite number. A bool is not a number.

    Its repr contains the bounds in the form of attrs' validators, which the generated documentation reads.

    Attributes:
        integer: Whether only integers are allowed.
        minimum: The smallest allowed value; None for no bound.
        above: The value that the number must exceed; None for no bound.
        maximum: The largest allowed value; None for no bound.
        optional: Whether None is allowed.
    """

    integer: bool = False
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    optional: bool = False

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        if value is None and self.optional:
            return
        self.check(_format_field_path(instance, attribute), value)

    def check(self, where: str, value: object) -> None:
        """Raise a `TypeError` or `ValueError` unless the value is such a number."""
        if isinstance(value, bool) or not isinstance(value, int if self.integer else int | float):
            raise_type_error(where, self.expected, quote_with_type(value))
        number: int | float = value
        is_finite = isinstance(number, int) or isfinite(number)
        fits = (
            is_finite
            and (self.minimum is None or number >= self.minimum)
            and (self.above is None or number > self.above)
            and (self.maximum is None or number <= self.maximum)
        )
        if not fits:
            raise_value_error(where, self._describe_bounds() if is_finite else "a finite number", quote(value))

    @property
    def expected(self) -> str:
        """A description of the allowed values: ``an integer of at least 1, or None``."""
        bounds = self._describe_bounds().replace("at ", "of at ")
        kind = "an integer" if self.integer else "a number"
        return f"{kind} {bounds}".rstrip() + (", or None" if self.optional else "")

    def _describe_bounds(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"between {self.minimum:g} and {self.maximum:g}"
        return " and ".join(f"{words} {bound:g}" for words, _, bound in self._list_bounds())

    def _list_bounds(self) -> list[tuple[str, str, float]]:
        bounds = (("at least", ">=", self.minimum), ("greater than", ">", self.above), ("at most", "<=", self.maximum))
        return [(words, sign, bound) for words, sign, bound in bounds if bound is not None]

    def __repr__(self) -> str:
        return "".join(f"<number for x {sign} {bound}>" for _, sign, bound in self._list_bounds()) or "<number>"


@frozen(eq=False, repr=False)
class Text(Value):
    """Validates a string, which must not be empty unless ``empty`` is true."""

    empty: bool = False
    optional: bool = False

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        if value is None and self.optional:
            return
        require_text(_format_field_path(instance, attribute), value, empty=self.empty)


@frozen(eq=False, repr=False)
class Boolean(Value):
    """Validates True or False."""

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        if not isinstance(value, bool):
            raise_type_error(_format_field_path(instance, attribute), "True or False", quote_with_type(value))


@frozen(eq=False, repr=False)
class InstanceOf(Value):
    """Validates an instance of a class."""

    kind: type
    optional: bool = False

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        if not isinstance(value, self.kind) and not (value is None and self.optional):
            raise_type_error(
                _format_field_path(instance, attribute), _add_article(self.kind.__name__), describe_type(value)
            )


@frozen(eq=False, repr=False)
class OneOf(Value):
    """Validates one of a fixed set of strings."""

    words: tuple[str, ...]

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        self.check(_format_field_path(instance, attribute), value)

    def check(self, where: str, value: object) -> None:
        """Raise a `TypeError` or `ValueError` unless the value is one of them."""
        *first, last = map(repr, self.words)
        expected = f"{', '.join(first)} or {last}" if first else last
        if not isinstance(value, str):
            raise_type_error(where, expected, quote_with_type(value))
        if value not in self.words:
            raise_value_error(where, expected, quote(value))


def require_text(where: str, value: object, *, empty: bool = False) -> str:
    """Return a string after `clean_text`, so that UTF-8 can encode it.

    Raises:
        TypeError: The value is not a string.
        ValueError: It is empty, and ``empty`` is false.
    """
    if not isinstance(value, str):
        raise_type_error(
            where, "a string", describe_type(value) if isinstance(value, bytes) else quote_with_type(value)
        )
    if not value and not empty:
        raise_value_error(where, "a string that is not empty", "''")
    return clean_text(value)


def convert_to_tuple(where: str, what: str, values: object) -> tuple[Any, ...]:
    """Return the items of an iterable as a tuple; empty for None. Strings, bytes and mappings are rejected."""
    if values is None:
        return ()
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise_type_error(where, f"a sequence of {what}", describe_type(values))
    return values if isinstance(values, tuple) else tuple(values)


def require_all(kind: type, where: str, values: object) -> tuple[Any, ...]:
    """Return the items of an iterable as a tuple, as `convert_to_tuple` does; each must be of this class.

    Raises:
        TypeError: It cannot be converted, or an item is of another class.
    """
    items = convert_to_tuple(where, f"{kind.__name__} values", values)
    for place, item in enumerate(items):
        if not isinstance(item, kind):
            raise_type_error(f"{where}[{place}]", f"a {kind.__name__}", describe_type(item))
    return items


def copy_json_object(where: str, value: object) -> dict[str, Any]:
    """Return a deep copy of a mapping that JSON can represent, such as a JSON schema.

    Raises:
        TypeError: It is not a mapping, or contains a value that JSON cannot represent. The message names the path of
            the value, not the value.
        ValueError: It contains NaN or an infinity, or is nested too deeply.
    """
    if not isinstance(value, Mapping):
        raise_type_error(where, "a mapping with a JSON schema", describe_type(value))
    copied: dict[str, Any] = _copy_json(where, value, MAX_DEPTH)
    return copied


def _copy_json(where: str, value: object, depth: int) -> Any:
    if not depth:
        raise_value_error(where, f"nested at most {MAX_DEPTH} levels deep", "a deeper or circular value")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int | float):
        Number().check(where, value)
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise_type_error(f"each key of {where}", "a string", quote_with_type(key))
        return {clean_text(key): _copy_json(f"{where}[{key!r}]", item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy_json(f"{where}[{place}]", item, depth - 1) for place, item in enumerate(value)]
    raise_type_error(where, "a value that JSON can represent", describe_type(value))
