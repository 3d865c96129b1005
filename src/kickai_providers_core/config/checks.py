"""Checks across tables: unknown names, duplicates, circular successors, retired models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kickai_providers_core.config.descriptions import describe_value, join_names, suggest_name
from kickai_providers_core.config.problems import Violation
from kickai_providers_core.config.roles import BUILT_IN, find_successor
from kickai_providers_core.plugin_api.registry import PACKAGES
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from kickai_providers_core.config.descriptions import Path
    from kickai_providers_core.config.name_index import NameIndex
    from kickai_providers_core.config.problems import ProblemList
    from kickai_providers_core.config.roles import CatalogueTable, Group, RoleTable

__all__ = ["check_catalogues", "check_duplicates", "check_names", "check_retired", "check_role", "check_successors"]


def check_names(names: Iterable[tuple[Path, str]], index: NameIndex, problems: ProblemList) -> None:
    """Report names that no instance has."""
    for path, name in names:
        if not index.knows(name):
            problems.add(path, index.build_unknown_instance_violation(name))


def check_duplicates(path: Path, targets: Iterable[Hashable], problems: ProblemList) -> None:
    """Report targets that are in a chain twice."""
    seen: set[Hashable] = set()
    for position, target in enumerate(targets):
        if target in seen:
            violation = Violation.from_message(f"duplicate of '{target}', which is ignored")
            problems.add((*path, position), violation, severity="warning")
        seen.add(target)


def check_role(
    path: Path, role: RoleTable, groups: Mapping[str, Group], index: NameIndex, problems: ProblemList
) -> None:
    """Report what is wrong with the names in a role's table."""
    if role.group and role.group not in groups:
        problems.add((*path, "group"), _build_unknown_violation("group", role.group, groups))
    if role.chain == ():
        problems.add((*path, "chain"), Violation.from_message("must have at least one target, got an empty array"))
    for key in (key for key, models in role.models.items() if not models):
        problems.add((*path, "models", key), Violation.from_message("must have at least one model, got an empty array"))
    chain = role.chain or ()
    check_names((((*path, "chain", at), target.provider) for at, target in enumerate(chain)), index, problems)
    targets = (Target(index.resolve(target.provider), target.model) for target in chain)
    check_duplicates((*path, "chain"), targets, problems)
    names = [((*path, "models", key), key) for key in role.models]
    names += [((*path, "prefers"), role.prefers)] if role.prefers else []
    # A role may name models of a provider that is not installed here, if there is a package for it.
    check_names(((at, name) for at, name in names if name not in PACKAGES), index, problems)


def check_catalogues(
    name: str, catalogues: Mapping[str, CatalogueTable], index: NameIndex, problems: ProblemList
) -> None:
    """Report what is wrong with the catalogues of the file, and a selected catalogue that does not exist."""
    names = sorted({BUILT_IN, *catalogues})
    if name not in names:
        problems.add(("kickai", "catalogue"), _build_unknown_violation("catalogue", name, names))
    for key, table in catalogues.items():
        path = ("catalogues", key)
        if key == BUILT_IN:
            message = f"'{BUILT_IN}' is the name of the built-in catalogue"
            problems.add(path, Violation.from_message(message, "Use another name, or change its roles in [roles]"))
        check_successors((*path, "successors"), table.successors, problems)
        check_role((*path, "default"), table.default, table.groups, index, problems)
        for role, role_table in table.roles.items():
            check_role((*path, "roles", role), role_table, table.groups, index, problems)


def _build_unknown_violation(what: str, name: str, known: Iterable[str]) -> Violation:
    known = [*known]
    message = f"unknown {what} {describe_value(name)} (known: {join_names(known)})"
    return Violation.from_message(message, partial(suggest_name, name, known))


def check_successors(path: Path, successors: Mapping[str, str], problems: ProblemList) -> None:
    """Report models whose successors lead back to themselves."""
    done: set[str] = set()
    for first in successors:
        model, place = first, dict[str, int]()
        while model in successors and model not in done and model not in place:
            place[model] = len(place)
            model = successors[model]
        done.update(place)
        circle = [*place][place[model] :] if model in place else []
        for member in circle:
            message = f"circular: {describe_value(successors[member])} leads back to {describe_value(member)}"
            problems.add((*path, member), Violation.from_message(message))


def check_retired(
    models: Iterable[tuple[Path, str, str | None]], successors: Mapping[str, str], problems: ProblemList
) -> None:
    """Report retired models, each once; every model comes with its path and, if known, its source."""
    reported: set[str] = set()
    for path, model, source in models:
        successor = find_successor(successors, model)
        if successor != model and model not in reported:
            reported.add(model)
            message = f"{describe_value(model)} is retired; {describe_value(successor)} is called instead"
            problems.add(path, Violation.from_message(message), severity="warning", source=source)
