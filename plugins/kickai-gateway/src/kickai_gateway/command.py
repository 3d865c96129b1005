"""The command ``kickai serve``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve
from kickai_providers_core.cli.common_options import shared_options
from kickai_providers_core.config.gateway_settings import MAX_PORT, MAX_WORKERS

from kickai_gateway.keys import create_key
from kickai_gateway.serve import serve

if TYPE_CHECKING:
    from kickai_providers_core.cli.common_options import Session

__all__ = ["command"]

KEY_NAME = re.compile(r"[a-z0-9_-]{1,40}")

EPILOG = """\b
Examples:
  kickai serve
  kickai serve --port 9000 --workers 2
  kickai serve --new-key website
  curl http://127.0.0.1:8080/v1/models
"""


def _validate_name(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not KEY_NAME.fullmatch(value):
        message = f"{value[:60]!r} must be 1 to 40 lower-case letters, digits, - and _"
        raise click.BadParameter(message)
    return value


def _print_key(name: str) -> int:
    key = create_key()
    click.echo("The key, which cannot be shown again. Give it to the client only:\n")
    click.echo(f"    {key.text}\n")
    click.echo("The table for kickai.toml, which does not contain the key:\n")
    click.echo(f'    [gateway.keys.{name}]\n    hash = "{key.hash}"\n    models = ["kickai", "kickai:*"]')
    return 0


@click.command("serve", epilog=EPILOG)
@click.option("--host", metavar="ADDRESS", help="Listen on this address instead of [gateway] host.")
@click.option(
    "--port",
    type=click.IntRange(0, MAX_PORT),
    metavar="NUMBER",
    help="Listen on this port instead of [gateway] port; 0 for a free one.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    metavar="NUMBER",
    help="Run this many processes instead of [gateway] workers.",
)
@click.option(
    "--new-key",
    "key_name",
    metavar="NAME",
    callback=_validate_name,
    help="Make a key for a client, print the key and its settings table, and exit.",
)
@shared_options
@click.pass_obj
def command(session: Session, *, host: str | None, port: int | None, workers: int | None, key_name: str | None) -> int:
    """Serve the chains over HTTP to clients of the OpenAI API.

    It runs until Ctrl-C or SIGTERM, and then lets running requests end. SIGHUP reads the settings again.

    The tables [gateway] and [gateway.keys.NAME] of the settings limit what clients may do: the models that a key may
    name, its requests a minute, its tokens a day, and what it may cost in USD a day and a month.
    """
    if key_name is not None:
        return _print_key(key_name)
    options = {"host": host, "port": port, "workers": workers}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if host == "":
        raise click.UsageError("The address of --host is empty.")
    return serve(session, lambda own: evolve(own, **given))
