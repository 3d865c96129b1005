"""``kickai rollout``: shifts the traffic of running processes from one provider to another, step by step, and back."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from kickai_providers_core.cli.common_options import shared_options, show_examples
from kickai_providers_core.cli.parameter_types import (
    parse_duration_option,
    parse_share_argument,
    parse_shares_argument,
)
from kickai_providers_core.config.descriptions import join_names, suggest_name
from kickai_providers_core.operations.rollout_control import (
    RolloutControl,
    describe_state,
    explain_unfollowed,
    list_candidates,
)
from kickai_providers_core.resilience.rollout import Ramp
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, CANDIDATE, CONTROL, format_share
from kickai_providers_core.resilience.rollout_transitions import (
    RolloutError,
    go_back,
    pause,
    remove,
    resume,
    set_share,
    start_ramp,
)
from kickai_providers_core.stores.urls import MEMORY
from kickai_providers_core.values.plain_text import clean_line, format_count
from kickai_providers_core.values.text_length_limits import MESSAGE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.operations.rollout_control import ScopeStatus
    from kickai_providers_core.resilience.rollout import RolloutPlan
    from kickai_providers_core.resilience.rollout_transitions import Change
    from kickai_providers_core.stores.api import HistoryEntry

__all__ = ["command"]

EPILOG = """\b
Examples:
  kickai rollout set huggingface 25%
  kickai rollout ramp huggingface 1%,5%,25%,50%,100% --hold 1h
  kickai rollout status
  kickai rollout back --why "answers are too short"
