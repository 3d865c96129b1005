"""The layers of settings in one: the file, over it the environment, over that the code; and who said what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import attrs

from kickai_providers_core.config.addresses import address_fields, is_vendors, withheld_key
from kickai_providers_core.config.annotations import hides
from kickai_providers_core.config.faults import Fault
from kickai_providers_core.config.names import variable_part
from kickai_providers_core.config.scalars import Text
from kickai_providers_core.config.sources import NOBODY, overlaid
from kickai_providers_core.config.wording import did_you_mean, listed
from kickai_providers_core.plugin_api.settings import hints_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_providers_core.config.names import Directory
    from kickai_providers_core.config.sources import Document
    from kickai_providers_core.config.wording import Path
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo

__all__ = ["Layers", "layered"]

VARIABLES = {
    "AI_PROVIDER": ("kickai", "preferred"),
    "KICKAI_PRIMARY": ("kickai", "primary"),
    "KICKAI_FALLBACK": ("kickai", "fallback"),
    "KICKAI_DEADLINE_S": ("kickai", "deadline_s"),
    "KICKAI_PLUGINS": ("kickai", "plugins"),
    "KICKAI_EXPOSE_SERVICE_MESSAGES": ("kickai", "expose_service_messages"),
}
"""The variables of the core's own settings."""

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
        withheld: Keys that are not read from a plugin's variable, each with its path and the source of the address.
        own_variables: The variables that plugins read, from the path of the field that each has filled.
    """

    tables: Mapping[str, Any] = attrs.field(repr=False)
    filed: Mapping[str, Any] = attrs.field(repr=False)
    sources: Mapping[Path, str]
    file: str
    faults: tuple[tuple[str, Fault], ...] = ()
    suspects: tuple[tuple[str, Fault], ...] = ()
    withheld: tuple[tuple[Path, str, Fault], ...] = ()
    own_variables: Mapping[Path, str] = attrs.field(factory=dict)

    def source_of(self, path: Path) -> str:
        """Return where the value at a path comes from, or the one that has or holds it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.sources:
                return self.sources[path[:length]]
        return self._holders.get(path, self.file)

    @cached_property
    def _holders(self) -> Mapping[Path, str]:
        """From each path that holds others to the source of the first of them."""
        holders: dict[Path, str] = {}
        for path, source in self.sources.items():
            for length in range(1, len(path)):
                holders.setdefault(path[:length], source)
        return holders

    def position(self, path: Path) -> int:
        """Return where, in the order of the layers, a path, a value that it is in, or something in it was written."""
        written, first = self._places
        at = min(written.get(path[:length], len(written)) for length in range(len(path) + 1))
        return min(at, first.get(path, at))

    @cached_property
    def _places(self) -> tuple[Mapping[Path, int], Mapping[Path, int]]:
        """The place of each written path, and of the first one in each path that holds others."""
        written = {path: at for at, path in enumerate(self.sources)}
        first: dict[Path, int] = {}
        for path, at in written.items():
            for length in range(1, len(path)):
                first.setdefault(path[:length], at)
        return written, first

    def written(self, path: Path) -> Any:
        """Return the value at a path as it was written; None when nobody wrote it."""
        return _at(self.tables, path)

    def in_file(self, path: Path) -> Any:
        """Return what the file says at a path, outranked or not; None when it says nothing."""
        return _at(self.filed, path)


def layered(document: Document, directory: Directory) -> Layers:
    """Return the layers of a document, for the plugins and instances of a directory."""
    tables: Mapping[str, Any] = document.tables
    written_in_code = dict.fromkeys(_leaves(document.given))
    sources = dict.fromkeys((*_leaves(tables), *_empty(tables)), document.file)
    faults: list[tuple[str, Fault]] = []
    own, withheld = _own_variables(document, directory)
    of_plugins = ((variable, path) for path, variable in own.items())
    of_instances = tuple(_of_instances(document, directory))
    for variable, path in (*_of_core(document), *of_plugins, *of_instances):
        if isinstance(path, Fault):
            faults.append((document.origin(variable), path))
        else:
            tables = _with(tables, path, _value(variable, document.environment[variable]))
            sources = _marked(sources, [path], document.origin(variable))
    outranked = {*(path for _, path in of_instances), *written_in_code}
    return Layers(
        tables=overlaid(tables, document.given),
        filed=document.tables,
        sources=_marked(sources, written_in_code, "code") | dict.fromkeys(_empty(document.given), "code"),
        file=document.file,
        faults=tuple(faults),
        suspects=tuple(_suspects(document, directory)),
        withheld=tuple(each for each in withheld if each[0] not in outranked),
        own_variables={path: variable for path, variable in own.items() if path not in outranked},
    )


