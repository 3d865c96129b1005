"""Checks of the fields of public values: each refusal is one sentence that names the field, the value and what fits.

A wrong type is a `TypeError`, a wrong value a `ValueError`. Text that may belong to a prompt or an answer is never
quoted: a refusal gives its type and its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from math import isfinite
from typing import Any, NoReturn, TypeVar

from attrs import Attribute, frozen

from kickai_providers_core.values.base_errors import ArgumentTypeError, ArgumentValueError
from kickai_providers_core.values.plain_text import clean_text, format_count

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
    "require_text",
]

T = TypeVar("T")
Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])

MAX_QUOTED = 60
"""The most characters of a value that a refusal quotes."""

MAX_DEPTH = 64
"""The deepest nesting of a JSON schema; a value that contains itself is deeper."""


def quote(value: object) -> str:
    """Return a value as an error message quotes it; what is neither text nor a number by its type."""
    if isinstance(value, str | int | float | None):
        if isinstance(value, int) and value.bit_length() > 4 * MAX_QUOTED:
            return f"an integer of {value.bit_length()} bits"
        text = repr(value)
        return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
    return describe_type(value)


def quote_with_type(value: object) -> str:
    """Return a value as `shown` does, with its type: ``'5' (str)``."""
    is_plain = isinstance(value, str | int | float)
    return f"{quote(value)} ({type(value).__name__})" if is_plain else quote(value)


def describe_type(value: object) -> str:
    """Return the type and length of a value, for what may hold a prompt."""
    if isinstance(value, str):
        return f"{type(value).__name__} of {format_count(len(value), 'character')}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else type(value).__name__


def raise_type_error(where: str, expected: str, value: str) -> NoReturn:
    """Raise the TypeError of a value, as `shown` or `shape` describes it."""
    message = f"{where} must be {expected}, got {value}"
    raise TypeError(message)


def raise_value_error(where: str, expected: str, value: str) -> NoReturn:
    """Raise the ValueError of a value, as `shown` or `shape` describes it."""
    message = f"{where} must be {expected}, got {value}"
    raise ValueError(message)


def raise_argument_error(where: str, expected: str, value: str) -> NoReturn:
    """Raise the `ArgumentTypeError` of what a caller passed, as `shown` or `shape` describes it."""
    message = f"{where} must be {expected}, got {value}"
    raise ArgumentTypeError(message)


def hide_arguments(function: Function) -> Function:
    """Raise the TypeErrors and ValueErrors of a function as `ArgumentTypeError` and `ArgumentValueError`.

    They are raised from a frame that does not hold the arguments: loggers and crash reporters show the local variables
    of each frame of a traceback, and those of a constructor would be the prompt.
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

    return call  # type: ignore[return-value]  # it is called in the same way


def hide_constructor_arguments(cls: Class) -> Class:
    """Let the constructor of a class raise its errors as `hides_arguments` does."""
    cls.__init__ = hide_arguments(cls.__init__)  # type: ignore[misc]
    return cls


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _field_path(instance: object, attribute: Attribute[Any]) -> str:
    return attribute.name if instance is None else f"{type(instance).__name__}.{attribute.name}"


@frozen(repr=False)
class Number:
    """Validates a finite number, within bounds that are None where there are none. A bool is not a number.

    Its repr names the bounds as those of attrs' validators do, from where the settings' documentation takes them.
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
        self.check(_field_path(instance, attribute), value)

    def check(self, where: str, value: object) -> None:
        """Raise a TypeError or ValueError for what is not such a number."""
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
        """The allowed values, in words: ``an integer of at least 1, or None``."""
        bounds = self._describe_bounds().replace("at ", "of at ")
        kind = "an integer" if self.integer else "a number"
        return f"{kind} {bounds}".rstrip() + (", or None" if self.optional else "")

    def _describe_bounds(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"between {self.minimum:g} and {self.maximum:g}"
        return " and ".join(f"{words} {bound:g}" for words, _, bound in self._bounds())

    def _bounds(self) -> list[tuple[str, str, float]]:
        bounds = (("at least", ">=", self.minimum), ("greater than", ">", self.above), ("at most", "<=", self.maximum))
        return [(words, sign, bound) for words, sign, bound in bounds if bound is not None]

    def __repr__(self) -> str:
        return "".join(f"<number for x {sign} {bound}>" for _, sign, bound in self._bounds()) or "<number>"


@frozen
class Text:
    """Validates text, which is not empty unless that is allowed."""

    empty: bool = False
    optional: bool = False

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        if value is None and self.optional:
            return
        require_text(_field_path(instance, attribute), value, empty=self.empty)


@frozen
class Boolean:
    """Validates True or False."""

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        if not isinstance(value, bool):
            raise_type_error(_field_path(instance, attribute), "True or False", quote_with_type(value))


@frozen
class InstanceOf:
    """Validates an instance of a class."""

    kind: type
    optional: bool = False

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        if not isinstance(value, self.kind) and not (value is None and self.optional):
            raise_type_error(_field_path(instance, attribute), _with_article(self.kind.__name__), describe_type(value))


@frozen
class OneOf:
    """Validates one of a few words."""

    words: tuple[str, ...]

    def __call__(self, instance: object, attribute: Attribute[Any], value: object) -> None:
        """Validate one field."""
        self.check(_field_path(instance, attribute), value)

    def check(self, where: str, value: object) -> None:
        """Raise a TypeError or ValueError for what is not one of the words."""
        *first, last = map(repr, self.words)
        expected = f"{', '.join(first)} or {last}" if first else last
        if not isinstance(value, str):
            raise_type_error(where, expected, quote_with_type(value))
        if value not in self.words:
            raise_value_error(where, expected, quote(value))


def require_text(where: str, value: object, *, empty: bool = False) -> str:
    """Return the value, which is text that UTF-8 can encode afterwards; see `clean_text`."""
    if not isinstance(value, str):
        raise_type_error(
            where, "a string", describe_type(value) if isinstance(value, bytes) else quote_with_type(value)
        )
    if not value and not empty:
        raise_value_error(where, "a string that is not empty", "''")
    return clean_text(value)


def convert_to_tuple(where: str, what: str, values: object) -> tuple[Any, ...]:
    """Return the items of an iterable; None has none. Text, bytes and mappings are no sequence of items."""
    if values is None:
        return ()
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise_type_error(where, f"a sequence of {what}", describe_type(values))
    return values if isinstance(values, tuple) else tuple(values)


def copy_json_object(where: str, value: object) -> dict[str, Any]:
    """Return a deep copy of a mapping that JSON can hold, for a schema.

    Raises:
        TypeError: It is no mapping, or holds what JSON has no word for; the message names the path, not the value.
        ValueError: It holds NaN or an infinity, or is nested too deeply.
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
