"""The layers of settings in one: the file, over it the environment, over that the code; and who said what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from kickai_providers_core.loading.directory import variable_part
from kickai_providers_core.loading.document import overlaid
from kickai_providers_core.loading.misfit import Fault
from kickai_providers_core.loading.scalars import Text
from kickai_providers_core.loading.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_providers_core.loading.directory import Directory
    from kickai_providers_core.loading.document import Document
    from kickai_providers_core.loading.wording import Path

__all__ = ["Layers", "layered"]

VARIABLES = {
    "AI_PROVIDER": ("kickai", "preferred"),
    "KICKAI_PRIMARY": ("kickai", "primary"),
    "KICKAI_FALLBACK": ("kickai", "fallback"),
    "KICKAI_DEADLINE_S": ("kickai", "deadline_s"),
    "KICKAI_PLUGINS": ("kickai", "plugins"),
    "KICKAI_EXPOSE_SERVICE_MESSAGES": ("kickai", "expose_service_messages"),
}
"""The variables of the core's own settings. Like any other, an empty one counts as unset, but for the two lists."""

FIELD_DEPTH = 3
"""A field stands below at most a section and a name: ``providers.huggingface.timeout_s``."""

LISTS = {"KICKAI_FALLBACK", "KICKAI_PLUGINS"}
PREFIX = "KICKAI_PROVIDERS__"
TYPO = 0.85
"""From this likeness on (`difflib`) a variable is taken for one of ours, misspelt."""


@attrs.frozen(kw_only=True)
class Layers:
    """All layers in one.

    Attributes:
        tables: The settings, as they were written. They may hold keys.
        filed: Those of the file alone. They may hold keys, too.
        sources: From the path of each value to where it comes from, in the order of the layers.
        file: What has no source of its own comes from here.
        faults: What is wrong with the environment's variables, each with the variable.
        suspects: Variables that are probably misspelt, likewise.
    """

    tables: Mapping[str, Any] = attrs.field(repr=False)
    filed: Mapping[str, Any] = attrs.field(repr=False)
    sources: Mapping[Path, str]
    file: str
    faults: tuple[tuple[str, Fault], ...] = ()
    suspects: tuple[tuple[str, Fault], ...] = ()

    def source_of(self, path: Path) -> str:
        """Return where the value at a path comes from, or the one that has or holds it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.sources:
                return self.sources[path[:length]]
        return next((source for other, source in self.sources.items() if other[: len(path)] == path), self.file)

    def written(self, path: Path) -> Any:
        """Return the value at a path as it was written; None when nobody wrote it."""
        return _at(self.tables, path)

    def in_file(self, path: Path) -> Any:
        """Return what the file says at a path, outranked or not; None when it says nothing."""
        return _at(self.filed, path)


def layered(document: Document, directory: Directory) -> Layers:
    """Return the layers of a document, for the plugins and instances of a directory."""
    tables: Mapping[str, Any] = document.tables
    sources = dict.fromkeys((*_leaves(tables), *_empty(tables)), document.file)
    faults: list[tuple[str, Fault]] = []
    for variable, path in (*_of_core(document), *_of_plugins(document, directory), *_of_instances(document, directory)):
        if isinstance(path, Fault):
            faults.append((document.origin(variable), path))
        else:
            tables = _with(tables, path, Text(document.environment[variable]))
            sources = _marked(sources, [path], document.origin(variable))
    return Layers(
        tables=overlaid(tables, document.given),
        filed=document.tables,
        sources=_marked(sources, _leaves(document.given), "code") | dict.fromkeys(_empty(document.given), "code"),
        file=document.file,
        faults=tuple(faults),
        suspects=tuple(_suspects(document, directory)),
    )


def _leaves(tables: Mapping[Any, Any], above: Path = ()) -> Iterator[Path]:
    """Yield the path of each field; what is below the third key belongs to its field."""
    for key, value in tables.items():
        path = (*above, str(key))
        if isinstance(value, Mapping) and len(path) < FIELD_DEPTH:
            yield from _leaves(value, path)
        else:
            yield path


def _empty(tables: Mapping[Any, Any]) -> Iterator[Path]:
    """Yield the path of each table without a field: it says nothing, but it stands there."""
    for section, names in tables.items():
        if isinstance(names, Mapping):
            yield from ((str(section), str(name)) for name, table in names.items() if table == {})


def _marked(sources: Mapping[Path, str], paths: Iterable[Path], source: str) -> dict[Path, str]:
    """Return the sources with another for some paths; what was below these is gone, and places are kept."""
    new = dict.fromkeys(paths, source)
    kept = {path: old for path, old in sources.items() if not any(path[: len(at)] == at != path for at in new)}
    return kept | new


def _with(tables: Mapping[str, Any], path: Path, value: object) -> dict[str, Any]:
    """Return tables with a value at a path; where a table is expected and there is none, nothing is changed."""
    key, rest = str(path[0]), path[1:]
    inner = tables.get(key, {})
    if rest:
        value = _with(inner, rest, value) if isinstance(inner, Mapping) else inner
    return {**tables, key: value}


def _of_core(document: Document) -> Iterator[tuple[str, Path]]:
    for variable, path in VARIABLES.items():
        text = document.environment.get(variable)
        if text is not None and (text.strip() or variable in LISTS):
            yield variable, path


def _of_plugins(document: Document, directory: Directory) -> Iterator[tuple[str, Path]]:
    """Yield the variables that plugins read, each for the plugin's own instance; of those for one field the first."""
    for name, info in directory.infos.items():
        table = ("providers", directory.instances[name])
        known = {field.alias for field in attrs.fields(info.settings_class)}
        filled: set[str] = set()
        for variable, field in info.environment.items():
            if not document.environment.get(variable, "").strip() or field in filled or field not in known:
                continue
            filled.add(field)
            # Who writes { env = "MINE" } has chosen where this key comes from: a variable for everyone is not meant.
            if not isinstance(_at(document.tables, (*table, field)), Mapping):
                yield variable, (*table, field)


