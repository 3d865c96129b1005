"""The tables ``[roles.…]`` and ``[catalogues.…]``, and how they become roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen
from attrs.validators import ge, optional

from kickai_providers_core.config.roles import IN_RANGE, KICKAI, Catalogue, Group, Role
from kickai_providers_core.values.targets import Target

__all__ = ["CatalogueTable", "RoleTable", "catalogue_of", "roles_of"]

Canonical = Callable[[str], str]
"""From the name of an instance, or an alias, to the name that the instance goes by."""


@frozen(kw_only=True)
class RoleTable:
    """One ``[roles.NAME]`` table; what is None is left as it was.

    Attributes:
        group: The name of a group in the catalogue.
        temperature: From 0 to 2; when None, that of the group if this table names one.
        max_tokens: The most tokens of an answer, from 1.
        models: By a provider's kind, or by an instance's name, the models to ask it for: the role's own, then backups.
        prefers: The instance, or the kind of instance, that is asked first when the chain has it.
        chain: The targets to ask, instead of the settings' primary and fallback.
    """

    group: str | None = None
    temperature: float | None = field(default=None, validator=optional(IN_RANGE))
    max_tokens: int | None = field(default=None, validator=optional(ge(1)))
    models: Mapping[str, tuple[str, ...]] = field(factory=dict)
    prefers: str | None = None
    chain: tuple[Target, ...] | None = None

    def over(self, role: Role, groups: Mapping[str, Group], canonical: Canonical) -> Role:
        """Return the role with this table's fields in the place of its own."""
        temperature = self.temperature
        if temperature is None and self.group is not None and self.group in groups:
            temperature = groups[self.group].temperature
        given: dict[str, Any] = {
            "group": self.group,
            "temperature": temperature,
            "max_tokens": self.max_tokens,
            "models": {**role.models, **{canonical(key): models for key, models in self.models.items()}},
            "prefers": self.prefers and canonical(self.prefers),
            "chain": self.chain and tuple(Target(canonical(link.provider), link.model) for link in self.chain),
        }
        return evolve(role, **{name: value for name, value in given.items() if value is not None})


@frozen(kw_only=True)
class CatalogueTable:
    """One ``[catalogues.NAME]`` table.

    Attributes:
        groups: Its groups by name.
        roles: Its roles by name.
        default: The role of everyone who has none.
        successors: From the name of a retired model to the one to call instead.
    """

    groups: Mapping[str, Group] = field(factory=dict)
    roles: Mapping[str, RoleTable] = field(factory=dict)
    default: RoleTable = field(factory=RoleTable)
    successors: Mapping[str, str] = field(factory=dict)


def catalogue_of(name: str, tables: Mapping[str, CatalogueTable], canonical: Canonical) -> Catalogue:
    """Return the catalogue of a name: one of the tables, else the shipped one."""
    if name not in tables:
        return KICKAI
    table = tables[name]
    return Catalogue(
        name=name,
        groups=table.groups,
        roles={role: given.over(Role(name=role), table.groups, canonical) for role, given in table.roles.items()},
        default=table.default.over(Role(name="default"), table.groups, canonical),
        successors=table.successors,
    )


def roles_of(
    catalogue: Catalogue, tables: Mapping[str, RoleTable], canonical: Canonical
) -> tuple[dict[str, Role], Role]:
    """Return the catalogue's roles with the tables' fields in the place of theirs, and the default role likewise."""
    known = {catalogue.default.name: catalogue.default, **catalogue.roles}
    own = {
        name: table.over(known.get(name, Role(name=name)), catalogue.groups, canonical)
        for name, table in tables.items()
    }
    default = own.pop(catalogue.default.name, catalogue.default)
    return {**catalogue.roles, **own}, default
