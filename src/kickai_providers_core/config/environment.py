"""Environment variables: which setting each of them sets, and which keys are not read from them.

A key from a plugin's own variable is sent to the vendor's address only. When a file changes the address, the variable
is not read, unless the file names it next to the address.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from kickai_providers_core.config.descriptions import format_path, is_secret_type, join_names, suggest_name
from kickai_providers_core.config.name_index import to_variable
from kickai_providers_core.config.problems import Violation
from kickai_providers_core.config.sources import NONE, find_value
from kickai_providers_core.config.value_hooks import EnvironmentText
from kickai_providers_core.plugin_api.settings import SERVICE_ADDRESS, find_address_fields, resolve_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_providers_core.config.descriptions import Path
    from kickai_providers_core.config.name_index import NameIndex
    from kickai_providers_core.config.sources import SettingsDocument
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo

__all__ = [
    "CORE_VARIABLES",
    "WithheldKey",
    "find_misspelled_variables",
    "find_plugin_variables",
    "list_core_variables",
    "list_instance_variables",
    "parse_variable",
]

CORE_VARIABLES = {
    "AI_PROVIDER": ("kickai", "preferred"),
    "KICKAI_PRIMARY": ("kickai", "primary"),
    "KICKAI_FALLBACK": ("kickai", "fallback"),
    "KICKAI_DEADLINE_S": ("kickai", "deadline_s"),
    "KICKAI_PLUGINS": ("kickai", "plugins"),
    "KICKAI_STORE": ("store", "url"),
    "KICKAI_EXPOSE_SERVICE_MESSAGES": ("kickai", "expose_service_messages"),
}
"""The variables of the core, with the path of the setting that each of them sets."""

ARRAYS = {"KICKAI_FALLBACK", "KICKAI_PLUGINS"}
PREFIX = "KICKAI_PROVIDERS__"

SIMILARITY = 0.85
"""From this similarity on (`difflib`) a variable is reported as a misspelled one of ours."""

PORTS = {"http": 80, "https": 443}


@attrs.frozen
class WithheldKey:
    """A key that is not read from a plugin's variable, since a file has changed the address.

    Attributes:
        path: The path of the key.
        source: Where the address comes from.
        violation: What to report.
    """

    path: Path
    source: str
    violation: Violation


def parse_variable(variable: str, text: str) -> object:
    """Return the value of a variable: text for its setting to parse, or an empty array."""
    return () if variable in ARRAYS and text.strip().lower() == NONE else EnvironmentText(text)


def list_core_variables(document: SettingsDocument) -> Iterator[tuple[str, Path]]:
    """Yield the variables of the core that are set, each with its path."""
    return ((variable, path) for variable, path in CORE_VARIABLES.items() if variable in document.environment)


def list_instance_variables(document: SettingsDocument, index: NameIndex) -> Iterator[tuple[str, Path | Violation]]:
    """Yield the variables of the form KICKAI_PROVIDERS__INSTANCE__FIELD, each with its path or its violation."""
    keys = {to_variable(name): key for name, key in (*index.instances.items(), *index.list_aliases())}
    for variable in document.environment:
        if not variable.startswith(PREFIX):
            continue
        instance, *field = variable.removeprefix(PREFIX).split("__")
        if not all(field) or not field:
            yield variable, Violation.from_message(f"incomplete name (must be {PREFIX}INSTANCE__FIELD)")
        elif instance not in keys:
            message = f"unknown instance {instance} (known: {join_names(sorted(keys))})"
            yield variable, Violation.from_message(message, partial(suggest_name, instance, keys))
        else:
            yield variable, ("providers", keys[instance], *(part.lower() for part in field))


def find_plugin_variables(document: SettingsDocument, index: NameIndex) -> tuple[dict[Path, str], list[WithheldKey]]:
    """Return the variables of plugins by the path of the field that each sets, and the keys that are withheld.

    A key is withheld when a file has changed the address that it would be sent to. A ``.env`` counts as such a file,
    unless it holds the key as well.
    """
    variables: dict[Path, str] = {}
    withheld: list[WithheldKey] = []
    for vendor, variable, path in _list_plugin_fields(document, index):
        changed = _find_changed_addresses(document, vendor, path, variable) if _is_secret(vendor.info, path) else {}
        if changed:
            source = next(iter(changed.values()))
            withheld.append(WithheldKey(path, source, _build_withheld_violation(variable, path, changed)))
        else:
            variables[path] = variable
    return variables, withheld


def _build_withheld_violation(variable: str, path: Path, addresses: Iterable[str]) -> Violation:
    names = " and ".join(addresses)
    message = f"{variable} is not used, because {names} is not the vendor's address"
    hint = f'To send the key there, write {path[-1]} = {{ env = "{variable}" }} in [{format_path(path[:-1])}]'
    return Violation.from_message(message, hint)


def find_misspelled_variables(document: SettingsDocument, index: NameIndex) -> Iterator[tuple[str, Violation]]:
    """Yield the variables that look like ours and are not read, each with its source."""
    known = [*CORE_VARIABLES, "KICKAI_CONFIG"]
    infos = index.infos.values()
    presets = [preset for info in infos for preset in info.presets.values()]
    read = {*known, *(name for info in infos for name in info.environment)}
    read |= {name for preset in presets for name in preset.environment}
    for variable in document.environment:
        if variable.startswith(PREFIX) or variable in read:
            continue
        near = difflib.get_close_matches(variable, known, n=1, cutoff=SIMILARITY)
        if near:
            message = f"unknown variable (known: {', '.join(known)})"
            yield document.describe_source(variable), Violation.from_message(message, f"Did you mean '{near[0]}'?")


@attrs.frozen
class _Vendor:
    """Whose variables an instance reads.

    Attributes:
        info: The plugin.
        table: The path of the instance's table.
        environment: The variables, and the fields that they fill; the most important first.
        address: The only address that gets a key from them; None for the addresses that the settings class declares.
    """

    info: ProviderInfo
    table: Path
    environment: Mapping[str, str]
    address: str | None = None


def _find_vendors(document: SettingsDocument, index: NameIndex) -> Iterator[_Vendor]:
    """Yield the instances that read variables: each plugin's own instance, and those with a preset."""
    for name, key in index.instances.items():
        table: Path = ("providers", key)
        kind = find_value(document.overrides, (*table, "kind")) or find_value(document.tables, (*table, "kind"))
        plugin = index.plugins.get(name, "") or index.plugins.get(str(kind), "")
        info = index.infos.get(plugin)
        if info is None:
            continue
        chosen = _find_written(document, info, (*table, "preset"), info.environment)[0] if info.presets else None
        preset = info.presets.get(str(chosen))
        if preset is not None:
            yield _Vendor(info, table, preset.environment, preset.address)
        elif name == info.name:
            yield _Vendor(info, table, info.environment)


