"""The layers of settings: the file, the environment above it, the code above that, and the source of each value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from kickai_providers_core.config.environment import (
    WithheldKey,
    find_misspelled_variables,
    find_plugin_variables,
    list_core_variables,
    list_instance_variables,
    parse_variable,
)
from kickai_providers_core.config.problems import Violation
from kickai_providers_core.config.sources import find_value, merge_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_providers_core.config.descriptions import Path
    from kickai_providers_core.config.name_index import NameIndex
    from kickai_providers_core.config.sources import SettingsDocument

__all__ = ["Layers"]

FIELD_DEPTH = 3
"""The longest path of a field: ``providers.huggingface.timeout_s``. What is below belongs to its value."""


@attrs.frozen(kw_only=True)
class Layers:
    """All layers merged.

    Attributes:
        tables: The merged settings. They may hold keys.
        file_tables: The settings of the file alone. They may hold keys as well.
        sources: From the path of each value to its source, in the order of the layers.
        file: The source of everything that has no other.
        invalid: The variables whose names are invalid, each with its source.
        misspelled: Variables that are probably misspelled, each with its source.
        withheld: Keys that are not read from a plugin's variable.
        plugin_variables: The plugins' own variables, by the path of the field that each of them sets.
    """

    tables: Mapping[str, Any] = attrs.field(repr=False)
    file_tables: Mapping[str, Any] = attrs.field(repr=False)
    sources: Mapping[Path, str]
    file: str
    invalid: tuple[tuple[str, Violation], ...] = ()
    misspelled: tuple[tuple[str, Violation], ...] = ()
    withheld: tuple[WithheldKey, ...] = ()
    plugin_variables: Mapping[Path, str] = attrs.field(factory=dict)

    @classmethod
    def from_document(cls, document: SettingsDocument, index: NameIndex) -> Layers:
        """Return the merged layers of a document."""
        tables: Mapping[str, Any] = document.tables
        overrides = dict.fromkeys(_list_fields(document.overrides))
        sources = dict.fromkeys((*_list_fields(tables), *_list_empty_tables(tables)), document.file)
        invalid: list[tuple[str, Violation]] = []
        of_plugins, withheld = find_plugin_variables(document, index)
        of_instances = tuple(list_instance_variables(document, index))
        plugin_paths = ((variable, path) for path, variable in of_plugins.items())
        for variable, path in (*list_core_variables(document), *plugin_paths, *of_instances):
            if isinstance(path, Violation):
                invalid.append((document.describe_source(variable), path))
            else:
                tables = _set_value(tables, path, parse_variable(variable, document.environment[variable]))
                sources = _set_sources(sources, [path], document.describe_source(variable))
        replaced = {*(path for _, path in of_instances), *overrides}
        sources = _set_sources(sources, overrides, "code") | dict.fromkeys(
            _list_empty_tables(document.overrides), "code"
        )
        return cls(
            tables=merge_tables(tables, document.overrides),
            file_tables=document.tables,
            sources=sources,
            file=document.file,
            invalid=tuple(invalid),
            misspelled=tuple(find_misspelled_variables(document, index)),
            withheld=tuple(key for key in withheld if key.path not in replaced),
            plugin_variables={path: variable for path, variable in of_plugins.items() if path not in replaced},
        )

    def get_source(self, path: Path) -> str:
        """Return the source of the value at a path, or of a value that contains it or is in it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.sources:
                return self.sources[path[:length]]
        return self._table_sources.get(path, self.file)

    @cached_property
    def _table_sources(self) -> Mapping[Path, str]:
        """From the path of each table to the source of its first value."""
        sources: dict[Path, str] = {}
        for path, source in self.sources.items():
            for length in range(1, len(path)):
                sources.setdefault(path[:length], source)
        return sources

    def get_position(self, path: Path) -> int:
        """Return the position, in the order of the layers, of the value at a path, around it, or in it."""
        values, tables = self._positions
        position = min(values.get(path[:length], len(values)) for length in range(len(path) + 1))
        return min(position, tables.get(path, position))

    @cached_property
    def _positions(self) -> tuple[Mapping[Path, int], Mapping[Path, int]]:
        """The position of each value, and that of the first value in each table."""
        values = {path: position for position, path in enumerate(self.sources)}
        tables: dict[Path, int] = {}
        for path, position in values.items():
            for length in range(1, len(path)):
                tables.setdefault(path[:length], position)
        return values, tables

    def find_merged_value(self, path: Path) -> Any:
        """Return the merged value at a path, as it was written; None when there is none."""
        return find_value(self.tables, path)

    def find_file_value(self, path: Path) -> Any:
        """Return the value of the file at a path, whether or not another layer replaces it; None for none."""
        return find_value(self.file_tables, path)


def _list_fields(tables: Mapping[Any, Any], above: Path = ()) -> Iterator[Path]:
    """Yield the path of each field."""
    for key, value in tables.items():
        path = (*above, str(key))
        if isinstance(value, Mapping) and len(path) < FIELD_DEPTH:
            yield from _list_fields(value, path)
        else:
            yield path


def _list_empty_tables(tables: Mapping[Any, Any]) -> Iterator[Path]:
    """Yield the path of each table without a field."""
    for section, names in tables.items():
        if isinstance(names, Mapping):
            yield from ((str(section), str(name)) for name, table in names.items() if table == {})


def _set_sources(sources: Mapping[Path, str], paths: Iterable[Path], source: str) -> dict[Path, str]:
    """Return the sources with a new one for some paths, and without those of values inside them; positions stay."""
    new = dict.fromkeys(paths, source)
    others = {
        path: old for path, old in sources.items() if not any(path[:length] in new for length in range(1, len(path)))
    }
    return others | new


def _set_value(tables: Mapping[str, Any], path: Path, value: object) -> dict[str, Any]:
    """Return the tables with a value at a path; unchanged when something on the path is not a table."""
    key, rest = str(path[0]), path[1:]
    inner = tables.get(key, {})
    if rest:
        value = _set_value(inner, rest, value) if isinstance(inner, Mapping) else inner
    return {**tables, key: value}
