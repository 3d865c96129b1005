"""What a doctor makes of the answers: pure, from settings, plugins and what the providers said to findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import evolve, field, frozen

from kickai_providers_core.plugin_api.registry import PACKAGES
from kickai_providers_core.values.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery, Plugin
    from kickai_providers_core.values.targets import Target

__all__ = ["Answers", "Finding", "chosen", "diagnosed", "of_plugins", "targets_of"]

Severity = Literal["error", "warning", "note", "ok"]


@frozen
class Finding:
    """One thing that the doctor has to say.

    Attributes:
        severity: ``error`` keeps something that is configured, or that somebody chose, from working; ``warning`` does
            not; ``note`` tells of what could be used and is not; ``ok`` of what works.
        problem: What it is about, its path counted from the top of the settings.
    """

    severity: Severity
    problem: Problem


@frozen(kw_only=True)
class Answers:
    """What the providers said when they were asked for their problems.

    Attributes:
        of_instances: By instance, with paths from its own table on.
        of_models: By target, what is wrong with that model of a usable instance, and with nothing else there.
        reached: The instances whose service has answered a check.
    """

    of_instances: Mapping[str, tuple[Problem, ...]]
    of_models: Mapping[Target, tuple[Problem, ...]] = field(factory=dict)
    reached: frozenset[str] = frozenset()

    def usable(self, target: Target) -> bool:
        """Return whether there is nothing that keeps a target from being called."""
        if target.provider not in self.of_instances:
            return False
        found = (*self.of_instances[target.provider], *self.of_models.get(target, ()))
        return not any(problem.severity == "error" for problem in found)


def targets_of(settings: Settings) -> dict[str, tuple[Target, ...]]:
    """Return the targets of every role, and of the default role, by its name."""
    return {role.name: settings.targets_for(role) for role in (settings.default_role, *settings.roles.values())}


def chosen(settings: Settings) -> frozenset[str]:
    """Return the instances that somebody configured or named; the others just happen to be installed."""
    tables = {path.split(".")[1].strip('"') for path in settings.sources if path.startswith("providers.")}
    return _named(settings) | tables


def _named(settings: Settings) -> frozenset[str]:
    """Return the instances that a chain names."""
    links = {link.provider for role in settings.roles.values() for link in role.chain or ()}
    return frozenset(settings.explicit | links)


SLOW_IMPORT_S = 0.5
"""An import that takes longer than this, in seconds, is worth a warning: every process pays for it."""


def of_plugins(discovery: Discovery) -> Iterator[Finding]:
    """Yield what there is to say of plugins: why they cannot be used, and what else is wrong with them."""
    for plugin in discovery.plugins:
        if plugin.error is not None:
            hint = "Upgrade or uninstall it, or leave it out of kickai.plugins"
            yield Finding("error", Problem(path="", message=str(plugin.error), hint=hint))
        elif plugin.status == "not allowed":
            yield Finding(
                "note", Problem(path="", message=f"{_name(plugin)} is not in kickai.plugins: it was not loaded")
            )
        for warning in plugin.warnings:
            yield Finding("warning", Problem(path="", message=f"{_name(plugin)}: {warning}", severity="warning"))
        if plugin.import_s is not None and plugin.import_s > SLOW_IMPORT_S:
            slow = f"{_name(plugin)}: its import took {plugin.import_s:.1f} s"
            hint = "Its author should import the vendor's client on first use"
            yield Finding("warning", Problem(path="", message=slow, hint=hint, severity="warning"))
    for name in discovery.unmatched:
        message = f"the allow-list names {name!r}, which no installed plugin is called"
        yield Finding("warning", Problem(path="kickai.plugins", message=message, severity="warning"))


def diagnosed(settings: Settings, discovery: Discovery, answers: Answers) -> list[Finding]:
    """Return all findings, the worst first."""
    found = [
        *of_plugins(discovery),
        *_of_settings(settings),
        *_of_instances(settings, answers),
        *_of_models(settings, answers),
        *_of_roles(settings, answers),
    ]
    order = ("error", "warning", "note", "ok")
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _of_settings(settings: Settings) -> Iterator[Finding]:
    for problem in settings.warnings:
        # A catalogue keeps the names that it was planned with; nobody has to do anything about that.
        yield Finding("note" if problem.source.startswith("catalogue ") else "warning", problem)


def _of_instances(settings: Settings, answers: Answers) -> Iterator[Finding]:
    needed = chosen(settings)
    for name, problems in answers.of_instances.items():
        if name in settings.unusable:
            severity: Severity = "error" if name in _named(settings) else "warning"
            yield from (Finding(severity, _at(name, problem)) for problem in problems)
            continue
        if any(problem.severity == "error" for problem in problems) and name not in needed:
            yield Finding("note", _at(name, _unneeded(problems)))
            continue
        yield from (Finding(problem.severity, _at(name, problem)) for problem in problems)
        if all(problem.severity != "error" for problem in problems):
            state = "reachable" if name in answers.reached else "configured"
            yield Finding("ok", Problem(path=f"providers.{name}", message=state))
    for name in settings.kickai.order:
        if name not in answers.of_instances and name in PACKAGES:
            told = Problem(path="", message=f"{name} is not installed", hint=f"pip install {PACKAGES[name]}")
            yield Finding("note", told)


def _of_models(settings: Settings, answers: Answers) -> Iterator[Finding]:
    insisted = {link for role in settings.roles.values() for link in role.chain or ()}
    asking: dict[Target, list[str]] = {}
    for role, targets in targets_of(settings).items():
        for target in targets:
            asking.setdefault(target, []).append(role)
    for target, problems in answers.of_models.items():
        for problem in problems:
            severity: Severity = "error" if problem.severity == "error" and target in insisted else "warning"
            told = f"{target}: {problem.message} (asked by {', '.join(asking.get(target, ()))})"
            yield Finding(severity, evolve(problem, path="", message=told))


def _of_roles(settings: Settings, answers: Answers) -> Iterator[Finding]:
    targets = targets_of(settings)
    dead = [role for role, chain in targets.items() if not any(map(answers.usable, chain))]
    if len(dead) == len(targets):
        yield Finding("error", Problem(path="", message="no provider can answer", hint=_way_out(settings, answers)))
        return
    for role in dead:
        told = f"none of its targets can answer: {', '.join(map(str, targets[role]))}"
        yield Finding("error", Problem(path=f"roles.{role}", message=told))


def _way_out(settings: Settings, answers: Answers) -> str:
    """Return what to do so that one provider can answer."""
    ways = []
    for name in settings.kickai.order:
        if name in answers.of_instances:
            found = answers.of_instances[name]
            told = [problem.hint.rstrip(".") for problem in found if problem.hint]
            told = told or [f"provide {problem.missing}" for problem in found if problem.missing]
            ways.append(f"for {name}: {told[0]}" if told else f"mend {name}")
        elif name in PACKAGES:
            ways.append(f"pip install {PACKAGES[name]}")
    return f"Do one of these: {'; '.join(ways)}" if ways else ""


def _unneeded(problems: Iterable[Problem]) -> Problem:
    errors = [problem for problem in problems if problem.severity == "error"]
    missing = [problem.missing for problem in errors if problem.missing]
    if not missing:
        return evolve(errors[0], severity="warning")
    told = f"not configured ({', '.join(missing)}), so it is skipped"
    return Problem(path="", message=told, missing=", ".join(missing), severity="warning")


def _at(instance: str, problem: Problem) -> Problem:
    path = ".".join(filter(None, ("providers", instance, problem.path)))
    return evolve(problem, path=path)


def _name(plugin: Plugin) -> str:
    return f"plugin {plugin.name} (from {plugin.distribution})" if plugin.distribution else f"plugin {plugin.name}"
