"""``kickai doctor``: checks settings, plugins, keys and models."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli.check_runner import (
    build_findings_json,
    check_instances,
    load_settings,
    write_findings,
)
from kickai_providers_core.cli.common_options import STORE_TIMEOUT_S, shared_options, without_store
from kickai_providers_core.cli.doctor_findings import Finding, diagnose, find_targets, sort_findings, to_finding
from kickai_providers_core.cli.doctor_operation_findings import (
    StoreExamination,
    check_clock,
    check_daily_limits,
    check_network,
    check_prices,
    check_store,
    examine_store,
)
from kickai_providers_core.cli.tracebacks import format_error
from kickai_providers_core.cli.uncalled_providers import describe_unused_presets
from kickai_providers_core.cli.unusable_settings import find_unusable_settings
from kickai_providers_core.operations.prices import PriceBook, load_price_list
from kickai_providers_core.plugin_api.store_opening import open_store
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.values.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery

__all__ = ["command"]

EPILOG = """\b
Examples:
  kickai doctor
  kickai doctor --online
  kickai doctor --json | jq -r '.findings[] | select(.severity == "error") | .message'
"""


@click.command("doctor", epilog=EPILOG)
@click.option("--online", is_flag=True, help="Also call the services, to check that they accept keys and models.")
@shared_options
@click.pass_obj
def command(session: Session, *, online: bool) -> int:
    """Check settings, plugins, keys and models.

    An error means that something you configured does not work, and the exit code is 1. A warning means that it works,
    but there is a problem. A note is about something that is installed or planned, but not in use. An instance is
    configured when the offline checks pass, and reachable when its service responds to --online.
    """
    file, discovery, settings, findings = load_settings(session)
    if settings is not None:
        with Resolver(without_store(settings), discovery) as resolver:
            session.mask_keys(settings)
            found = diagnose(settings, discovery, check_instances(resolver, session, online=online))
            for message in describe_unused_presets(resolver.registry, os.environ):
                found.append(Finding("note", Problem(path="", message=message)))
        findings = sort_findings([*found, *_check_operation(settings, discovery)])
    if session.debug:
        for error in discovery.errors():
            session.console.log_block(format_error(error, ()))
    if session.as_json:
        session.console.write_json(build_findings_json(file, findings, online=online))
    else:
        write_findings(session, file, findings)
    if settings is None:
        return 2
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def _check_operation(settings: Settings, discovery: Discovery) -> Iterator[Finding]:
    """Yield the findings about the store, the rollout, limits, prices, the network's variables and the clock."""
    unusable = list(find_unusable_settings(settings, discovery, os.environ))
    yield from map(to_finding, unusable)
    examination = None
    has_usable_url = all(problem.path != "store.url" for problem in unusable)
    if settings.store.url is not None and has_usable_url:
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
    if has_usable_url:
        yield from check_store(examination)
    yield from check_daily_limits(settings, examination, time.time())
    targets = {target for chain in find_targets(settings).values() for target in chain}
    yield from check_prices(targets, PriceBook(settings=settings, prices=load_price_list()), time.time())
    yield from check_network(os.environ)
    yield from check_clock(time.time(), None if examination is None else examination.newest_s)
