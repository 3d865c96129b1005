"""Plain data to settings classes, exactly: nothing is coerced, and everything that does not fit is told at once.

cattrs finds the hook for a type; the hooks are ours, since its own would read ``"false"`` as true, None as ``'None'``
and 2.9 as 2. A value that is an instance of the wanted class already is taken as it is: code may mix both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import attrs
import cattrs

from kickai_providers_core.config.annotations import complaint, hides, limits, wanted
from kickai_providers_core.config.faults import Fault, Misfit
from kickai_providers_core.config.scalars import Reveal, Text, chosen, scalar, secret, target
from kickai_providers_core.config.wording import did_you_mean, found, kind_of, one_of
from kickai_providers_core.plugin_api.settings import LONGEST_S, hints_of
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cattrs.dispatch import StructureHook

    from kickai_providers_core.config.wording import Path

__all__ = ["converter_with", "fitted"]

MOST_UNKNOWN = 100
"""So many unknown keys of one table are listed, each with the nearest known one."""


@attrs.frozen
class _Shape:
    """What there is to know of a settings class, worked out once: its fields, their types and bounds, by alias."""

    fields: Mapping[str, attrs.Attribute[Any]]
    hints: Mapping[str, Any]
    bounds: Mapping[str, str]

    @classmethod
    def from_class(cls, settings_class: Any) -> _Shape:
        hints = hints_of(settings_class)
        fields = {str(field.alias): field for field in attrs.fields(settings_class) if field.init}
        return cls(
            fields,
            {alias: hints[field.name] for alias, field in fields.items()},
            {alias: limits(field) for alias, field in fields.items()},
        )


class _Converter(cattrs.Converter):
    """A converter that remembers the shapes of the classes that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self._shapes: dict[Any, _Shape] = {}

    def shape_of(self, cls: Any) -> _Shape:
        """Return the shape of a settings class; raise whatever evaluating its annotations raises."""
        if cls not in self._shapes:
            self._shapes[cls] = _Shape.from_class(cls)
        return self._shapes[cls]


def converter_with(reveal: Reveal) -> cattrs.Converter:
    """Return a converter with exact hooks, which turns references into secrets with ``reveal``."""
    converter = _Converter()
    for single in (bool, int, float, str, Enum):
        converter.register_structure_hook(single, scalar)
    converter.register_structure_hook(Target, target)
    converter.register_structure_hook(Secret, lambda value, _hint: secret(value, reveal))
    shapes: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], StructureHook]], ...] = (
        (_made_of(Literal), _literal_hook),
        (_made_of(tuple, list, frozenset, Sequence), _array_hook),
        (_made_of(dict, Mapping), _mapping_hook),
        (_made_of(Union, UnionType), _union_hook),
        (attrs.has, _class_hook),
    )
    for shaped, factory in shapes:
        converter.register_structure_hook_factory(shaped, factory)
    return converter


def _made_of(*origins: object) -> Callable[[Any], bool]:
    return lambda hint: get_origin(hint) in origins


def fitted(converter: cattrs.Converter, table: object, hint: Any) -> tuple[Any, tuple[Fault, ...]]:
    """Return a table as the wanted class, and what did not fit.

    What did not fit is left out, so that the rest can be looked at all the same: its fields have their defaults
    then. The first is None when there is nothing to be had even so.
    """
    faults: tuple[Fault, ...] = ()
    while True:
        try:
            return _fit(converter, table, hint), faults
        except Misfit as misfit:
            # What only shows once something else was left out may be no fault of its writer's: it waits its turn.
            faults = faults or misfit.faults
            rest = _without(table, {fault.path for fault in misfit.faults})
            if rest == table:
                return None, faults
            table = rest


def _without(table: Any, paths: Collection[Path]) -> Any:
    """Return a table without the fields at some paths; of an array with a fault nothing is kept."""
    if not isinstance(table, Mapping) or () in paths:
        return {}
    below: dict[Any, set[Path]] = {}
    for key, *rest in paths:
        below.setdefault(key, set()).add(tuple(rest))
    if not below.keys() <= {str(key) for key in table}:
        return {}
    kept = {}
    for key, inner in table.items():
        gone = below.get(str(key))
        if gone is None:
            kept[key] = inner
        elif () not in gone and isinstance(inner, Mapping):
            left = _without(inner, gone)
            if left:
                kept[key] = left
    return kept


def _fit(converter: cattrs.Converter, value: object, hint: Any) -> Any:
    try:
        return converter.structure(value, hint)
    except Misfit:
        raise
    except Exception:  # noqa: BLE001 # a plugin may name any type, and cattrs raises what that type raises
        raise Misfit(Fault.of(_shown(value, hint), wanted(hint))) from None


def _shown(value: object, hint: Any) -> str:
    return kind_of(value) if hides(hint) else found(value)


def _literal_hook(hint: Any, _converter: cattrs.Converter) -> StructureHook:
    return lambda value, _hint: chosen(value, get_args(hint))


def _array_hook(hint: Any, converter: cattrs.Converter) -> StructureHook:
    origin, items = get_origin(hint), get_args(hint)
    fixed = origin is tuple and items[-1] is not Ellipsis
    build = origin if origin in {list, frozenset} else tuple

    def structure(value: object, _hint: Any) -> Any:
        if isinstance(value, Text):
            value = [Text(part.strip()) for part in value.split(",")] if value.strip() else []
        if not isinstance(value, list | tuple | frozenset):
            raise Misfit(Fault.of(_shown(value, hint), wanted(hint)))
        if fixed and len(value) != len(items):
            raise Misfit(Fault.of(f"an array of {len(value)}", f"an array of {len(items)}"))
        hints = items if fixed else (items[0],) * len(value)
        return build(_each(converter, ((key, item, hints[key]) for key, item in enumerate(value))).values())

    return structure


