"""Turns a document into settings, and reports every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, field, frozen

from kickai_providers_core.config.checks import (
    check_catalogues,
    check_duplicates,
    check_names,
    check_retired,
    check_role,
    check_successors,
)
from kickai_providers_core.config.descriptions import format_path
from kickai_providers_core.config.gateway_settings import GatewaySettings
from kickai_providers_core.config.instances import InstanceReader, locate_secrets, replace_retired_model
from kickai_providers_core.config.layers import Layers
from kickai_providers_core.config.monitor_settings import MonitorSettings
from kickai_providers_core.config.name_index import NameIndex
from kickai_providers_core.config.price_settings import PriceSettings
from kickai_providers_core.config.problems import ProblemList, Violation
from kickai_providers_core.config.roles import (
    Catalogue,
    CatalogueTable,
    Role,
    RoleTable,
    find_successor,
    load_built_in_catalogue,
    merge_roles,
    replace_retired_models,
)
from kickai_providers_core.config.secret_refs import Keyring, SecretResolver
from kickai_providers_core.config.settings import KickaiSettings, Settings
from kickai_providers_core.config.sources import merge_tables
from kickai_providers_core.config.store_settings import StoreSettings, resolve_store
from kickai_providers_core.config.structuring import build_converter, structure_table
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rollout_settings import RolloutSettings
from kickai_providers_core.resilience.routing import Routing
from kickai_providers_core.values.errors import ConfigError
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path as FilePath

    import cattrs

    from kickai_providers_core.config.descriptions import Path
    from kickai_providers_core.config.sources import SettingsDocument
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.errors import Problem

__all__ = ["structure"]


def structure(
    document: SettingsDocument,
    infos: Mapping[str, ProviderInfo],
    *,
    broken: Collection[str] = (),
    keyring: Keyring | None = None,
) -> Settings:
    """Return the settings of a document.

    Args:
        document: The result of `read`.
        infos: The descriptions of the usable provider plugins, by name.
        broken: The names of installed plugins that are not usable; the settings may name them nevertheless.
        keyring: The backend for ``{ keyring = "…" }``; None for the keyring library.

    Raises:
        ConfigError: The settings have errors; it has all of them.
    """
    loader = _Loader.from_document(document, infos, broken, keyring)
    settings = loader.build()
    errors = loader.problems.list_errors()
    if errors:
        raise ConfigError(errors)
    return settings


@frozen(kw_only=True)
class _Tables:
    """The tables of the file; each is documented at its class."""

    kickai: KickaiSettings = field(factory=KickaiSettings)
    providers: Mapping[str, Any] = field(factory=dict)
    roles: Mapping[str, RoleTable] = field(factory=dict)
    catalogues: Mapping[str, CatalogueTable] = field(factory=dict)
    successors: Mapping[str, str] = field(factory=dict)
    policy: Policy = field(factory=Policy)
    breaker: BreakerSettings = field(factory=BreakerSettings)
    hedging: Hedging = field(factory=Hedging)
    routing: Routing = field(factory=Routing)
    rollout: RolloutSettings = field(factory=RolloutSettings)
    monitor: MonitorSettings = field(factory=MonitorSettings)
    store: StoreSettings = field(factory=StoreSettings)
    prices: PriceSettings = field(factory=PriceSettings)
    gateway: GatewaySettings = field(factory=GatewaySettings)


@frozen(kw_only=True)
class _Loader:
    """One document on its way to settings.

    Attributes:
        index: The names of plugins and instances.
        layers: The merged layers.
        problems: What is wrong so far.
        converter: Structures tables as settings classes.
        tables: The structured tables, without invalid values.
        invalid: The sections and fields with violations.
        untrusted: The files of secrets that were not used, each with the reason.
        folder: The folder of the document.
        warnings: The warnings of the document.
    """

    index: NameIndex
    layers: Layers = field(repr=False)
    problems: ProblemList
    converter: cattrs.Converter
    tables: _Tables = field(repr=False)
    invalid: frozenset[Path]
    untrusted: Mapping[str, str]
    folder: FilePath
    warnings: tuple[Problem, ...]

    @classmethod
    def from_document(
        cls,
        document: SettingsDocument,
        infos: Mapping[str, ProviderInfo],
        broken: Collection[str],
        keyring: Keyring | None,
    ) -> Self:
        """Merge the layers of a document, and structure its tables."""
        providers = merge_tables(document.tables, document.overrides).get("providers")
        keys = [*map(str, providers)] if isinstance(providers, Mapping) else []
        index, duplicates = NameIndex.from_tables(infos.values(), broken, keys, document.plugins)
        layers = Layers.from_document(document, index)
        problems = ProblemList(layers)
        resolver = SecretResolver(
            environment=document.environment,
            folder=document.folder,
            is_named=document.is_named or not document.file,
            keyring=keyring,
        )
        converter = build_converter(resolver.resolve)
        tables, violations = structure_table(converter, layers.tables, _Tables)
        for violation in violations:
            problems.add((), violation)
        _report_layers(layers, problems)
        _report_duplicates(duplicates, problems)
        return cls(
            index=index,
            layers=layers,
            problems=problems,
            converter=converter,
            tables=tables,
            invalid=frozenset(violation.path[:2] for violation in violations),
            untrusted=resolver.untrusted,
            folder=document.folder,
            warnings=document.warnings,
        )

    def build(self) -> Settings:
        """Return the settings, without invalid values, and add what is wrong with them to the problems."""
        resolve, tables = self.index.resolve, self.tables
        catalogue = self._load_catalogue()
        successors = self._merge_successors(catalogue)
        roles, default = merge_roles(catalogue, tables.roles, resolve)
        reader = InstanceReader(layers=self.layers, index=self.index, converter=self.converter, problems=self.problems)
        providers: dict[str, ProviderSettings] = {}
        unusable: dict[str, tuple[Problem, ...]] = {}
        # Without a valid allow-list no plugin is loaded, and every name would be unknown.
        if not self.invalid & {("kickai",), ("kickai", "plugins")}:
            providers, unusable = reader.read(exposed=tables.kickai.expose_service_messages)
            self._check_names(catalogue, providers)
            all_roles = roles if default is catalogue.default else {**roles, default.name: default}
            check_retired(self._list_models(catalogue, all_roles, providers), successors, self.problems)
        sources = dict(self.layers.sources) | reader.check_secrets(providers, self.untrusted)
        return Settings(
            kickai=self._kickai(providers),
            providers={name: replace_retired_model(settings, successors) for name, settings in providers.items()},
            roles={name: replace_retired_models(role, successors) for name, role in roles.items()},
            default_role=replace_retired_models(default, successors),
            groups=catalogue.groups,
            successors=successors,
            policy=tables.policy,
            breaker=tables.breaker,
            hedging=tables.hedging,
            routing=self._resolve_routing(successors),
            rollout=self._resolve_rollout(),
            monitor=tables.monitor,
            store=resolve_store(tables.store, self.folder),
            prices=tables.prices,
            gateway=tables.gateway,
            explicit=frozenset(resolve(name) for _, name in self._list_chosen_names()),
            sources=self._format_sources(catalogue, sources),
            unusable=unusable,
            warnings=(*self.warnings, *self.problems.list_warnings()),
        )

    def _load_catalogue(self) -> Catalogue:
        name, tables = self.tables.kickai.catalogue, self.tables.catalogues
        return tables[name].build(name, self.index.resolve) if name in tables else load_built_in_catalogue()

    def _kickai(self, providers: Mapping[str, ProviderSettings]) -> KickaiSettings:
        kickai, resolve = self.tables.kickai, self.index.resolve
        fallback = tuple(map(resolve, kickai.fallback))
        table = self.layers.find_merged_value(("kickai",))
        if table is None or (isinstance(table, Mapping) and not table.keys() & {"primary", "fallback"}):
            *remote, local = fallback
            fallback = (*remote, *self._find_others_with_keys(providers), local)
        return evolve(
            kickai,
            primary=resolve(kickai.primary),
            fallback=fallback,
            preferred=None if kickai.preferred is None else resolve(kickai.preferred),
        )

    def _find_others_with_keys(self, providers: Mapping[str, ProviderSettings]) -> list[str]:
        """Return the plugins besides those of the default order that have a key, by name.

        A plugin without a key is only called when somebody names it: it may be one for tests.
        """
        others = sorted(set(self.index.infos).intersection(providers) - set(KickaiSettings().order))
        return [name for name in others if any(secret for _, secret in locate_secrets(providers[name]))]

    def _resolve_routing(self, successors: Mapping[str, str]) -> Routing:
        routing = self.tables.routing
        strong = routing.strong
        if strong is None:
            return routing
        model = find_successor(successors, strong.model) if strong.model is not None else None
        return evolve(routing, strong=Target(self.index.resolve(strong.provider), model))

    def _resolve_rollout(self) -> RolloutSettings:
        rollout = self.tables.rollout
        return (
            rollout if rollout.candidate is None else evolve(rollout, candidate=self.index.resolve(rollout.candidate))
        )

    def _list_chosen_names(self) -> list[tuple[Path, str]]:
        """Return the names in ``[kickai]`` that are not defaults, each with its path."""
        kickai = self.tables.kickai
        names: list[tuple[Path, str]] = [(("kickai", "primary"), kickai.primary)]
        names += [(("kickai", "fallback", at), name) for at, name in enumerate(kickai.fallback)]
        names += [(("kickai", "preferred"), kickai.preferred)] if kickai.preferred is not None else []
        table = self.layers.find_merged_value(("kickai",))
        if isinstance(table, Mapping):
            return [(path, name) for path, name in names if path[1] in table and path[:2] not in self.invalid]
        return [(path, name) for path, name in names if name not in KickaiSettings().order]

    def _merge_successors(self, catalogue: Catalogue) -> dict[str, str]:
        """Return the successors of the plugins, then of the catalogue, then of the settings; later ones win."""
        of_plugins = {
            model: info.successor
            for plugin in self.index.infos.values()
            for model, info in plugin.models.items()
            if info.successor is not None
        }
        return {**of_plugins, **catalogue.successors, **self.tables.successors}

    def _check_names(self, catalogue: Catalogue, providers: Mapping[str, ProviderSettings]) -> None:
        """Report unknown and duplicate names."""
        index, problems, kickai = self.index, self.problems, self.tables.kickai
        names = self._list_chosen_names()
        check_names(names, index, problems)
        strong = self.tables.routing.strong
        if strong is not None:
            check_names([(("routing", "strong"), strong.provider)], index, problems)
        candidate = self.tables.rollout.candidate
        if candidate is not None:
            check_names([(("rollout", "candidate"), candidate)], index, problems)
        check_duplicates(("kickai", "fallback"), map(index.resolve, kickai.fallback), problems)
        order = (*kickai.order, *self._find_others_with_keys(providers))
        if not names and not any(map(index.knows, order)):
            message = f"none of the providers {', '.join(kickai.order)} is installed"
            violation = Violation.from_message(message, "Install one of them (kickai providers --available shows how)")
            problems.add(("kickai", "primary"), violation, severity="warning")
        for name, table in self.tables.roles.items():
            check_role(("roles", name), table, catalogue.groups, index, problems)
        check_catalogues(kickai.catalogue, self.tables.catalogues, index, problems)
        check_successors(("successors",), self.tables.successors, problems)

    def _list_models(
        self, catalogue: Catalogue, roles: Mapping[str, Role], providers: Mapping[str, ProviderSettings]
    ) -> Iterator[tuple[Path, str, str | None]]:
        """Yield every model that the settings name, with its path and, unless a layer is the source, its source."""
        for name, role in roles.items():
            known, of_catalogue = catalogue.roles.get(name), f"catalogue {catalogue.name}"
            for key, models in role.models.items():
                source = of_catalogue if known is not None and known.models.get(key) == models else None
                if self.index.knows(key):
                    yield from ((("roles", name, "models", key), model, source) for model in models)
            source = of_catalogue if known is not None and known.chain == role.chain else None
            for position, target in enumerate(role.chain or ()):
                if target.model is not None:
                    yield ("roles", name, "chain", position), target.model, source
        for name, settings in providers.items():
            if settings.model is not None:
                yield ("providers", self.index.instances[name], "model"), settings.model, None

    def _format_sources(self, catalogue: Catalogue, sources: Mapping[Path, str]) -> dict[str, str]:
        """Return the sources by dotted path, with the names of instances instead of their keys."""
        names = {key: name for name, key in self.index.instances.items()}
        by_path = {
            format_path(("roles", name, field)): f"catalogue {catalogue.name}"
            for name in catalogue.roles
            for field in ("group", "temperature", "max_tokens", "models")
        }
        for (section, *rest), source in sources.items():
            if section == "providers" and rest:
                rest[0] = names.get(str(rest[0]), rest[0])
            by_path[format_path((section, *rest))] = source
        return by_path


def _report_layers(layers: Layers, problems: ProblemList) -> None:
    """Report invalid and misspelled variables, and withheld keys."""
    for source, violation in layers.invalid:
        problems.add((), violation, source=source)
    for source, violation in layers.misspelled:
        problems.add((), violation, source=source, severity="warning")
    for key in layers.withheld:
        problems.add(key.path, key.violation, source=key.source, severity="warning")


def _report_duplicates(duplicates: list[tuple[str, str]], problems: ProblemList) -> None:
    """Report second tables of an instance."""
    for key, first in duplicates:
        hint = "Aliases, and names that differ only in case, '-' and '_', mean the same instance"
        violation = Violation.from_message(f"duplicate of {format_path(('providers', first))}", hint)
        problems.add(("providers", key), violation)