def _list_plugin_fields(document: SettingsDocument, index: NameIndex) -> Iterator[tuple[_Vendor, str, Path]]:
    """Yield the variables that fill fields of instances; of several variables for one field, the first."""
    for vendor in _find_vendors(document, index):
        known = {field.alias for field in attrs.fields(vendor.info.settings_class)}
        filled: set[str] = set()
        for variable, field in vendor.environment.items():
            if variable not in document.environment or field in filled or field not in known:
                continue
            filled.add(field)
            # A reference such as { env = "MINE" } is a choice; the plugin's own variable does not replace it.
            if not isinstance(find_value(document.tables, (*vendor.table, field)), Mapping):
                yield vendor, variable, (*vendor.table, field)


def _is_secret(info: ProviderInfo, path: Path) -> bool:
    try:
        hints = resolve_type_hints(info.settings_class)
    except Exception:  # noqa: BLE001 # an annotation is code of the plugin; a field of unknown type may hold a key
        return True
    field = next(field for field in attrs.fields(info.settings_class) if field.alias == path[-1])
    return is_secret_type(hints[field.name])


def _find_changed_addresses(document: SettingsDocument, vendor: _Vendor, key: Path, variable: str) -> dict[str, str]:
    """Return the address fields that a file has changed from the vendor's address, each with the file."""
    changed = {}
    for field in find_address_fields(vendor.info.settings_class):
        name = str(field.alias)
        value, source = _find_written(document, vendor.info, (*key[:-1], name), vendor.environment, variable)
        if source and not _is_vendor_address(field, value, vendor.address):
            changed[name] = source
    return changed


def _find_written(
    document: SettingsDocument, info: ProviderInfo, path: Path, environment: Mapping[str, str], key: str = ""
) -> tuple[object, str]:
    """Return the value of a field, and the file that sets it; no file when the process or the code sets it.

    A ``.env`` that holds the variable ``key`` as well is not such a file.
    """
    value = find_value(document.overrides, path)
    if value is not None:
        return value, ""
    names = [name for name, field in environment.items() if field == path[-1]]
    names.insert(0, f"{PREFIX}{to_variable(str(path[1]))}__{str(path[-1]).upper()}")
    if path[1] in info.aliases:
        names.insert(0, f"{PREFIX}{to_variable(info.name)}__{str(path[-1]).upper()}")
    variable = next((name for name in names if name in document.environment), None)
    if variable is None:
        return find_value(document.tables, path), document.file
    in_dotenv = variable in document.from_dotenv and key not in document.from_dotenv
    return document.environment[variable], document.describe_source(variable) if in_dotenv else ""


def _is_vendor_address(field: attrs.Attribute[Any], value: object, own: str | None) -> bool:
    """Return whether a value for an address field is unset or one of the vendor's own addresses."""
    if value is None or (own is None and value == field.default):
        return True
    addresses = [*field.metadata.get(SERVICE_ADDRESS, ()), field.default] if own is None else [own]
    origin = _parse_origin(value)
    return origin is not None and origin in map(_parse_origin, addresses)


def _parse_origin(address: object) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of a URL; None for anything that is not a plain URL."""
    if not isinstance(address, str):
        return None
    try:
        url = urlsplit(address.strip())
        port = url.port
    except ValueError:
        return None
    if url.scheme not in PORTS or not url.hostname or "@" in url.netloc or "\\" in address:
        return None
    return url.scheme, url.hostname, port or PORTS[url.scheme]
