"""``kickai doctor``: checks settings, plugins, keys and models."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import click
from attrs import evolve

from kickai_providers_core.cli import json_output
from kickai_providers_core.cli.diagnosis import (
    CheckResults,
    Finding,
    check_plugins,
    diagnose,
    find_targets,
    sort_findings,
)
from kickai_providers_core.cli.operations_checks import (
    StoreExamination,
    check_clock,
    check_network,
    check_prices,
    check_store,
    examine_store,
)
from kickai_providers_core.cli.session import STORE_TIMEOUT_S, shared_options
from kickai_providers_core.cli.tracebacks import format_error
from kickai_providers_core.concurrency import threads
from kickai_providers_core.operations.prices import PriceBook, load_price_list
from kickai_providers_core.plugin_api import discovery as plugin_discovery
from kickai_providers_core.plugin_api.store_opening import open_store
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.values.errors import ConfigError, Problem
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kickai_providers_core.cli.session import Session
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery
    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.values.targets import Target

__all__ = ["command"]

EPILOG = """\b
Examples:
  kickai doctor
  kickai doctor --online
  kickai doctor --json | jq -r '.findings[] | select(.severity == "error") | .message'
"""

CHECK_S = 20.0
"""The time limit of one online check: two requests, or loading a small model."""

MAX_CONCURRENT_CHECKS = 8
"""The most online checks at the same time."""

COLORS = {"error": "red", "warning": "yellow", "note": "bright_black", "ok": "green"}


@click.command("doctor", epilog=EPILOG)
@click.option("--online", is_flag=True, help="Call the services as well, to check that they accept key and models.")
@shared_options
@click.pass_obj
def command(session: Session, *, online: bool) -> int:
    """Check settings, plugins, keys and models.

    An error means that something you configured does not work, and the exit code is 1. A warning means that it works,
    but there is a problem. A note is about something that is installed or planned, but not in use. An instance is
    configured when the offline checks pass, and reachable when its service responds to --online.
    """
    file, discovery, settings, findings = _load(session)
    if settings is not None:
        with Resolver(settings, discovery) as resolver:
            session.mask_keys(settings)
            found = diagnose(settings, discovery, _check(resolver, session, online=online))
        findings = sort_findings([*found, *_check_operation(settings, discovery)])
    if session.debug:
        for error in discovery.errors():
            session.console.log_block(format_error(error, ()))
    _write_report(session, file, findings, online=online)
    if settings is None:
        return 2
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def _load(session: Session) -> tuple[str, Discovery, Settings | None, list[Finding]]:
    """Return the settings file, the plugins, and the settings or else their problems."""
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


def _check_operation(settings: Settings, discovery: Discovery) -> Iterator[Finding]:
    """Yield the findings about the store, the rollout, prices, the network's variables and the clock."""
    examination = None
    if settings.store.url is not None:
        try:
            store = open_store(
                settings.store.url,
                namespace=settings.store.namespace,
                plugins=discovery.stores(),
                timeout_s=STORE_TIMEOUT_S,
            )
            examination = examine_store(store, settings, time.time)
            store.close()
        except StoreError as error:
            examination = StoreExamination(error=str(error))
    yield from check_store(examination)
    targets = {target for chain in find_targets(settings).values() for target in chain}
    yield from check_prices(targets, PriceBook(settings=settings, prices=load_price_list()), time.time())
    yield from check_network(os.environ)
    yield from check_clock(time.time(), None if examination is None else examination.newest_s)


def _check(resolver: Resolver, session: Session, *, online: bool) -> CheckResults:
    unusable = resolver.settings.unusable
    results = CheckResults(
        of_instances={
            one.name: (*(unusable.get(one.name) or one.adapter.validate(one.settings)), *one.capability_problems())
            for one in resolver.registry
        }
    )
    if not online:
        return results
    usable = [instance for instance in resolver.registry if not instance.validation.problems()]
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


def _write_report(session: Session, file: str, findings: Sequence[Finding], *, online: bool) -> None:
    numbers = Counter(finding.severity for finding in findings)
    if session.as_json:
        rows = [{**json_output.from_problem(each.problem), "severity": each.severity} for each in findings]
        session.console.write_json({"ok": not numbers["error"], "online": online, "file": file, "findings": rows})
        return
    write = session.console.write_line
    write(f"settings: {file or 'defaults (no kickai.toml)'}")
    for finding in findings:
        write(f"{click.style(f'{finding.severity:<8}', fg=COLORS[finding.severity])} {finding.problem}")
    write(", ".join(format_count(numbers[severity], severity) for severity in ("error", "warning", "note")))
