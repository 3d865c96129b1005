"""``kickai doctor``: every problem of settings, plugins, keys and models."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import TYPE_CHECKING

import click
from attrs import evolve

from kickai_providers_core.cli import records
from kickai_providers_core.cli.diagnosis import Answers, Finding, diagnosed, of_plugins, targets_of
from kickai_providers_core.cli.options import shared
from kickai_providers_core.cli.tracing import trace
from kickai_providers_core.concurrency import threads
from kickai_providers_core.plugin_api import discovery as finding
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.values.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kickai_providers_core.cli.session import Session
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery
    from kickai_providers_core.plugin_api.registry import Instance
    from kickai_providers_core.values.targets import Target

__all__ = ["command"]

EPILOG = """\b
Examples:
  kickai doctor
  kickai doctor --online --json
"""

CHECK_S = 20.0
"""The time that one online check may take: two requests, or the loading of a small model."""

AT_ONCE = 8
"""Online checks that run at the same time."""

COLORS = {"error": "red", "warning": "yellow", "note": "bright_black", "ok": "green"}


@click.command("doctor", epilog=EPILOG)
@click.option("--online", is_flag=True, help="Call the services, too: is the key accepted, is each model served?")
@shared
@click.pass_obj
def command(session: Session, *, online: bool) -> int:
    """Find every problem of settings, plugins, keys and models.

    An error means that something that you configured does not work; the exit code is 1. A warning means that it works,
    but not as it seems. A note is about something that is installed or planned and not in use. An instance is
    configured when nothing is missing that can be seen offline, and reachable when its service has accepted the check
    of --online.
    """
    document, discovery, settings, findings = _read(session)
    if settings is not None:
        with Resolver(settings, discovery) as resolver:
            session.hide_keys_of(resolver)
            findings = diagnosed(settings, discovery, _asked(resolver, session, online=online))
    if session.debug:
        for error in discovery.errors():
            session.console.tell_block(trace(error, ()))
    _report(session, document, findings, online=online)
    if settings is None:
        return 2
    return 1 if any(each.severity == "error" for each in findings) else 0


def _read(session: Session) -> tuple[str, Discovery, Settings | None, list[Finding]]:
    """Return the file's name, the plugins, and the settings, or else what is wrong with these."""
    from kickai_providers_core.config import loader, sources  # noqa: PLC0415  --help does without

    document = sources.read(session.config, os.environ)
    session.console.seclude()
    installed = finding.installed()
    discovery = finding.discover(installed, allowed=document.plugins, timeout_s=session.load_timeout_s)
    broken = [plugin.name for plugin in discovery.plugins if plugin.error is not None]
    try:
        return document.file, discovery, loader.structure(document, discovery.infos(), broken=broken), []
    except ConfigError as error:
        faults = [Finding("error", problem) for problem in error.problems]
        return document.file, discovery, None, [*faults, *of_plugins(discovery)]


def _asked(resolver: Resolver, session: Session, *, online: bool) -> Answers:
    unusable = resolver.settings.unusable
    answers = Answers(
        of_instances={
            one.name: (*(unusable.get(one.name) or one.seam.validate(one.settings)), *one.capability_problems())
            for one in resolver.registry
        }
    )
    if not online:
        return answers
    usable = [one for one in resolver.registry if not one.problems()]
    targets = {target for chain in targets_of(resolver.settings).values() for target in chain}
    with session.console.waiting():
        session.console.wait_for("asking the services")
        return asyncio.run(_asked_online(answers, usable, targets))


async def _asked_online(answers: Answers, usable: Sequence[Instance], targets: Iterable[Target]) -> Answers:
    """Return the answers with those of the services; each check is bounded, and many run at once."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def check(instance: Instance, model: str | None) -> tuple[Problem, ...]:
        async with turns:
            try:
                async with asyncio.timeout(CHECK_S):
                    return await threads.acall(lambda: _online(instance, model))
            except TimeoutError:
                return (Problem(path="", message=f"the service has not answered its check within {CHECK_S:g} s"),)

    found = await asyncio.gather(*(check(one, one.settings.model) for one in usable))
    own = {one.name: problems for one, problems in zip(usable, found, strict=True)}
    healthy = {one.name: one for one in usable if all(problem.severity != "error" for problem in own[one.name])}
    further = [
        target
        for target in sorted(targets, key=str)
        if target.provider in healthy and target.model not in {None, healthy[target.provider].settings.model}
    ]
    found = await asyncio.gather(*(check(healthy[target.provider], target.model) for target in further))
    of_models = {
        target: tuple(problem for problem in problems if problem not in own[target.provider])
        for target, problems in zip(further, found, strict=True)
    }
    # A plugin that validates nothing has asked nobody.
    reached = frozenset(name for name, one in healthy.items() if one.seam.validates)
    return Answers(of_instances={**answers.of_instances, **own}, of_models=of_models, reached=reached)


def _online(instance: Instance, model: str | None) -> tuple[Problem, ...]:
    """Ask a service about one of its models."""
    try:
        settings = evolve(instance.settings, model=model)
    except (TypeError, ValueError):  # the plugin's own class has checked it
        return (Problem(path="model", message="its settings do not take this name of a model"),)
    return instance.seam.validate(settings, online=True)


def _report(session: Session, file: str, findings: Sequence[Finding], *, online: bool) -> None:
    counted = Counter(each.severity for each in findings)
    if session.as_json:
        listed = [{**records.problem(each.problem), "severity": each.severity} for each in findings]
        session.console.record({"ok": not counted["error"], "online": online, "file": file, "findings": listed})
        return
    show = session.console.show
    show(f"settings: {file or 'no kickai.toml, so the defaults'}")
    for each in findings:
        show(f"{click.style(f'{each.severity:<8}', fg=COLORS[each.severity])} {each.problem}")
    show(", ".join(_counted(counted[name], name) for name in ("error", "warning", "note")))


def _counted(number: int, name: str) -> str:
    return f"{number or 'no'} {name}{'' if number == 1 else 's'}"