def _of_instances(document: Document, directory: Directory) -> Iterator[tuple[str, Path | Fault]]:
    """Yield the variables of the form KICKAI_PROVIDERS__INSTANCE__FIELD."""
    keys = {variable_part(name): key for name, key in (*directory.instances.items(), *directory.aliases())}
    for variable, text in document.environment.items():
        if not variable.startswith(PREFIX) or not text.strip():
            continue
        instance, *field = variable.removeprefix(PREFIX).split("__")
        if not all(field) or not field:
            yield variable, Fault.of("an incomplete name", f"{PREFIX}INSTANCE__FIELD")
        elif instance not in keys:
            hint = did_you_mean(instance, keys)
            yield variable, Fault.of(f"no instance {instance}", f"one of {', '.join(sorted(keys)) or 'none'}", hint)
        else:
            yield variable, ("providers", keys[instance], *(part.lower() for part in field))


def _suspects(document: Document, directory: Directory) -> Iterator[tuple[str, Fault]]:
    known = [*VARIABLES, "KICKAI_CONFIG"]
    read = {*known, *(variable for info in directory.infos.values() for variable in info.environment)}
    for variable in document.environment:
        if variable.startswith(PREFIX) or variable in read:
            continue
        near = difflib.get_close_matches(variable, known, n=1, cutoff=TYPO)
        if near:
            fault = Fault.of("a variable that is not read", f"one of {', '.join(known)}", f"Did you mean '{near[0]}'?")
            yield document.origin(variable), fault


def _at(tables: Any, path: Path) -> Any:
    """Return the value at a path; None when nobody wrote it."""
    for step in path:
        if isinstance(tables, Mapping):
            tables = tables.get(str(step))
        else:
            tables = tables[step] if isinstance(tables, list | tuple) and isinstance(step, int) else None
    return tables
