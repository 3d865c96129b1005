"""``kickai providers``: lists the plugins and whether they can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kickai_providers_core.cli.common_options import shared_options
from kickai_providers_core.plugin_api.inspection import MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.plugin_api.discovery import Plugin
    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.resolver import Resolver

__all__ = ["command"]

EPILOG = """\b
Examples:
  kickai providers
  kickai providers --available
  kickai providers --json | jq -r '.providers[] | select(.state == "ready") | .name'
"""


COLORS = {"ready": "green", "not configured": "yellow", "broken": "red", "not allowed": "bright_black"}


@click.command("providers", epilog=EPILOG)
@click.option("--available", is_flag=True, help="List the known plugins, installed or not, and how to install them.")
@shared_options
@click.pass_obj
def command(session: Session, *, available: bool) -> None:
    """List the plugins with their versions, distributions, capabilities and instances.

    A provider is ready, not configured (with what is missing), broken (with the reason), or not allowed by
    kickai.plugins or KICKAI_PLUGINS, and then it was not loaded. No service is called.
    """
    if available:
        _write_available(session)
        return
    with session.resolver(uses_store=False) as resolver:
        session.log_ignored_files(resolver)
        rows = [_describe_plugin(plugin, resolver) for plugin in resolver.discovery.plugins]
        unmatched = resolver.discovery.unmatched
    if session.as_json:
        session.console.write_json({"providers": rows, "unmatched": list(unmatched)})
        return
    for row in rows:
        for line in _format(row):
            session.console.write_line(line)
    for name in unmatched:
        session.console.warn(f"kickai.plugins: no installed plugin has the name {name!r}")
    if not rows:
        session.console.log("no plugin is installed; kickai providers --available lists them", "yellow")


def _write_available(session: Session) -> None:
    """Write the directory of known plugins; no plugin is loaded."""
    from importlib.metadata import distributions  # noqa: PLC0415  not for the other listing

    from kickai_providers_core.cli.known_plugins import read_directory  # noqa: PLC0415
    from kickai_providers_core.plugin_api.installation import Installation  # noqa: PLC0415

    core = Installation.find()
    installed = {each.metadata["Name"]: each.version for each in distributions()}
    rows = [
        {
            **known.as_dict(),
            "installed": installed.get(known.package),
            "install": core.describe_command(known.package) if known.is_own else f"pip install {known.package}",
        }
        for known in read_directory()
    ]
    if session.as_json:
        session.console.write_json({"available": rows})
        return
    for row in rows:
        version = f"installed, {row['installed']}" if row["installed"] else "not installed"
        title = click.style(row["package"], bold=True)
        needs = f"; needs {row['needs']}" if row["needs"] else ""
        session.console.write_line(" · ".join(filter(None, (title, row["kind"], row["name"], version))))
        session.console.write_line(f"  {row['summary']}{needs}")
        if not row["installed"]:
            session.console.write_line(f"  {row['install']}")


def _describe_plugin(plugin: Plugin, resolver: Resolver) -> dict[str, Any]:
    info = plugin.info
    own = [instance for instance in resolver.registry if info is not None and instance.info.name == info.name]
    instances = [_describe_instance(instance) for instance in own]
    best = next((one for one in instances if one["state"] == "ready"), instances[0] if instances else {})
    return {
        "name": info.name if info else plugin.name,
        "version": plugin.version,
        "distribution": plugin.distribution,
        "state": best.get("state", plugin.status),
        "missing": best.get("missing", []),
        "why": str(plugin.error.args[0]) if plugin.error else best.get("why", ""),
        "summary": info.summary if info else "",
        "aliases": list(info.aliases) if info else [],
        "capabilities": sorted(info.capabilities) if info else [],
        "native": [mode for mode in MODES if info and mode in info.native],
        "derived": [mode for mode in MODES if info and mode not in info.native],
        "provider": info is not None or plugin.status != "ready",
        "instances": instances,
        "import_s": None if plugin.import_s is None else round(plugin.import_s, 3),
        "warnings": list(plugin.warnings),
    }


def _describe_instance(instance: Instance) -> dict[str, Any]:
    problems = instance.validation.find_problems()
    return {
        "name": instance.name,
        "state": "not configured" if problems else "ready",
        "missing": [problem.missing for problem in problems if problem.missing],
        "why": "; ".join(problem.message for problem in problems),
        "model": instance.settings.model,
    }


def _format(row: dict[str, Any]) -> Iterator[str]:
    title = click.style(" ".join(filter(None, (row["name"], row["version"]))), bold=True)
    imported = f"imported in {row['import_s']:.2f} s" if row["import_s"] is not None else ""
    yield " · ".join(filter(None, (title, row["distribution"], _format_state(row), imported)))
    if row["summary"]:
        yield f"  {row['summary']}"
    for label in ("capabilities", "native", "derived", "aliases"):
        if row[label]:
            yield f"  {label}: {', '.join(row[label])}"
    for warning in row["warnings"]:
        yield f"  {click.style('warning', fg='yellow')}: {warning}"
    if not row["provider"]:
        yield "  extension: observes events, ranks targets, opens stores, or wraps or answers the calls of providers"
    for instance in row["instances"]:
        if instance["name"] != row["name"] or len(row["instances"]) > 1:
            yield f"  instance {instance['name']} · {_format_state(instance)}"


def _format_state(row: dict[str, Any]) -> str:
    state = row["state"]
    styled = click.style(state, fg=COLORS[state])
    if state == "broken":
        return f"{styled}: {row['why']}"
    return f"{styled} ({', '.join(row['missing']) or row['why']})" if state == "not configured" else styled
