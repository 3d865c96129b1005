"""Roles: how the requests of each agent are sent, and the built-in catalogue of roles.

The built-in catalogue is data, in ``kickai_roles.toml``. It keeps the model names that it was planned with; the
successors of retired models are called instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from attrs import evolve, field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.validation import Number

__all__ = [
    "BUILT_IN",
    "Catalogue",
    "CatalogueTable",
    "Group",
    "LazyMapping",
    "Role",
    "RoleTable",
    "find_successor",
    "load_built_in_catalogue",
    "load_current_catalogue",
    "merge_roles",
    "replace_retired_models",
]

V = TypeVar("V")

BUILT_IN = "kickai"
"""The name of the built-in catalogue."""

MAX_TEMPERATURE = 2.0
"""The highest temperature that any of the known services accepts (see OpenAI's and Google's API references)."""

ResolveName = Callable[[str], str]
"""From the name or alias of an instance to the name of the instance."""


@frozen(kw_only=True, eq=False, repr=False)
class Group(Value):
    """Roles that share a temperature.

    Attributes:
        temperature: From 0 to 2; the temperature of each of its roles that sets none.
        reason: Why it has this temperature, as half a sentence.
    """

    temperature: float = field(validator=Number(minimum=0, maximum=MAX_TEMPERATURE))
    reason: str = ""


@frozen(kw_only=True, eq=False, repr=False)
class Role(Value):
    """How the requests of one agent are sent.

    Attributes:
        name: The agent's name.
        group: The name of its group; empty for none.
        temperature: From 0 to 2.
        max_tokens: The token limit of an answer, from 1.
        models: The models to call, by the name of a plugin or an instance: the role's own model, then its backups.
        planned: The retired model that the role was planned with, by the same keys; ``models`` has its successor.
        prefers: The instance or plugin that is called first when the chain has it; None for the order of the settings.
        chain: The targets to call instead of the settings' primary and fallback; None for these.
    """

    name: str
    group: str = ""
    temperature: float = field(default=0.3, validator=Number(minimum=0, maximum=MAX_TEMPERATURE))
    max_tokens: int = field(default=500, validator=Number(integer=True, minimum=1))
    models: Mapping[str, tuple[str, ...]] = field(factory=dict)
    planned: Mapping[str, str] = field(factory=dict)
    prefers: str | None = None
    chain: tuple[Target, ...] | None = None


@frozen(kw_only=True, eq=False, repr=False)
class Catalogue(Value):
    """Roles that are used together.

    Attributes:
        name: Its name in ``[kickai] catalogue``.
        groups: Its groups by name.
        roles: Its roles by name.
        default: The role of every agent that has none here.
        successors: From the name of a retired model to the one that is called instead.
    """

    name: str
    groups: Mapping[str, Group] = field(factory=dict)
    roles: Mapping[str, Role] = field(factory=dict)
    default: Role = field(factory=lambda: Role(name="default"))
    successors: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True, eq=False, repr=False)
class RoleTable(Value):
    """One ``[roles.NAME]`` table. A field that is None leaves the value of the catalogue as it is.

    Attributes:
        group: The name of a group in the catalogue.
        temperature: From 0 to 2; when None, that of the group if this table names one.
        max_tokens: The token limit of an answer, from 1.
        models: The models to call, by the name of a plugin or an instance: the role's own model, then its backups.
        prefers: The instance or plugin that is called first when the chain has it.
        chain: The targets to call instead of the settings' primary and fallback.
    """

    group: str | None = None
    temperature: float | None = field(default=None, validator=Number(minimum=0, maximum=MAX_TEMPERATURE, optional=True))
    max_tokens: int | None = field(default=None, validator=Number(integer=True, minimum=1, optional=True))
    models: Mapping[str, tuple[str, ...]] = field(factory=dict)
    prefers: str | None = None
    chain: tuple[Target, ...] | None = None

    def apply_to(self, role: Role, groups: Mapping[str, Group], resolve: ResolveName) -> Role:
        """Return a role with the fields that this table sets."""
        temperature = self.temperature
        if temperature is None and self.group is not None and self.group in groups:
            temperature = groups[self.group].temperature
        fields: dict[str, Any] = {
            "group": self.group,
            "temperature": temperature,
            "max_tokens": self.max_tokens,
            "models": {**role.models, **{resolve(key): models for key, models in self.models.items()}},
            "prefers": self.prefers and resolve(self.prefers),
            "chain": self.chain and tuple(Target(resolve(target.provider), target.model) for target in self.chain),
        }
        return evolve(role, **{name: value for name, value in fields.items() if value is not None})


@frozen(kw_only=True, eq=False, repr=False)
class CatalogueTable(Value):
    """One ``[catalogues.NAME]`` table.

    Attributes:
        groups: Its groups by name.
        roles: Its roles by name.
        default: The role of every agent that has none.
        successors: From the name of a retired model to the one that is called instead.
    """

    groups: Mapping[str, Group] = field(factory=dict)
    roles: Mapping[str, RoleTable] = field(factory=dict)
    default: RoleTable = field(factory=RoleTable)
    successors: Mapping[str, str] = field(factory=dict)

    def build(self, name: str, resolve: ResolveName) -> Catalogue:
        """Return the catalogue of this table."""
        return Catalogue(
            name=name,
            groups=self.groups,
            roles={role: table.apply_to(Role(name=role), self.groups, resolve) for role, table in self.roles.items()},
            default=self.default.apply_to(Role(name="default"), self.groups, resolve),
            successors=self.successors,
        )


def merge_roles(
    catalogue: Catalogue, tables: Mapping[str, RoleTable], resolve: ResolveName
) -> tuple[dict[str, Role], Role]:
    """Return the catalogue's roles with the fields that the tables set, and the default role in the same way."""
    known = {catalogue.default.name: catalogue.default, **catalogue.roles}
    roles = {
        name: table.apply_to(known.get(name, Role(name=name)), catalogue.groups, resolve)
        for name, table in tables.items()
    }
    default = roles.pop(catalogue.default.name, catalogue.default)
    return {**catalogue.roles, **roles}, default