"""

_ROLE = click.option("--role", metavar="ROLE", help="Only this role; without it, all roles without their own rollout.")
_WHY = click.option("--why", default="", metavar="TEXT", help="The reason, which the history keeps.")
_EXPECT = click.option(
    "--expect", type=click.IntRange(min=0), metavar="VERSION", help="Change only this version of the rollout."
)


_BACK_ROLE = click.option("--role", metavar="ROLE", help="Only this role; without it, every rollout goes back.")


def changes(function: Callable[..., Any], role: Callable[..., Any] = _ROLE) -> Callable[..., Any]:
    """Add the options that all changes have."""
    for option in (_EXPECT, _WHY, role):
        function = option(function)
    return shared_options(function)


@click.group("rollout", epilog=EPILOG, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Shift a share of the requests to a provider, and back.

    Running processes that use the same store follow within two seconds. A guard compares the provider with the others,
    and goes back by itself when it is worse. Only a person, or a ramp that a person has started, raises the share above
    what it was.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@command.command(
    "status", epilog=show_examples("kickai rollout status", "kickai rollout status --json | jq .rollouts[0].share")
)
@shared_options
@click.pass_obj
def show_status(session: Session) -> None:
    """Show the share of each rollout, its evidence, and what the guard waits for."""
    with open_control(session) as (control, settings):
        statuses, version = control.read_status()
    if session.as_json:
        session.console.write_json({"version": version, "rollouts": [each.as_dict() for each in statuses]})
        return
    if not statuses:
        session.console.write_line("No rollout. Start one with: kickai rollout set PROVIDER 5%")
    for each in statuses:
        for line in _format_status(each, settings):
            session.console.write_line(line)
    session.console.write_line(f"version {version}")


@command.command(
    "set",
    epilog=show_examples(
        "kickai rollout set huggingface 25%",
        "kickai rollout set huggingface 50% --role squad_selector",
        "kickai rollout set huggingface 0% --shadow 5%",
    ),
)
@click.argument("candidate")
@click.argument("share", callback=parse_share_argument)
@click.option("--exclude/--include", default=None, help="Whether the other requests never call the provider.")
@click.option(
    "--shadow",
    callback=parse_share_argument,
    metavar="SHARE",
    help="Also send this share of the other requests to it, to measure it.",
)
@changes
@click.pass_obj
def set_command(
    session: Session, /, *, candidate: str, share: int, exclude: bool | None, shadow: int | None, **how: Any
) -> None:
    """Give a provider a fixed share of the requests, such as 25%."""
    _change(session, how, partial(set_share, share=share, exclude=exclude, shadow=shadow), candidate=candidate)


@command.command("ramp", epilog=show_examples("kickai rollout ramp huggingface 1%,5%,25%,50%,100% --hold 1h"))
@click.argument("candidate")
@click.argument("shares", callback=parse_shares_argument)
@click.option(
    "--hold",
    callback=parse_duration_option,
    default="1h",
    show_default=True,
    metavar="TIME",
    help="The shortest time of each step: 90s, 30m, 1h or 2d.",
)
@changes
@click.pass_obj
def ramp_command(session: Session, /, *, candidate: str, shares: tuple[int, ...], hold: float, **how: Any) -> None:
    """Raise the share of a provider step by step, each step when the evidence is good."""
    _change(session, how, partial(start_ramp, ramp=Ramp(shares=shares, hold_s=hold)), candidate=candidate)


@command.command("pause", epilog=show_examples('kickai rollout pause --why "match day"'))
@changes
@click.pass_obj
def pause_command(session: Session, /, **how: Any) -> None:
    """Keep a ramp at its present share. The guard stays active."""
    _change(session, how, lambda plan, scope, now_s: pause(plan, scope))  # noqa: ARG005  the others need the time


@command.command("resume", epilog=show_examples("kickai rollout resume"))
@changes
@click.pass_obj
def resume_command(session: Session, /, **how: Any) -> None:
    """Continue a paused ramp, or restore the share that the guard has suspended."""
    _change(session, how, resume)


@command.command(
    "back",
    epilog=show_examples(
        'kickai rollout back --why "answers are too short"', "kickai rollout back --role squad_selector"
    ),
)
@partial(changes, role=_BACK_ROLE)
@click.pass_obj
def back_command(session: Session, /, **how: Any) -> None:
    """Set the share of every rollout, or of one role, to 0 at once."""
    _change(session, how, go_back)


@command.command(
    "remove",
    epilog=show_examples('kickai rollout remove --why "finished"', "kickai rollout remove --role squad_selector"),
)
@changes
@click.pass_obj
def remove_command(session: Session, /, **how: Any) -> None:
    """Remove a rollout, so that the order of each role's chain decides.

    A role without its own rollout then follows the one of all roles. [rollout] in the settings does not bring it back:
    it only counts while the store has no rollout and no history of one.
    """
    _change(session, how, lambda plan, scope, now_s: remove(plan, scope))  # noqa: ARG005  the others need the time


@command.command("history", epilog=show_examples("kickai rollout history --limit 5"))
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The number of changes.")
@shared_options
@click.pass_obj
def show_history(session: Session, *, limit: int) -> None:
    """List the latest changes: when, who, what, why and the evidence."""
    with open_control(session) as (control, _):
        entries = control.read_history(limit)
    if session.as_json:
        names = ("at_s", "who", "what", "why", "version")
        rows = [{**{name: getattr(each, name) for name in names}, "evidence": dict(each.evidence)} for each in entries]
        session.console.write_json({"history": rows})
        return
    if not entries:
        session.console.write_line("No change so far.")
    for each in entries:
        session.console.write_line(f"{_format_time(each.at_s)}  {_format_change(each)}")


@command.command("why", epilog=show_examples("kickai rollout why --role squad_selector"))
@click.option("--role", metavar="ROLE", help="Only the rollout that serves this role.")
@shared_options
@click.pass_obj
def explain(session: Session, *, role: str | None) -> None:
    """Explain the present share: the change that led to it, the evidence, and what would change it."""
    with open_control(session) as (control, settings):
        statuses, _ = control.read_status()
        names = {each.scope for each in statuses}
        scope = _find_scope(settings, role, names)
        wanted = scope if scope in names else ALL_ROLES
        shown = [each for each in statuses if role is None or each.scope == wanted]
        latest_by_scope = {each.scope: control.find_latest(each.scope) for each in shown}
    if session.as_json:
        entries = [entry for entry in latest_by_scope.values() if entry is not None]
        latest = [{"at_s": each.at_s, "who": each.who, "what": each.what, "why": each.why} for each in entries]
        session.console.write_json({"rollouts": [each.as_dict() for each in shown], "latest": latest})
        return
    if not shown:
        session.console.write_line("No rollout serves these requests: each role calls its own chain.")
    for each in shown:
        for line in (
            *_format_status(each, settings),
            *_format_evidence(each),
            *_format_latest(latest_by_scope[each.scope]),
        ):
            session.console.write_line(line)


@contextmanager
def open_control(session: Session) -> Iterator[tuple[RolloutControl, Settings]]:
    """Yield the control of the rollout in the configured store, and the settings.

    Raises:
        click.UsageError: No store is configured, or one that no other process has.
    """
    with session.store() as (store, settings):
        if store is None or (settings.store.address is not None and settings.store.address.scheme == MEMORY):
            line = '[store]\n  url = "sqlite:///kickai.db"'
            raise click.UsageError(f"A rollout needs a store that all processes share. Add to kickai.toml:\n\n  {line}")
        who = f"{getpass.getuser()}@{socket.gethostname()}"
        yield RolloutControl(store, settings.rollout, who=who, wall=time.time), settings


def _change(
    session: Session,
    how: dict[str, Any],
    make: Callable[..., Change],
    *,
    candidate: str | None = None,
) -> None:
    """Make a change, and write what it was."""
    with open_control(session) as (control, settings):
        scope = _find_scope(settings, how["role"], control.read_plan()[0].rollouts)
        given = {} if candidate is None else {"candidate": _find_candidate(settings, candidate)}

        def change(plan: RolloutPlan) -> Change:
            return make(plan, scope, now_s=time.time(), **given)

        try:
            made = control.change(change, how["why"], expected=how["expect"])
        except RolloutError as error:
            raise click.UsageError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    if session.as_json:
        session.console.write_json({"changed": True, "scope": made.scope, "what": made.what})
    else:
        session.console.write_line(made.what)


def _find_scope(settings: Settings, role: str | None, scopes: Container[str]) -> str:
    """Return the scope of a role that the settings have, or that has a rollout in the store."""
    if role is None:
        return ALL_ROLES
    if role not in settings.roles and role not in scopes:
        hint = suggest_name(role, settings.roles) or f"Known: {join_names(sorted(settings.roles))}."
        raise click.UsageError(f"Unknown role {role!r}. {hint}")
    return role


def _find_candidate(settings: Settings, name: str) -> str:
    known = list_candidates(settings)
    if name not in known:
        hint = suggest_name(name, known) or f"Known: {join_names(sorted(known))}."
        raise click.UsageError(f"Unknown provider {name!r}. {hint}")
    return name


def _format_status(status: ScopeStatus, settings: Settings) -> Iterator[str]:
    rollout, scope = status.rollout, "all roles" if status.scope == ALL_ROLES else status.scope
    yield f"{scope}: {rollout.candidate} {format_share(rollout.share)}, {describe_state(rollout)}"
    unfollowed = explain_unfollowed(settings, status.scope, rollout.candidate)
    if unfollowed:
        yield f"  no effect with these settings: {unfollowed}"
    if rollout.exclude:
        yield "  excluded from the other requests"
    if rollout.shadow:
        yield f"  shadowing {format_share(rollout.shadow)} of the other requests"
    for arm in ("candidate", "control"):
        counts = getattr(status.evidence, arm)
        yield f"  {arm}: {format_count(counts.n, 'request')}, {counts.failures} failed"
    if status.verdict is not None:
        yield f"  guard: {status.verdict.message}"


def _format_evidence(status: ScopeStatus) -> Iterator[str]:
    verdict = status.verdict
    for name, number in (verdict.numbers if verdict is not None else {}).items():
        yield f"  {name.replace('_', ' ')}: {number:g}"


def _format_latest(entry: HistoryEntry | None) -> Iterator[str]:
    if entry is not None:
        why = f", because {entry.why}" if entry.why else ""
        latest = f"{entry.what}, by {entry.who} on {_format_time(entry.at_s)}{why}"
        yield f"  latest change: {clean_line(latest, 2 * MESSAGE_LIMIT)}"


def _format_change(entry: HistoryEntry) -> str:
    """Return who did what, why, and what was counted until then, on one line."""
    why = f" ({entry.why})" if entry.why else ""
    counts = ((arm, entry.evidence.get(arm)) for arm in (CANDIDATE, CONTROL))
    counted = [
        f"{arm} {each.get('failures')} of {each['requests']} failed"
        for arm, each in counts
        if isinstance(each, Mapping) and each.get("requests")
    ]
    evidence = f"; until then {', '.join(counted)}" if counted else ""
    return clean_line(f"{entry.who}: {entry.what}{why}{evidence}", 2 * MESSAGE_LIMIT)


def _format_time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