def _mapping_hook(hint: Any, converter: cattrs.Converter) -> StructureHook:
    item_hint = get_args(hint)[1]

    def structure(value: object, _hint: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Misfit(Fault.of(kind_of(value), wanted(hint)))
        return _each(converter, ((str(key), item, item_hint) for key, item in value.items()))

    return structure


def _each(converter: cattrs.Converter, items: Iterable[tuple[Any, object, Any]]) -> dict[Any, Any]:
    done: dict[Any, Any] = {}
    faults: list[Fault] = []
    for key, item, hint in items:
        try:
            done[key] = _fit(converter, item, hint)
        except Misfit as misfit:
            faults += misfit.under(key)
    if faults:
        raise Misfit(*faults)
    return done


def _union_hook(hint: Any, converter: cattrs.Converter) -> StructureHook:
    options = [option for option in get_args(hint) if option is not NoneType]

    def structure(value: object, _hint: Any) -> Any:
        if value is None and NoneType in get_args(hint):
            return None
        misfits = []
        for option in options:
            try:
                return _fit(converter, value, option)
            except Misfit as misfit:
                misfits.append(misfit)
        if len(misfits) == 1:
            raise misfits[0]
        raise Misfit(Fault.of(_shown(value, hint), wanted(hint)))

    return structure


def _class_hook(hint: Any, converter: _Converter) -> StructureHook:
    def structure(value: object, _hint: Any) -> Any:
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise Misfit(Fault.of(kind_of(value), wanted(hint)))
        return _built(converter, hint, value, None)

    return structure


def _built(converter: _Converter, cls: Any, table: Mapping[str, object], over: Any) -> Any:
    """Return an instance of a class, field by field over another one or over the defaults."""
    try:
        shape = converter.shape_of(cls)
    except Exception as exc:  # noqa: BLE001 # an annotation is code of the plugin's
        told = f"the settings class {cls.__name__} cannot be read ({type(exc).__name__}: {exc})"
        raise Misfit(Fault((), told)) from None
    fields = shape.fields
    done: dict[str, Any] = {}
    faults: list[Fault] = []
    unknown: list[str] = []
    for key, value in table.items():
        if key not in fields:
            unknown.append(str(key))
            continue
        try:
            done[key] = _field(converter, shape, key, value, over)
        except Misfit as misfit:
            faults += misfit.under(key)
    faults += _unknown(unknown, fields)
    for key, field in fields.items() if over is None else ():
        if field.default is attrs.NOTHING and key not in table:
            expected = f"{wanted(shape.hints[key])} {shape.bounds[key]}".rstrip()
            faults += Misfit(Fault.of("nothing", expected)).under(key)
    if faults:
        raise Misfit(*faults)
    try:
        return cls(**done) if over is None else attrs.evolve(over, **done)
    except Exception as exc:  # noqa: BLE001 # a class may check what concerns several of its fields
        raise Misfit(Fault((), f"found a table, expected fields that go together: {complaint(exc, table)}")) from None


def _unknown(keys: list[str], fields: Collection[str]) -> Iterator[Fault]:
    """Yield a fault for each key that is no field; of very many, the rest in the last one."""
    expected = one_of(fields)
    for key in keys[:MOST_UNKNOWN]:
        yield from Misfit(Fault.of("an unknown key", expected, partial(did_you_mean, key, fields))).under(key)
    rest = keys[MOST_UNKNOWN:]
    for at, key in enumerate(rest):
        shown = f"an unknown key, the first of {len(rest)} more" if len(rest) > 1 else "an unknown key"
        yield Fault((key,), "" if at else f"found {shown}, expected {expected}")


def _field(converter: _Converter, shape: _Shape, key: str, value: object, over: Any) -> Any:
    field, hint, bounds = shape.fields[key], shape.hints[key], shape.bounds[key]
    default = _default(field) if over is None else getattr(over, field.name)
    try:
        if attrs.has(type(default)) and isinstance(value, Mapping):
            return _built(converter, type(default), value, default)
        fits = _fit(converter, value, hint)
    except Misfit as misfit:
        only = misfit.faults[0]
        if bounds and not only.path:
            raise Misfit(attrs.evolve(only, message=f"{only.message} {bounds}")) from None
        raise
    if str(field.alias).endswith("_s") and isinstance(fits, int | float) and fits > LONGEST_S:
        raise Misfit(Fault.of(found(fits), f"a number of seconds up to {LONGEST_S}"))
    if field.validator is not None and field.converter is None:
        _validate(field, hint, fits, _shown(value, hint), bounds)
    return fits


def _validate(field: attrs.Attribute[Any], hint: Any, value: object, shown: str, bounds: str) -> None:
    try:
        field.validator(None, field, value)  # type: ignore[misc] # it is not None
    except (TypeError, ValueError) as exc:
        expected = f"{wanted(hint)} {bounds}" if bounds else f"{wanted(hint)}: {complaint(exc, value)}"
        raise Misfit(Fault.of(shown, expected)) from None
    except Exception:  # noqa: BLE001, S110 # it looks at other fields, which are not there yet: the class calls it again
        pass


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type] # a class, but a function to its stubs
        return default
    return None if default.takes_self else default.factory()
