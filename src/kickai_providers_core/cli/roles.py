"""``kickai roles``: every role with its targets, its numbers, and where each of these comes from."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from kickai_providers_core.cli.options import shared
from kickai_providers_core.config.roles import BUILT_IN, load_built_in_catalogue, replace_retired_models
from kickai_providers_core.values.plain_text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.cli.session import Session
    from kickai_providers_core.config.roles import Role
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.values.targets import Target

__all__ = ["command", "warn_of_stranger"]

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
@shared
@click.pass_obj
def command(session: Session, *, name: str | None) -> None:
    """List every role, or one: its targets in order, temperature and token limit, and where each value comes from.

    An unknown role gets the values of the default role.
    """
    with session.resolver() as resolver:
        session.warn_of_files(resolver)
        settings = resolver.settings
    if name is None:
        roles = [*settings.roles.values(), settings.default_role]
    else:
        roles = [settings.role(name)]
        warn_of_stranger(session, settings, name)
    rows = [_row(role, settings) for role in roles]
    if session.as_json:
        session.console.record({**_order(settings), "roles": rows})
        return
    for line in (*_heading(_order(settings)), *(line for row in rows for line in _lines(row))):
        session.console.show(line)


def warn_of_stranger(session: Session, settings: Settings, name: str) -> None:
    """Warn of an unknown role, and name those that may have been meant."""
    if name in settings.roles or name == settings.default_role.name:
        return
    near = difflib.get_close_matches(name, settings.roles, n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else "`kickai roles` lists them."
    session.console.tell(f"warning: unknown role {name!r}, so the default role is used; {meant}", "yellow")


def _order(settings: Settings) -> dict[str, Any]:
    own = settings.kickai
    fields = ("catalogue", "primary", "fallback", "preferred", "deadline_s")
    values = {field: list(own.fallback) if field == "fallback" else getattr(own, field) for field in fields}
    return {**values, "sources": {field: settings.source_of(f"kickai.{field}") for field in fields}}


def _row(role: Role, settings: Settings) -> dict[str, Any]:
    sources = {field: _source(role, field, settings) for field in ("group", "temperature", "max_tokens")}
    group = settings.groups.get(role.group)
    return {
        "name": role.name,
        "group": role.group,
        "reason": group.reason if group else "",
        "temperature": role.temperature,
        "max_tokens": role.max_tokens,
        "sources": sources,
        "targets": [_target(target, role, settings) for target in settings.targets_for(role)],
    }


def _source(role: Role, field: str, settings: Settings) -> str:
    """Return where a role's value comes from; a group that somebody chose brings its temperature with it."""
    own = _said(role, field, settings)
    group = _said(role, "group", settings)
    chosen = group != UNSET and not group.startswith(CATALOGUE)
    if field == "temperature" and chosen and (own == UNSET or own.startswith(CATALOGUE)):
        return f"group {role.group}, {group}"
    return own


def _said(role: Role, field: str, settings: Settings) -> str:
    from kickai_providers_core.config.descriptions import format_path  # noqa: PLC0415  --help does without

    own = settings.source_of(format_path(("roles", role.name, field)))
    if role is settings.default_role and own == UNSET:
        own = settings.source_of(f"catalogues.{settings.kickai.catalogue}.default.{field}")
        return f"{CATALOGUE}{settings.kickai.catalogue}" if own == UNSET else own
    return own


def _target(target: Target, role: Role, settings: Settings) -> dict[str, Any]:
    own = settings.providers.get(target.provider)
    return {
        "provider": target.provider,
        "model": target.model or (own.model if own else None),
        "planned": _planned(target, role, settings),
        "source": _target_source(target, role, settings),
    }


def _planned(target: Target, role: Role, settings: Settings) -> str | None:
    """Return the retired model in whose place a target's model is asked, or None."""
    if role.chain is not None:
        links = (link.model for link in role.chain if link.provider == target.provider and link.model)
        return next((model for model in links if settings.find_successor(model) == target.model != model), None)
    key = _models_key(target, role, settings)
    first = role.models.get(key, ("",))[0]
    return role.planned.get(key) if target.model == first else None


def _target_source(target: Target, role: Role, settings: Settings) -> str:
    if role.chain is not None and any(link.provider == target.provider for link in role.chain):
        return _said(role, "chain", settings)
    if target.model is None:
        own = settings.source_of(f"providers.{target.provider}.model")
        return "the provider's own model" if own == UNSET else own
    shipped = load_built_in_catalogue().roles.get(role.name)
    if shipped is not None and settings.kickai.catalogue == BUILT_IN:
        # A table that names the models of one provider leaves those of the others as they were.
        key = _models_key(target, role, settings)
        if replace_retired_models(shipped, settings.successors).models.get(key) == role.models.get(key):
            return f"{CATALOGUE}{BUILT_IN}"
    return _said(role, "models", settings)


def _models_key(target: Target, role: Role, settings: Settings) -> str:
    return target.provider if target.provider in role.models else settings.kind_of(target.provider)


def _heading(order: dict[str, Any]) -> Iterator[str]:
    sources = order["sources"]
    told = [f"catalogue {order['catalogue']}", f"primary {order['primary']} ({sources['primary']})"]
    told.append(f"fallback {', '.join(order['fallback']) or 'none'} ({sources['fallback']})")
    if order["preferred"]:
        told.append(f"{order['preferred']} first ({sources['preferred']})")
    yield " · ".join(told)


def _lines(row: dict[str, Any]) -> Iterator[str]:
    sources = row["sources"]
    yield ""
    yield " · ".join(
        (
            click.style(row["name"], bold=True) + (f" · {row['group']}" if row["group"] else ""),
            f"temperature {row['temperature']:g} ({sources['temperature']})",
            f"{count(row['max_tokens'], 'token')} ({sources['max_tokens']})",
        )
    )
    written = [":".join(filter(None, (target["provider"], target["model"]))) for target in row["targets"]]
    width = max(map(len, written), default=0)
    for number, (target, text) in enumerate(zip(row["targets"], written, strict=True), start=1):
        planned = f", instead of {target['planned']}, which is retired" if target["planned"] else ""
        yield f"  {number}. {text:<{width}}  {click.style(target['source'] + planned, fg='bright_black')}"
