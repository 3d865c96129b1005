"""The tables ``[providers.…]``, and how each becomes its plugin's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from kickai_providers_core.config.faults import Fault
from kickai_providers_core.config.roles import living
from kickai_providers_core.config.secret_refs import described
from kickai_providers_core.config.structuring import fitted
from kickai_providers_core.config.wording import dotted, found
from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.values.errors import Problem
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    import cattrs

    from kickai_providers_core.config.layers import Layers
    from kickai_providers_core.config.names import Directory
    from kickai_providers_core.config.problems import Findings
    from kickai_providers_core.config.wording import Path
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo

__all__ = ["check_secrets", "instances_of", "living_in"]


def instances_of(
    layers: Layers, directory: Directory, converter: cattrs.Converter, findings: Findings, *, exposed: bool
) -> tuple[dict[str, ProviderSettings], dict[str, tuple[Problem, ...]]]:
    """Return the settings of every instance that has usable ones, and what keeps which of them from being used.

    A plugin without a table has its defaults. A plugin's own variable that does not fit makes its instance unusable,
    and nothing else. ``exposed`` is the default of ``expose_service_messages``; a table with that key keeps its value.
    """
    instances = {}
    unusable: dict[str, tuple[Problem, ...]] = {}
    for name, key in directory.instances.items():
        path = ("providers", key)
        table = layers.written(path)
        info = _info(name, path, table, directory, findings)
        if info is None:
            continue
        settings, problems = _settings(path, info, converter, findings, layers)
        if settings is not None:
            kind = None if name == info.name else info.name
            settings = settings if settings.kind == kind else attrs.evolve(settings, kind=kind)
            said = isinstance(table, Mapping) and "expose_service_messages" in table
            instances[name] = attrs.evolve(settings, expose_service_messages=True) if exposed and not said else settings
        if problems:
            unusable[name] = problems
    return instances, unusable


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
    path: Path, info: ProviderInfo, converter: cattrs.Converter, findings: Findings, layers: Layers
) -> tuple[ProviderSettings | None, tuple[Problem, ...]]:
    table = layers.written(path)
    if isinstance(table, Mapping):
        table = {key: value for key, value in table.items() if key != "kind"}
    settings, faults = fitted(converter, {} if table is None else table, info.settings_class)
    problems = []
    own = {key: variable for (*above, key), variable in layers.own_variables.items() if tuple(above) == tuple(path)}
    if own and isinstance(table, Mapping) and any(not fault.path for fault in faults):
        # The class as a whole refuses the values. Without those of the plugin's own variables it may take the rest.
        rest = {key: value for key, value in table.items() if key not in own}
        without, others = fitted(converter, rest, info.settings_class)
        if not any(not fault.path for fault in others):
            whole = next(fault for fault in faults if not fault.path)
            named = ", ".join(sorted(own.values()))
            problem = Problem(path="", message=whole.message, source=f"environment {named}", missing=f"a valid {named}")
            settings, faults, problems = without, others, [problem]
    for fault in faults:
        variable = layers.own_variables.get((*path, *fault.path[:1]))
        if variable is None:
            # A plugin that nobody has mentioned, and that cannot do without being mentioned, is in nobody's way.
            findings.add(path, fault, severity="warning" if table is None else "error")
            continue
        problems.append(
            Problem(
                path=dotted(fault.path),
                message=fault.message,
                hint=fault.hint if isinstance(fault.hint, str) else fault.hint(),
                source=layers.source_of((*path, *fault.path)),
                missing=f"a valid {variable}",
            )
        )
    return settings, tuple(problems)


def living_in(settings: ProviderSettings, successors: Mapping[str, str]) -> ProviderSettings:
    """Return an instance's settings with the successor of its model, when that is retired."""
    model = settings.model and living(successors, settings.model)
    return settings if model == settings.model else attrs.evolve(settings, model=model)


def check_secrets(
    providers: Mapping[str, ProviderSettings],
    layers: Layers,
    directory: Directory,
    findings: Findings,
    refused: Mapping[str, str],
) -> dict[Path, str]:
    """Find keys that stand in the file, and references to nothing; return where the other references point to."""
    sources = {}
    for name, settings in providers.items():
        for path, secret in secrets_in(settings, ("providers", directory.instances[name])):
            written = layers.written(path)
            if isinstance(written, Mapping) and described(written):
                sources[path] = described(written)
                if not secret:
                    missing = sources[path].removeprefix("environment ")
                    why = refused.get(str(written.get("file", "")).strip())
                    findings.add(path, _no_secret(sources[path], why), severity="warning", missing=missing)
            literal = layers.in_file(path)
            if isinstance(literal, str) and literal.strip():
                hint = "Whoever may read the file has it"
                fault = Fault.of("the secret itself", 'a reference such as { env = "NAME" }', hint)
                findings.add(path, fault, severity="warning", source=layers.file)
    return sources


def _no_secret(source: str, why_refused: str | None) -> Fault:
    if why_refused is None:
        return Fault.of(f"a reference to {source}, where there is nothing", "a secret")
    hint = "To use it anyway, name the settings file with --config, or with KICKAI_CONFIG in the environment"
    return Fault.of(
        f"{source}, which is not used because {why_refused}", "a file that only you and root may write", hint
    )


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
