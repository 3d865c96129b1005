"""The tables ``[providers.…]`` as the settings of their plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from kickai_providers_core.config.descriptions import describe_value, format_path
from kickai_providers_core.config.problems import Violation
from kickai_providers_core.config.roles import find_successor
from kickai_providers_core.config.secret_refs import describe_reference, describe_unset
from kickai_providers_core.config.structuring import structure_table
from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.values.errors import Problem
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    import cattrs

    from kickai_providers_core.config.descriptions import Path
    from kickai_providers_core.config.layers import Layers
    from kickai_providers_core.config.name_index import NameIndex
    from kickai_providers_core.config.problems import ProblemList
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo

__all__ = ["InstanceReader", "locate_secrets", "replace_retired_model"]


@frozen(kw_only=True)
class InstanceReader:
    """Reads the settings of the instances, and reports what is wrong with them.

    Attributes:
        layers: The merged layers.
        index: The names of plugins and instances.
        converter: Structures tables as settings classes.
        problems: Where problems are added.
    """

    layers: Layers
    index: NameIndex
    converter: cattrs.Converter
    problems: ProblemList

    def read(self, *, exposed: bool) -> tuple[dict[str, ProviderSettings], dict[str, tuple[Problem, ...]]]:
        """Return the settings of every instance that has any, and what makes which instances unusable.

        A plugin without a table has its defaults. An invalid variable of a plugin makes its instance unusable, and
        nothing else. ``exposed`` is the default of ``expose_service_messages`` for tables without that key.
        """
        instances = {}
        unusable: dict[str, tuple[Problem, ...]] = {}
        for name, key in self.index.instances.items():
            path = ("providers", key)
            table = self.layers.find_merged_value(path)
            info = self._find_plugin(name, path, table)
            if info is None:
                continue
            settings, problems = self._structure(path, table, info)
            if settings is not None:
                kind = None if name == info.name else info.name
                settings = settings if settings.kind == kind else attrs.evolve(settings, kind=kind)
                has_own = isinstance(table, Mapping) and "expose_service_messages" in table
                if exposed and not has_own:
                    settings = attrs.evolve(settings, expose_service_messages=True)
                instances[name] = settings
            if problems:
                unusable[name] = problems
        return instances, unusable

    def check_secrets(self, providers: Mapping[str, ProviderSettings], untrusted: Mapping[str, str]) -> dict[Path, str]:
        """Report keys in the file and references without a value; return the sources of the other references."""
        sources = {}
        for name, settings in providers.items():
            for path, secret in locate_secrets(settings, ("providers", self.index.instances[name])):
                value = self.layers.find_merged_value(path)
                if isinstance(value, Mapping) and (source := describe_reference(value)):
                    sources[path] = source
                    if not secret:
                        reason = untrusted.get(str(value.get("file", "")).strip())
                        missing = source.removeprefix("environment ")
                        self.problems.add(
                            path, _build_missing_secret_violation(source, reason), severity="warning", missing=missing
                        )
                literal = self.layers.find_file_value(path)
                if isinstance(literal, str) and literal.strip():
                    hint = 'Use a reference such as { env = "NAME" }'
                    violation = Violation.from_message("the key itself is in the file", hint)
                    self.problems.add(path, violation, severity="warning", source=self.layers.file)
        return sources

    def _find_plugin(self, name: str, path: Path, table: Any) -> ProviderInfo | None:
        """Return the description of an instance's plugin; None when no usable plugin has that name."""
        index, problems = self.index, self.problems
        if isinstance(table, Mapping):
            kind = table.get("kind")
        else:
            kind = table.kind if isinstance(table, ProviderSettings) else None
        if kind is not None and not isinstance(kind, str):
            problems.add((*path, "kind"), Violation.from_mismatch("a string", describe_value(kind)))
            return index.infos.get(name)
        plugin = index.plugins.get(name if kind is None else str(kind))
        own = index.plugins.get(name)
        if plugin is None:
            violation = index.build_unknown_plugin_violation(
                name if kind is None else str(kind), is_kind=kind is not None
            )
            problems.add(path if kind is None else (*path, "kind"), violation)
        elif own is not None and plugin != own:
            message = f"must be {describe_value(own)}, got {describe_value(kind)}"
            hint = "An instance that is named after a plugin belongs to that plugin"
            problems.add((*path, "kind"), Violation.from_message(message, hint))
        elif plugin not in index.infos and table is not None:
            message = f"not checked, because the plugin {plugin} is broken"
            problems.add(path, Violation.from_message(message), severity="warning")
        return index.infos.get(own or plugin or "")

    def _structure(
        self, path: Path, table: Any, info: ProviderInfo
    ) -> tuple[ProviderSettings | None, tuple[Problem, ...]]:
        if isinstance(table, Mapping):
            table = {key: value for key, value in table.items() if key != "kind"}
        settings, violations = structure_table(self.converter, {} if table is None else table, info.settings_class)
        unusable: list[Problem] = []
        variables = {
            key: variable for (*above, key), variable in self.layers.plugin_variables.items() if tuple(above) == path
        }
        if variables and isinstance(table, Mapping) and _find_whole(violations):
            # The class rejects the combination. It may accept the table without the plugin's own variables.
            rest = {key: value for key, value in table.items() if key not in variables}
            without, others = structure_table(self.converter, rest, info.settings_class)
            if not _find_whole(others):
                unusable = [_build_variable_problem(sorted(variables.values()), _find_whole(violations))]
                settings, violations = without, others
        for violation in violations:
            variable = self.layers.plugin_variables.get((*path, *violation.path[:1]))
            if variable is None:
                # A plugin that requires settings is only an error when the settings mention it.
                self.problems.add(path, violation, severity="warning" if table is None else "error")
                continue
            unusable.append(
                Problem(
                    path=format_path(violation.path),
                    message=violation.message,
                    hint=violation.hint if isinstance(violation.hint, str) else violation.hint(),
                    source=self.layers.get_source((*path, *violation.path)),
                    missing=f"a valid {variable}",
                )
            )
        return settings, tuple(unusable)


def _find_whole(violations: tuple[Violation, ...]) -> Violation | None:
    """Return the violation of the table as a whole, if there is one."""
    return next((violation for violation in violations if not violation.path), None)


def _build_variable_problem(variables: list[str], violation: Violation | None) -> Problem:
    names = ", ".join(variables)
    message = violation.message if violation is not None else "invalid"
    return Problem(path="", message=message, source=f"environment {names}", missing=f"a valid {names}")


def replace_retired_model(settings: ProviderSettings, successors: Mapping[str, str]) -> ProviderSettings:
    """Return an instance's settings with the successor of its model, when that is retired."""
    model = settings.model and find_successor(successors, settings.model)
    return settings if model == settings.model else attrs.evolve(settings, model=model)


def locate_secrets(value: Any, path: Path = ()) -> Iterator[tuple[Path, Secret]]:
    """Yield every secret in a value, with its path."""
    if isinstance(value, Secret):
        yield path, value
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from locate_secrets(getattr(value, field.name), (*path, field.alias))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from locate_secrets(item, (*path, str(key)))
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            yield from locate_secrets(item, (*path, position))


def _build_missing_secret_violation(source: str, untrusted: str | None) -> Violation:
    if untrusted is None:
        return Violation.from_message(describe_unset(source))
    hint = "To use it anyway, name the settings file with --config, or with KICKAI_CONFIG in the environment"
    return Violation.from_message(f"{source} is ignored, because {untrusted}", hint)
