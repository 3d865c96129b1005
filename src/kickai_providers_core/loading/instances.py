"""The tables ``[providers.…]``, and how each becomes its plugin's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from kickai_providers_core.catalogue import living
from kickai_providers_core.loading.misfit import Fault
from kickai_providers_core.loading.references import described
from kickai_providers_core.loading.structuring import fitted
from kickai_providers_core.loading.wording import found
from kickai_providers_core.provider_settings import ProviderSettings
from kickai_providers_core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    import cattrs

    from kickai_providers_core.hookspecs import ProviderInfo
    from kickai_providers_core.loading.directory import Directory
    from kickai_providers_core.loading.findings import Findings
    from kickai_providers_core.loading.layers import Layers
    from kickai_providers_core.loading.wording import Path

__all__ = ["check_secrets", "instances_of", "living_in"]


def instances_of(
    layers: Layers, directory: Directory, converter: cattrs.Converter, findings: Findings, *, exposed: bool
) -> dict[str, ProviderSettings]:
    """Return the settings of every instance that has usable ones; a plugin without a table has its defaults.

    ``exposed`` is the default of ``expose_service_messages``; a table that has the key keeps its own value.
    """
    instances = {}
    for name, key in directory.instances.items():
        path = ("providers", key)
        table = layers.written(path)
        info = _info(name, path, table, directory, findings)
        if info is None:
            continue
        settings = _settings(table, path, info, converter, findings)
        if settings is not None:
            kind = None if name == info.name else info.name
            settings = settings if settings.kind == kind else attrs.evolve(settings, kind=kind)
            said = isinstance(table, Mapping) and "expose_service_messages" in table
            instances[name] = attrs.evolve(settings, expose_service_messages=True) if exposed and not said else settings
    return instances


def _info(name: str, path: Path, table: Any, directory: Directory, findings: Findings) -> ProviderInfo | None:
    """Return what the plugin of an instance says of itself; None when there is none that is usable."""
    if isinstance(table, Mapping):
        kind = table.get("kind")
    else:
        kind = table.kind if isinstance(table, ProviderSettings) else None
    if kind is not None and not isinstance(kind, str):
        findings.add((*path, "kind"), Fault.of(found(kind), "a string"))
        return directory.infos.get(name)
    plugin = directory.plugins.get(name if kind is None else str(kind))
    own = directory.plugins.get(name)
    if plugin is None:
        expected = "a plugin" if kind is not None else "a plugin's name, or the key kind with one"
        fault = directory.stranger(name if kind is None else str(kind), expected, directory.infos)
        findings.add(path if kind is None else (*path, "kind"), fault)
    elif own is not None and plugin != own:
        told = Fault.of(found(kind), found(own), "An instance with the name of a plugin is of that plugin")
        findings.add((*path, "kind"), told)
    elif plugin not in directory.infos and table is not None:
        told = Fault.of(f"a table for the plugin {plugin}, which is broken", "a plugin that can say what belongs in it")
        findings.add(path, told, severity="warning")
    return directory.infos.get(own or plugin or "")


def _settings(
    table: Any, path: Path, info: ProviderInfo, converter: cattrs.Converter, findings: Findings
) -> ProviderSettings | None:
    if isinstance(table, Mapping):
        table = {key: value for key, value in table.items() if key != "kind"}
    settings, faults = fitted(converter, {} if table is None else table, info.settings_class)
    for fault in faults:
        # A plugin that nobody has mentioned, and that cannot do without being mentioned, is in nobody's way.
        findings.add(path, fault, severity="warning" if table is None else "error")
    return settings  # type: ignore[no-any-return] # it is of the class that was asked for


def living_in(settings: ProviderSettings, successors: Mapping[str, str]) -> ProviderSettings:
    """Return an instance's settings with the successor of its model, when that is retired."""
    model = settings.model and living(successors, settings.model)
    return settings if model == settings.model else attrs.evolve(settings, model=model)


def check_secrets(
    providers: Mapping[str, ProviderSettings], layers: Layers, directory: Directory, findings: Findings
) -> dict[Path, str]:
    """Find keys that stand in the file, and references to nothing; return where the other references point to."""
    sources = {}
    for name, settings in providers.items():
        for path, secret in secrets_in(settings, ("providers", directory.instances[name])):
            written = layers.written(path)
            if isinstance(written, Mapping) and described(written):
                sources[path] = described(written)
                if not secret:
                    fault = Fault.of(f"a reference to {sources[path]}, where there is nothing", "a secret")
                    missing = sources[path].removeprefix("environment ")
                    findings.add(path, fault, severity="warning", missing=missing)
            literal = layers.in_file(path)
            if isinstance(literal, str) and literal.strip():
                hint = "Whoever may read the file has it"
                fault = Fault.of("the secret itself", 'a reference such as { env = "NAME" }', hint)
                findings.add(path, fault, severity="warning", source=layers.file)
    return sources


def secrets_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, Secret]]:
    """Yield every secret in a value, with its path from there."""
    if isinstance(value, Secret):
        yield path, value
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from secrets_in(getattr(value, field.name), (*path, field.alias))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from secrets_in(item, (*path, str(key)))
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            yield from secrets_in(item, (*path, position))
