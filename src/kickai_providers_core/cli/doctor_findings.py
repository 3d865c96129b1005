"""The findings of ``kickai doctor``: pure functions of the settings, the plugins and the results of the checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import evolve, field, frozen

from kickai_providers_core.plugin_api.installation import advise_installing
from kickai_providers_core.plugin_api.registry import PACKAGES
from kickai_providers_core.values.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery, Plugin
    from kickai_providers_core.values.targets import Target

__all__ = ["CheckResults", "Finding", "check_plugins", "diagnose", "find_targets", "sort_findings", "to_finding"]

Severity = Literal["error", "warning", "note", "ok"]

ORDER: tuple[Severity, ...] = ("error", "warning", "note", "ok")

SLOW_IMPORT_S = 0.5
"""An import that takes longer than this, in seconds, is a warning: every process pays for it."""


@frozen
class Finding:
    """One line of the doctor's report.

    Attributes:
        severity: ``error``: something that is configured or chosen does not work. ``warning``: it works, but there is a
            problem. ``note``: something could be used and is not. ``ok``: it works.
        problem: What was found; its path starts at the top of the settings.
    """

    severity: Severity
    problem: Problem


@frozen(kw_only=True)
class CheckResults:
    """The problems that the providers reported.

    Attributes:
        of_instances: The problems of each instance, with paths inside its own table.
        of_models: The problems of each model of a usable instance.
        reached: The instances whose service has responded to a check.
    """

    of_instances: Mapping[str, tuple[Problem, ...]]
    of_models: Mapping[Target, tuple[Problem, ...]] = field(factory=dict)
    reached: frozenset[str] = frozenset()

    def is_usable(self, target: Target) -> bool:
        """Return whether a target can be called."""
        if target.provider not in self.of_instances:
            return False
        return not _has_errors((*self.of_instances[target.provider], *self.of_models.get(target, ())))


def find_targets(settings: Settings) -> dict[str, tuple[Target, ...]]:
    """Return the targets of every role, and of the default role, by its name."""
    return {role.name: settings.targets_for(role) for role in (settings.default_role, *settings.roles.values())}


def diagnose(settings: Settings, discovery: Discovery, results: CheckResults) -> list[Finding]:
    """Return all findings, errors first."""
    findings = [
        *check_plugins(discovery),
        *_check_settings(settings),
        *_check_instances(settings, results),
        *_check_models(settings, results),
        *_check_roles(settings, results),
        *_check_default_chain(settings, results),
    ]
    return sort_findings(findings)


def to_finding(problem: Problem) -> Finding:
    """Return the finding of a problem, with its severity."""
    return Finding(problem.severity, problem)


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with the most severe ones first."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))


def check_plugins(discovery: Discovery) -> Iterator[Finding]:
    """Yield the findings about plugins."""
    for plugin in discovery.plugins:
        label = f"plugin {plugin.name} (from {plugin.distribution})" if plugin.distribution else f"plugin {plugin.name}"
        yield from _check_plugin(plugin, label)
    for name in discovery.unmatched:
        message = f"no installed plugin has the name {name!r}"
        yield Finding("warning", Problem(path="kickai.plugins", message=message, severity="warning"))


def _check_plugin(plugin: Plugin, label: str) -> Iterator[Finding]:
    if plugin.error is not None:
        hint = "Upgrade it, uninstall it, or remove it from kickai.plugins"
        yield Finding("error", Problem(path="", message=str(plugin.error), hint=hint))
    elif plugin.status == "not allowed":
        message = f"{label} is not in kickai.plugins, so it was not loaded"
        yield Finding("note", Problem(path="", message=message))
    for warning in plugin.warnings:
        yield Finding("warning", Problem(path="", message=f"{label}: {warning}", severity="warning"))
    if plugin.import_s is not None and plugin.import_s > SLOW_IMPORT_S:
        message = f"{label}: its import took {plugin.import_s:.1f} s"
        hint = "Its author should import the vendor's client on first use"
        yield Finding("warning", Problem(path="", message=message, hint=hint, severity="warning"))


def _check_settings(settings: Settings) -> Iterator[Finding]:
    for problem in settings.warnings:
        # A catalogue keeps the names of retired models. Users cannot change that.
        yield Finding("note" if problem.source.startswith("catalogue ") else "warning", problem)


def _check_instances(settings: Settings, results: CheckResults) -> Iterator[Finding]:
    named = _list_named_instances(settings)
    called = {target.provider for targets in find_targets(settings).values() for target in targets}
    chosen = named | {path.split(".")[1].strip('"') for path in settings.sources if path.startswith("providers.")}
    for name, problems in results.of_instances.items():
        if name in settings.unusable:
            severity: Severity = "error" if name in named else "warning"
            yield from (Finding(severity, _prefix_path(name, problem)) for problem in problems)
            continue
        if _has_errors(problems) and name not in chosen:
            yield Finding("note", _prefix_path(name, _summarize(problems)))
            continue
        yield from (Finding(problem.severity, _prefix_path(name, problem)) for problem in problems)
        if not _has_errors(problems):
            state = "reachable" if name in results.reached else "configured"
            unused = "" if name in called else f", but no chain calls it; KICKAI_PRIMARY={name} lets kickai ask call it"
            yield Finding("ok", Problem(path=f"providers.{name}", message=f"{state}{unused}"))
    for name in settings.kickai.order:
        if name not in results.of_instances and name in PACKAGES:
            problem = Problem(
                path="", message=f"{name} is not installed", hint=advise_installing(PACKAGES[name]).capitalize()
            )
            yield Finding("note", problem)


def _list_named_instances(settings: Settings) -> frozenset[str]:
    """Return the instances that were chosen in ``[kickai]`` or in a chain."""
    in_chains = {target.provider for role in settings.roles.values() for target in role.chain or ()}
    return frozenset(settings.explicit | in_chains)


def _check_models(settings: Settings, results: CheckResults) -> Iterator[Finding]:
    in_chains = {target for role in settings.roles.values() for target in role.chain or ()}
    roles_of: dict[Target, list[str]] = {}
    for role, targets in find_targets(settings).items():
        for target in targets:
            roles_of.setdefault(target, []).append(role)
    for target, problems in results.of_models.items():
        for problem in problems:
            severity: Severity = "error" if problem.severity == "error" and target in in_chains else "warning"
            message = f"{target}: {problem.message} (used by {', '.join(roles_of.get(target, ()))})"
            yield Finding(severity, evolve(problem, path="", message=message))


def _check_roles(settings: Settings, results: CheckResults) -> Iterator[Finding]:
    targets = find_targets(settings)
    dead = [role for role, chain in targets.items() if not any(map(results.is_usable, chain))]
    if len(dead) == len(targets):
        yield Finding(
            "error", Problem(path="", message="no provider can answer", hint=_describe_remedies(settings, results))
        )
        return
    for role in dead:
        message = f"none of its targets can answer: {', '.join(map(str, targets[role]))}"
        yield Finding("error", Problem(path=f"roles.{role}", message=message))


def _check_default_chain(settings: Settings, results: CheckResults) -> Iterator[Finding]:
    """Say what is called for a prompt without a role."""
    targets = settings.targets_for(evolve(settings.default_role, prefers=None))
    usable = list(dict.fromkeys(target.provider for target in targets if results.is_usable(target)))
    if usable:
        yield Finding("ok", Problem(path="", message=f"kickai ask calls {', then '.join(usable)}"))


def _describe_remedies(settings: Settings, results: CheckResults) -> str:
    """Return what to do so that at least one provider can answer."""
    remedies = []
    for name in dict.fromkeys((*settings.kickai.order, *results.of_instances)):
        problems = results.of_instances.get(name, ())
        if name not in settings.kickai.order and not _has_errors(problems):
            remedies.append(f"set KICKAI_PRIMARY={name}")
        elif name in results.of_instances:
            hints = [problem.hint.rstrip(".") for problem in problems if problem.hint]
            hints = hints or [f"provide {problem.missing}" for problem in problems if problem.missing]
            remedies.append(f"for {name}: {hints[0]}" if hints else f"fix {name}")
        elif name in PACKAGES:
            remedies.append(advise_installing(PACKAGES[name]))
    return f"Do one of the following: {'; '.join(remedies)}" if remedies else ""


def _summarize(problems: Iterable[Problem]) -> Problem:
    """Return the problems of an instance that was not chosen, as one problem."""
    errors = [problem for problem in problems if problem.severity == "error"]
    missing = [problem.missing for problem in errors if problem.missing]
    if not missing:
        return evolve(errors[0], severity="warning")
    message = f"not configured ({', '.join(missing)}), so it is skipped"
    return Problem(path="", message=message, missing=", ".join(missing), severity="warning")


def _prefix_path(instance: str, problem: Problem) -> Problem:
    path = ".".join(filter(None, ("providers", instance, problem.path)))
    return evolve(problem, path=path)


def _has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)
