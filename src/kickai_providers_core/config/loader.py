"""From a document to settings: everything that is wrong is found before anything is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, field, frozen

from kickai_providers_core.config.checks import (
    check_catalogues,
    check_doubles,
    check_names,
    check_retired,
    check_role,
    check_successors,
)
from kickai_providers_core.config.faults import Fault
from kickai_providers_core.config.instances import check_secrets, instances_of, living_in
from kickai_providers_core.config.layers import Layers, layered
from kickai_providers_core.config.names import Directory
from kickai_providers_core.config.problems import Findings
from kickai_providers_core.config.role_tables import CatalogueTable, RoleTable, catalogue_of, roles_of
from kickai_providers_core.config.roles import Catalogue, Role, living, revived
from kickai_providers_core.config.secret_refs import Keyring, References
from kickai_providers_core.config.settings import KickaiSettings, Settings
from kickai_providers_core.config.sources import overlaid
from kickai_providers_core.config.structuring import converter_with, fitted
from kickai_providers_core.config.wording import dotted
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.routing import Routing
from kickai_providers_core.values.errors import ConfigError
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import cattrs

    from kickai_providers_core.config.sources import Document
    from kickai_providers_core.config.wording import Path
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.errors import Problem

__all__ = ["structure"]


def structure(
    document: Document,
    infos: Mapping[str, ProviderInfo],
    *,
    broken: Collection[str] = (),
    keyring: Keyring | None = None,
) -> Settings:
    """Return the settings that a document means.

    Args:
        document: What `read` returned.
        infos: What the usable provider plugins say of themselves, by name.
        broken: The names of plugins that are installed but not usable; the settings may name them all the same.
        keyring: Whom to ask for ``{ keyring = "…" }``; None for the keyring library.

    Raises:
        ConfigError: With every problem of the settings at once.
    """
    reading = _Reading.of(document, infos, broken, keyring)
    settings = reading.settings()
    problems = reading.findings.errors()
    if problems:
        raise ConfigError(problems)
    return settings


@frozen(kw_only=True)
class _Tables:
    """The whole file; what each table means stands at its class."""

    kickai: KickaiSettings = field(factory=KickaiSettings)
    providers: Mapping[str, Any] = field(factory=dict)
    roles: Mapping[str, RoleTable] = field(factory=dict)
    catalogues: Mapping[str, CatalogueTable] = field(factory=dict)
    successors: Mapping[str, str] = field(factory=dict)
    policy: Policy = field(factory=Policy)
    breaker: BreakerSettings = field(factory=BreakerSettings)
    hedging: Hedging = field(factory=Hedging)
    routing: Routing = field(factory=Routing)


@frozen(kw_only=True)
class _Reading:
    """One document on its way to settings.

    Attributes:
        directory: Who is known by which name.
        layers: What was written, by whom.
        findings: What is wrong with it.
        converter: Makes classes of tables.
        tables: The document, without what did not fit.
        faulty: The sections and fields that something did not fit in.
        refused: The files of secrets that were not used, each with the reason.
        warnings: What was wrong before.
    """

    directory: Directory
    layers: Layers = field(repr=False)
    findings: Findings
    converter: cattrs.Converter
    tables: _Tables = field(repr=False)
    faulty: frozenset[Path]
    refused: Mapping[str, str]
    warnings: tuple[Problem, ...]

    @classmethod
    def of(
        cls,
        document: Document,
        infos: Mapping[str, ProviderInfo],
        broken: Collection[str],
        keyring: Keyring | None,
    ) -> Self:
        """Lay the document's layers over each other, and fit the whole into its classes."""
        keys = overlaid(document.tables, document.given).get("providers")
        named = [*map(str, keys)] if isinstance(keys, Mapping) else []
        directory, doubles = Directory.of(infos.values(), broken, named, document.plugins)
        layers = layered(document, directory)
        findings = Findings(layers)
        references = References(
            environment=document.environment,
            folder=document.folder,
            is_named=document.is_named or not document.file,
            keyring=keyring,
        )
        converter = converter_with(references.reveal)
        tables, faults = fitted(converter, layers.tables, _Tables)
        for fault in faults:
            findings.add((), fault)
        for source, fault in layers.faults:
            findings.add((), fault, source=source)
        for source, fault in layers.suspects:
            findings.add((), fault, source=source, severity="warning")
        for path, source, fault in layers.withheld:
            findings.add(path, fault, source=source, severity="warning")
        for key, first in doubles:
            hint = "An alias is the same name, and names differ in more than case, '-' and '_'"
            told = Fault.of(f"another name for {dotted(('providers', first))}", "one table for each instance", hint)
            findings.add(("providers", key), told)
        return cls(
            directory=directory,
            layers=layers,
            findings=findings,
            converter=converter,
            tables=tables,
            faulty=frozenset(fault.path[:2] for fault in faults),
            refused=references.refused,
            warnings=document.warnings,
        )

    def settings(self) -> Settings:
        """Return the settings, as far as they can be had; what is wrong with them is in the findings."""
        canonical, tables = self.directory.canonical, self.tables
        catalogue = catalogue_of(tables.kickai.catalogue, tables.catalogues, canonical)
        successors = self._successors(catalogue)
        roles, default = roles_of(catalogue, tables.roles, canonical)
        providers: dict[str, ProviderSettings] = {}
        unusable: dict[str, tuple[Problem, ...]] = {}
        # Without a readable allow-list no plugin is loaded, and every name would seem unknown.
        if not self.faulty & {("kickai",), ("kickai", "plugins")}:
            exposed = tables.kickai.expose_service_messages
            providers, unusable = instances_of(
                self.layers, self.directory, self.converter, self.findings, exposed=exposed
            )
            self._check(catalogue)
            asked = roles if default is catalogue.default else {**roles, default.name: default}
            check_retired(self._asked(catalogue, asked, providers), successors, self.findings)
        secrets = check_secrets(providers, self.layers, self.directory, self.findings, self.refused)
        sources = dict(self.layers.sources) | secrets
        return Settings(
            kickai=self._kickai(),
            providers={name: living_in(settings, successors) for name, settings in providers.items()},
            roles={name: revived(role, successors) for name, role in roles.items()},
            default_role=revived(default, successors),
            groups=catalogue.groups,
            successors=successors,
            policy=tables.policy,
            breaker=tables.breaker,
            hedging=tables.hedging,
            routing=self._routing(successors),
            explicit=frozenset(canonical(name) for _, name in self._links()),
            sources=self._named(catalogue, sources),
            unusable=unusable,
            warnings=(*self.warnings, *self.findings.warnings()),
        )

    def _kickai(self) -> KickaiSettings:
        kickai, canonical = self.tables.kickai, self.directory.canonical
        return evolve(
            kickai,
            primary=canonical(kickai.primary),
            fallback=tuple(map(canonical, kickai.fallback)),
            preferred=None if kickai.preferred is None else canonical(kickai.preferred),
        )

    def _routing(self, successors: Mapping[str, str]) -> Routing:
        routing = self.tables.routing
        strong = routing.strong
        if strong is None:
            return routing
        model = living(successors, strong.model) if strong.model is not None else None
        return evolve(routing, strong=Target(self.directory.canonical(strong.provider), model))

    def _links(self) -> list[tuple[Path, str]]:
        """Return the names that somebody chose in ``[kickai]``, and where; the defaults are not among them."""
        kickai = self.tables.kickai
        names: list[tuple[Path, str]] = [(("kickai", "primary"), kickai.primary)]
        names += [(("kickai", "fallback", at), name) for at, name in enumerate(kickai.fallback)]
        names += [(("kickai", "preferred"), kickai.preferred)] if kickai.preferred is not None else []
        given = self.layers.written(("kickai",))
        if isinstance(given, Mapping):
            return [(path, name) for path, name in names if path[1] in given and path[:2] not in self.faulty]
        return [(path, name) for path, name in names if name not in KickaiSettings().order]

    def _successors(self, catalogue: Catalogue) -> dict[str, str]:
        """Return who takes which model's place: as plugins say it, over them the catalogue, over that the file."""
        told = {
            model: known.successor
            for info in self.directory.infos.values()
            for model, known in info.models.items()
            if known.successor is not None
        }
        return {**told, **catalogue.successors, **self.tables.successors}

    def _check(self, catalogue: Catalogue) -> None:
        """Find the names that nothing has."""
        directory, findings, kickai = self.directory, self.findings, self.tables.kickai
        links = self._links()
        check_names(links, directory, findings)
        strong = self.tables.routing.strong
        if strong is not None:
            check_names([(("routing", "strong"), strong.provider)], directory, findings)
        check_doubles(("kickai", "fallback"), map(directory.canonical, kickai.fallback), findings)
        if not links and not any(map(directory.knows, kickai.order)):
            told = Fault.of(
                f"none of {', '.join(kickai.order)} installed", "a provider to ask", "pip install kickai-hf"
            )
            findings.add(("kickai", "primary"), told, severity="warning")
        for name, table in self.tables.roles.items():
            check_role(("roles", name), table, catalogue.groups, directory, findings)
        check_catalogues(kickai.catalogue, self.tables.catalogues, directory, findings)
        check_successors(("successors",), self.tables.successors, findings)

    def _asked(
        self, catalogue: Catalogue, roles: Mapping[str, Role], providers: Mapping[str, ProviderSettings]
    ) -> Iterator[tuple[Path, str, str | None]]:
        """Yield every model that somebody names, with its path and, where that is no layer's, its source."""
        for name, role in roles.items():
            source = f"catalogue {catalogue.name}" if role is catalogue.roles.get(name) else None
            for key, models in role.models.items():
                if self.directory.knows(key):
                    yield from ((("roles", name, "models", key), model, source) for model in models)
            for at, link in enumerate(role.chain or ()):
                if link.model is not None:
                    yield ("roles", name, "chain", at), link.model, source
        for name, settings in providers.items():
            if settings.model is not None:
                yield ("providers", self.directory.instances[name], "model"), settings.model, None

    def _named(self, catalogue: Catalogue, sources: Mapping[Path, str]) -> dict[str, str]:
        """Return the sources by dotted path, of instances by their own names and of roles from the catalogue on."""
        keys = {key: name for name, key in self.directory.instances.items()}
        label = f"catalogue {catalogue.name}"
        named = {
            dotted(("roles", name, field)): label
            for name in catalogue.roles
            for field in ("group", "temperature", "max_tokens", "models")
        }
        for (section, *rest), source in sources.items():
            if section == "providers" and rest:
                rest[0] = keys.get(str(rest[0]), rest[0])
            named[dotted((section, *rest))] = source
        return named