def _value(variable: str, text: str) -> object:
    """Return what a variable says: text, whose meaning its setting knows, or an empty list."""
    return () if variable in LISTS and text.strip().lower() == NOBODY else Text(text)


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
    kept = {
        path: old for path, old in sources.items() if not any(path[:length] in new for length in range(1, len(path)))
    }
    return kept | new


def _with(tables: Mapping[str, Any], path: Path, value: object) -> dict[str, Any]:
    """Return tables with a value at a path; where a table is expected and there is none, nothing is changed."""
    key, rest = str(path[0]), path[1:]
    inner = tables.get(key, {})
    if rest:
        value = _with(inner, rest, value) if isinstance(inner, Mapping) else inner
    return {**tables, key: value}


def _of_core(document: Document) -> Iterator[tuple[str, Path]]:
    return ((variable, path) for variable, path in VARIABLES.items() if variable in document.environment)


def _of_plugins(document: Document, directory: Directory) -> Iterator[tuple[ProviderInfo, str, Path]]:
    """Yield the variables that plugins read, each for the plugin's own instance; of those for one field the first."""
    for name, info in directory.infos.items():
        table = ("providers", directory.instances[name])
        known = {field.alias for field in attrs.fields(info.settings_class)}
        filled: set[str] = set()
        for variable, field in info.environment.items():
            if variable not in document.environment or field in filled or field not in known:
                continue
            filled.add(field)
            # Who writes { env = "MINE" } has chosen where this key comes from: a variable for everyone is not meant.
            if not isinstance(_at(document.tables, (*table, field)), Mapping):
                yield info, variable, (*table, field)


def _own_variables(document: Document, directory: Directory) -> tuple[dict[Path, str], list[tuple[Path, str, Fault]]]:
    """Return the variables that plugins read, by the field that each fills, and the keys that are not to be read.

    A key is not read when a file has changed the address that it would be sent to. A ``.env`` is such a file, unless
    the key is in it as well.
    """
    own: dict[Path, str] = {}
    withheld: list[tuple[Path, str, Fault]] = []
    for info, variable, path in _of_plugins(document, directory):
        moved = _moved(document, info, path, variable) if _is_secret(info, path) else {}
        if moved:
            withheld.append((path, next(iter(moved.values())), withheld_key(variable, path, moved)))
        else:
            own[path] = variable
    return own, withheld


def _is_secret(info: ProviderInfo, path: Path) -> bool:
    try:
        hints = hints_of(info.settings_class)
    except Exception:  # noqa: BLE001 # an annotation is code of the plugin's; what cannot be read may be a key
        return True
    field = next(field for field in attrs.fields(info.settings_class) if field.alias == path[-1])
    return hides(hints[field.name])


def _moved(document: Document, info: ProviderInfo, key: Path, variable: str) -> dict[str, str]:
    """Return the address fields that a file has changed from the vendor's address, each with the file."""
    moved = {}
    for field in address_fields(info.settings_class):
        name = str(field.alias)
        value, source = _address(document, info, (*key[:-1], name), variable)
        if source and not is_vendors(field, value):
            moved[name] = source
    return moved


def _address(document: Document, info: ProviderInfo, path: Path, key: str) -> tuple[object, str]:
    """Return an address and the file that says it; no file when it is the process or the code that says it."""
    if _at(document.given, path) is not None:
        return None, ""
    names = [name for name, field in info.environment.items() if field == path[-1]]
    names.insert(0, f"{PREFIX}{variable_part(str(path[1]))}__{str(path[-1]).upper()}")
    if info.name != path[1]:
        names.insert(0, f"{PREFIX}{variable_part(info.name)}__{str(path[-1]).upper()}")
    said = next((name for name in names if name in document.environment), None)
    if said is None:
        return _at(document.tables, path), document.file
    in_files = said in document.from_dotenv and key not in document.from_dotenv
    return document.environment[said], document.origin(said) if in_files else ""


def _of_instances(document: Document, directory: Directory) -> Iterator[tuple[str, Path | Fault]]:
    """Yield the variables of the form KICKAI_PROVIDERS__INSTANCE__FIELD."""
    keys = {variable_part(name): key for name, key in (*directory.instances.items(), *directory.aliases())}
    for variable in document.environment:
        if not variable.startswith(PREFIX):
            continue
        instance, *field = variable.removeprefix(PREFIX).split("__")
        if not all(field) or not field:
            yield variable, Fault.of("an incomplete name", f"{PREFIX}INSTANCE__FIELD")
        elif instance not in keys:
            hint = partial(did_you_mean, instance, keys)
            yield variable, Fault.of(f"no instance {instance}", f"one of {listed(sorted(keys))}", hint)
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
