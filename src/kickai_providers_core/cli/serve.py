"""``kickai serve``: the command of the distribution kickai-gateway, or what to do when it is not installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import click

__all__ = ["command"]

GATEWAY = "kickai_gateway"


def _find_command() -> click.Command:
    if find_spec(GATEWAY) is None:
        return click.Command(
            "serve",
            callback=_require_gateway,
            help="Serve the chains over HTTP. It needs the package kickai-gateway.",
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        )
    command: click.Command = import_module(f"{GATEWAY}.command").command
    return command


def _require_gateway() -> None:
    raise click.UsageError("The gateway is missing: install kickai-gateway (kickai providers --available shows how).")


command = _find_command()
