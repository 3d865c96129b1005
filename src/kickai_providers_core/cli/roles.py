"""``kickai roles``: lists the roles with their targets and settings, and the source of each value."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from kickai_providers_core.cli.common_options import shared_options
from kickai_providers_core.config.roles import BUILT_IN, load_built_in_catalogue, replace_retired_models
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.config.roles import Role
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.values.targets import Target

__all__ = ["command", "warn_of_unknown_role"]

EPILOG = """\b
Examples:
  kickai roles
  kickai roles squad_selector
  AI_PROVIDER=gemini kickai roles --json
"""

UNSET = "default"
CATALOGUE = "catalogue "


@click.command("roles", epilog=EPILOG)
@click.argument("name", metavar="[ROLE]", required=False)
@shared_options
@click.pass_obj
def command(session: Session, *, name: str | None) -> None:
    """List all roles, or one: its targets in order, its temperature and token limit, and the source of each value.

    An unknown role gets the values of the default role.
    """
    with session.resolver(uses_store=False) as resolver:
        session.log_ignored_files(resolver)
        settings = resolver.settings
    if name is None:
        roles = [*settings.roles.values(), settings.default_role]
    else:
        roles = [settings.role(name)]
        warn_of_unknown_role(session, settings, name)
    order = _describe_order(settings)
    rows = [_describe_role(role, settings) for role in roles]
    if session.as_json:
        session.console.write_json({**order, "roles": rows})
        return
    session.console.write_line(_format_order(order))
    for line in (line for row in rows for line in _format_role(row)):
        session.console.write_line(line)


def warn_of_unknown_role(session: Session, settings: Settings, name: str) -> None:
    """Warn if a role is unknown, and name similar ones."""
    if name in settings.roles or name == settings.default_role.name:
        return
    near = difflib.get_close_matches(name, settings.roles, n=3)
    advice = f"did you mean {' or '.join(near)}?" if near else "run `kickai roles` for a list"
    session.console.warn(f"unknown role {name!r}, so the default role is used; {advice}")


def _describe_order(settings: Settings) -> dict[str, Any]:
    kickai = settings.kickai
    fields = ("catalogue", "primary", "fallback", "preferred", "deadline_s")
    values = {field: list(kickai.fallback) if field == "fallback" else getattr(kickai, field) for field in fields}
    return {**values, "sources": {field: settings.source_of(f"kickai.{field}") for field in fields}}


def _describe_role(role: Role, settings: Settings) -> dict[str, Any]:
    sources = {field: _find_source(role, field, settings) for field in ("group", "temperature", "max_tokens")}
    group = settings.groups.get(role.group)
    return {
        "name": role.name,
        "group": role.group,
        "reason": group.reason if group else "",
        "temperature": role.temperature,
        "max_tokens": role.max_tokens,
        "sources": sources,
        "targets": [_describe_target(target, role, settings) for target in settings.targets_for(role)],
    }


def _find_source(role: Role, field: str, settings: Settings) -> str:
    """Return the source of a role's value; a group that was chosen is the source of its temperature."""
    own = _find_field_source(role, field, settings)
    group = _find_field_source(role, "group", settings)
    is_chosen = group != UNSET and not group.startswith(CATALOGUE)
    if field == "temperature" and is_chosen and (own == UNSET or own.startswith(CATALOGUE)):
        return f"group {role.group}, {group}"
    return own


def _find_field_source(role: Role, field: str, settings: Settings) -> str:
    from kickai_providers_core.config.descriptions import format_path  # noqa: PLC0415  not needed for --help

    own = settings.source_of(format_path(("roles", role.name, field)))
    if role is settings.default_role and own == UNSET:
        own = settings.source_of(f"catalogues.{settings.kickai.catalogue}.default.{field}")
        return f"{CATALOGUE}{settings.kickai.catalogue}" if own == UNSET else own
    return own


def _describe_target(target: Target, role: Role, settings: Settings) -> dict[str, Any]:
    instance = settings.providers.get(target.provider)
    return {
        "provider": target.provider,
        "model": target.model or (instance.model if instance else None),
        "planned": _find_planned_model(target, role, settings),
        "source": _find_target_source(target, role, settings),
    }


def _find_planned_model(target: Target, role: Role, settings: Settings) -> str | None:
    """Return the retired model that a target's model replaces, or None."""
    if role.chain is not None:
        models = (link.model for link in role.chain if link.provider == target.provider and link.model)
        return next((model for model in models if settings.find_successor(model) == target.model != model), None)
    key = _choose_models_key(target, role, settings)
    first = role.models.get(key, ("",))[0]
    return role.planned.get(key) if target.model == first else None


def _find_target_source(target: Target, role: Role, settings: Settings) -> str:
    if role.chain is not None and any(link.provider == target.provider for link in role.chain):
        return _find_field_source(role, "chain", settings)
    if target.model is None:
        own = settings.source_of(f"providers.{target.provider}.model")
        return "the provider's own model" if own == UNSET else own
    built_in = load_built_in_catalogue().roles.get(role.name)
    if built_in is not None and settings.kickai.catalogue == BUILT_IN:
        # A table with the models of one provider leaves those of the others unchanged.
        key = _choose_models_key(target, role, settings)
        if replace_retired_models(built_in, settings.successors).models.get(key) == role.models.get(key):
            return f"{CATALOGUE}{BUILT_IN}"
    return _find_field_source(role, "models", settings)


def _choose_models_key(target: Target, role: Role, settings: Settings) -> str:
    return target.provider if target.provider in role.models else settings.kind_of(target.provider)


def _format_order(order: dict[str, Any]) -> str:
    sources = order["sources"]
    parts = [f"catalogue {order['catalogue']}", f"primary {order['primary']} ({sources['primary']})"]
    parts.append(f"fallback {', '.join(order['fallback']) or 'none'} ({sources['fallback']})")
    if order["preferred"]:
        parts.append(f"preferred {order['preferred']} ({sources['preferred']})")
    return " · ".join(parts)


def _format_role(row: dict[str, Any]) -> Iterator[str]:
    sources = row["sources"]
    yield ""
    yield " · ".join(
        (
            click.style(row["name"], bold=True) + (f" · {row['group']}" if row["group"] else ""),
            f"temperature {row['temperature']:g} ({sources['temperature']})",
            f"{format_count(row['max_tokens'], 'token')} ({sources['max_tokens']})",
        )
    )
    targets = [":".join(filter(None, (target["provider"], target["model"]))) for target in row["targets"]]
    width = max(map(len, targets), default=0)
    for number, (target, text) in enumerate(zip(row["targets"], targets, strict=True), start=1):
        planned = f", replaces {target['planned']} (retired)" if target["planned"] else ""
        yield f"  {number}. {text:<{width}}  {click.style(target['source'] + planned, fg='bright_black')}"