def find_successor(successors: Mapping[str, str], model: str) -> str:
    """Return the model to call for a model that may be retired: the last of its successors, or itself."""
    seen = {model}
    while (successor := successors.get(model)) is not None and successor not in seen:
        seen.add(successor)
        model = successor
    return model


def replace_retired_models(role: Role, successors: Mapping[str, str]) -> Role:
    """Return the role with the successor of every retired model; ``planned`` keeps the retired names."""
    models = {
        key: tuple(dict.fromkeys(find_successor(successors, name) for name in names))
        for key, names in role.models.items()
    }
    retired = {key: names[0] for key, names in role.models.items() if names and models[key][0] != names[0]}
    return evolve(role, models=models, planned={**role.planned, **retired})


@cache
def load_built_in_catalogue() -> Catalogue:
    """Return the built-in catalogue, with the model names that it was planned with."""
    # Settings in code that name their own roles do without these imports.
    import tomllib  # noqa: PLC0415
    from importlib.resources import files  # noqa: PLC0415

    data = tomllib.loads(files("kickai_providers_core.config").joinpath("kickai_roles.toml").read_text("utf-8"))
    table = CatalogueTable(
        groups={name: Group(**group) for name, group in data["groups"].items()},
        roles={name: _parse_role_table(role) for name, role in data["roles"].items()},
        default=_parse_role_table(data["default"]),
        successors=data["successors"],
    )
    return table.build(BUILT_IN, str)


def _parse_role_table(data: Mapping[str, Any]) -> RoleTable:
    models = {key: tuple(names) for key, names in data["models"].items()}
    return RoleTable(**{**data, "models": models})


@cache
def load_current_catalogue() -> Catalogue:
    """Return the built-in catalogue with the successors of its retired models."""
    catalogue = load_built_in_catalogue()
    successors = catalogue.successors
    roles = {name: replace_retired_models(role, successors) for name, role in catalogue.roles.items()}
    return evolve(catalogue, roles=roles, default=replace_retired_models(catalogue.default, successors))


class LazyMapping(Mapping[str, V]):
    """A read-only mapping that is loaded when it is first used.

    Args:
        load: Returns the mapping; called on every use, so it should be cached.
    """

    def __init__(self, load: Callable[[], Mapping[str, V]]) -> None:
        self._load = load

    def __getitem__(self, key: str) -> V:
        return self._load()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
