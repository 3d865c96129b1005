"""What `kickai doctor` and `kickai check-config` share: loading settings, checking instances, writing findings."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import TYPE_CHECKING

import click
from attrs import evolve

from kickai_providers_core.cli import json_output
from kickai_providers_core.cli.doctor_findings import CheckResults, Finding, check_plugins, find_targets
from kickai_providers_core.concurrency import threads
from kickai_providers_core.plugin_api import discovery as plugin_discovery
from kickai_providers_core.values.errors import ConfigError, Problem
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery
    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.resolver import Resolver
    from kickai_providers_core.values.targets import Target

__all__ = ["build_findings_json", "check_instances", "load_settings", "write_findings"]

CHECK_S = 20.0
"""The time limit of one online check: two requests, or loading a small model."""

MAX_CONCURRENT_CHECKS = 8
"""The most online checks at the same time."""

COLORS = {"error": "red", "warning": "yellow", "note": "bright_black", "ok": "green"}


def load_settings(session: Session) -> tuple[str, Discovery, Settings | None, list[Finding]]:
    """Return the settings file, the plugins, and the settings or else their problems.

    What plugins print from here on goes to standard error.
    """
    from kickai_providers_core.config import loader, sources  # noqa: PLC0415  not needed for --help

    document = sources.read(session.config, os.environ)
    session.console.output.reserve()
    discovery = plugin_discovery.discover(
        plugin_discovery.find_entry_points(), allowed=document.plugins, timeout_s=session.load_timeout_s
    )
    broken = [plugin.name for plugin in discovery.plugins if plugin.error is not None]
    try:
        return document.file, discovery, loader.structure(document, discovery.infos(), broken=broken), []
    except ConfigError as error:
        findings = [Finding("error", problem) for problem in error.problems]
        return document.file, discovery, None, [*findings, *check_plugins(discovery)]


def check_instances(resolver: Resolver, session: Session, *, online: bool) -> CheckResults:
    """Return the problems that the instances report; with ``online``, also those of their services."""
    unusable = resolver.settings.unusable
    results = CheckResults(
        of_instances={
            one.name: (*(unusable.get(one.name) or one.adapter.validate(one.settings)), *one.find_capability_problems())
            for one in resolver.registry
        }
    )
    if not online:
        return results
    usable = [instance for instance in resolver.registry if not instance.validation.find_problems()]
    targets = {target for chain in find_targets(resolver.settings).values() for target in chain}
    with session.console.spinner():
        session.console.set_status("checking the services")
        return asyncio.run(_check_online(results, usable, targets))


async def _check_online(results: CheckResults, usable: Sequence[Instance], targets: Iterable[Target]) -> CheckResults:
    """Return the results with those of the services. The checks run concurrently, each with a time limit."""
    semaphore = asyncio.Semaphore(MAX_CONCURRENT_CHECKS)

    async def check(instance: Instance, model: str | None) -> tuple[Problem, ...]:
        async with semaphore:
            try:
                async with asyncio.timeout(CHECK_S):
                    return await threads.acall(lambda: _check_model(instance, model))
            except TimeoutError:
                return (Problem(path="", message=f"the service did not respond to the check within {CHECK_S:g} s"),)

    problems = await asyncio.gather(*(check(one, one.settings.model) for one in usable))
    own = {one.name: found for one, found in zip(usable, problems, strict=True)}
    healthy = {one.name: one for one in usable if all(problem.severity != "error" for problem in own[one.name])}
    further = [
        target
        for target in sorted(targets, key=str)
        if target.provider in healthy and target.model not in {None, healthy[target.provider].settings.model}
    ]
    problems = await asyncio.gather(*(check(healthy[target.provider], target.model) for target in further))
    of_models = {
        target: tuple(problem for problem in found if problem not in own[target.provider])
        for target, found in zip(further, problems, strict=True)
    }
    # A plugin without a validation hook has not reached its service.
    reached = frozenset(name for name, one in healthy.items() if one.adapter.validates)
    return CheckResults(of_instances={**results.of_instances, **own}, of_models=of_models, reached=reached)


def _check_model(instance: Instance, model: str | None) -> tuple[Problem, ...]:
    """Return the problems that an instance reports about a model."""
    try:
        settings = evolve(instance.settings, model=model)
    except (TypeError, ValueError):  # raised by the plugin's settings class
        return (Problem(path="model", message="the provider does not accept this model name"),)
    return instance.adapter.validate(settings, online=True)


def build_findings_json(file: str, findings: Sequence[Finding], *, online: bool) -> dict[str, Any]:
    """Return findings as JSON."""
    rows = [{**json_output.from_problem(each.problem), "severity": each.severity} for each in findings]
    is_ok = all(each.severity != "error" for each in findings)
    return {"ok": is_ok, "online": online, "file": file, "findings": rows}


def write_findings(session: Session, file: str, findings: Sequence[Finding]) -> None:
    """Write findings as lines, with their number at the end."""
    numbers = Counter(finding.severity for finding in findings)
    write = session.console.write_line
    write(f"settings: {file or 'defaults (no kickai.toml)'}")
    for finding in findings:
        write(f"{click.style(f'{finding.severity:<8}', fg=COLORS[finding.severity])} {finding.problem}")
    write(", ".join(format_count(numbers[severity], severity) for severity in ("error", "warning", "note")))
