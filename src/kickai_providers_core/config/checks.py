"""What only shows when settings are seen together: names that nothing has, doubles, circles."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kickai_providers_core.config.faults import Fault
from kickai_providers_core.config.roles import KICKAI, living
from kickai_providers_core.config.wording import did_you_mean, found, listed
from kickai_providers_core.plugin_api.registry import PACKAGES
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from kickai_providers_core.config.names import Directory
    from kickai_providers_core.config.problems import Findings
    from kickai_providers_core.config.role_tables import CatalogueTable, RoleTable
    from kickai_providers_core.config.roles import Group
    from kickai_providers_core.config.wording import Path

__all__ = ["check_catalogues", "check_doubles", "check_names", "check_retired", "check_role", "check_successors"]


def check_names(names: Iterable[tuple[Path, str]], directory: Directory, findings: Findings) -> None:
    """Find the names that are those of no instance."""
    for path, name in names:
        if not directory.knows(name):
            findings.add(path, directory.stranger(name, "an instance or a plugin", directory.instances))


def check_doubles(path: Path, links: Iterable[Hashable], findings: Findings) -> None:
    """Find the links of one chain that are in it already."""
    seen: set[Hashable] = set()
    for position, link in enumerate(links):
        if link in seen:
            fault = Fault.of(f"'{link}' once more", "each link of a chain once: the second is left out")
            findings.add((*path, position), fault, severity="warning")
        seen.add(link)


def check_role(
    path: Path, role: RoleTable, groups: Mapping[str, Group], directory: Directory, findings: Findings
) -> None:
    """Find what is wrong with the names in a role's table."""
    if role.group and role.group not in groups:
        fault = Fault.of(found(role.group), f"a group ({listed(groups)})", partial(did_you_mean, role.group, groups))
        findings.add((*path, "group"), fault)
    if role.chain == ():
        findings.add((*path, "chain"), Fault.of("an empty array", "at least one target"))
    for key in (key for key, models in role.models.items() if not models):
        findings.add((*path, "models", key), Fault.of("an empty array", "at least one model"))
    chain = role.chain or ()
    check_names((((*path, "chain", at), target.provider) for at, target in enumerate(chain)), directory, findings)
    check_doubles(
        (*path, "chain"), (Target(directory.canonical(link.provider), link.model) for link in chain), findings
    )
    hopes = [((*path, "models", key), key) for key in role.models]
    hopes += [((*path, "prefers"), role.prefers)] if role.prefers else []
    # A role may say what to ask of a provider that is not installed here; it is misspelt when nobody has heard of it.
    check_names(((at, name) for at, name in hopes if name not in PACKAGES), directory, findings)


def check_catalogues(
    name: str, catalogues: Mapping[str, CatalogueTable], directory: Directory, findings: Findings
) -> None:
    """Find what is wrong with the catalogues of the file, and whether the one that is asked for exists."""
    names = {KICKAI.name, *catalogues}
    if name not in names:
        fault = Fault.of(found(name), f"a catalogue ({listed(sorted(names))})", partial(did_you_mean, name, names))
        findings.add(("kickai", "catalogue"), fault)
    for key, table in catalogues.items():
        path = ("catalogues", key)
        if key == KICKAI.name:
            findings.add(
                path, Fault.of("the name of the shipped catalogue", "another", "Its roles are changed in [roles]")
            )
        check_successors((*path, "successors"), table.successors, findings)
        check_role((*path, "default"), table.default, table.groups, directory, findings)
        for role, given in table.roles.items():
            check_role((*path, "roles", role), given, table.groups, directory, findings)


def check_successors(path: Path, successors: Mapping[str, str], findings: Findings) -> None:
    """Find the models whose successors lead back to themselves."""
    done: set[str] = set()
    for first in successors:
        model, place = first, dict[str, int]()
        while model in successors and model not in done and model not in place:
            place[model] = len(place)
            model = successors[model]
        done.update(place)
        circle = [*place][place[model] :] if model in place else []
        for at, member in enumerate(circle):
            fault = Fault.of(f"{found(circle[at - 1])}, which leads back to {found(member)}", "a model that is served")
            findings.add((*path, member), fault)


def check_retired(
    asked: Iterable[tuple[Path, str, str | None]], successors: Mapping[str, str], findings: Findings
) -> None:
    """Find the models that are retired; each is told once, however many ask for it."""
    told: set[str] = set()
    for path, model, source in asked:
        successor = living(successors, model)
        if successor != model and model not in told:
            told.add(model)
            expected = f"a model that is served: {found(successor)} is asked instead"
            fault = Fault.of(f"{found(model)}, which is retired", expected)
            findings.add(path, fault, severity="warning", source=source)
