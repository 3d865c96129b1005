"""The command ``kickai serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from attrs import evolve
from kickai_providers_core.cli.session import shared_options

from kickai_gateway.serve import serve

if TYPE_CHECKING:
    from kickai_providers_core.cli.session import Session

__all__ = ["command"]

MAX_PORT = 65_535
MAX_WORKERS = 256

EPILOG = """\b
Examples:
  kickai serve
  kickai serve --port 9000 --workers 2
  curl http://127.0.0.1:8080/v1/models
"""


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
@shared_options
@click.pass_obj
def command(session: Session, *, host: str | None, port: int | None, workers: int | None) -> int:
    """Serve the chains over HTTP, to clients of the OpenAI API.

    It runs until Ctrl-C or SIGTERM, and then lets running requests end. SIGHUP reads the settings again.
    """
    options = {"host": host, "port": port, "workers": workers}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    return serve(session, lambda own: evolve(own, **given))
