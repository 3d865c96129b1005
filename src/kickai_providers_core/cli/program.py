"""The program: its commands, loaded when they are called, and how a run begins."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli.console import CLOSED, Console, WriteError
from kickai_providers_core.cli.endings import PIPE_CLOSED, conclude
from kickai_providers_core.cli.session import Session
from kickai_providers_core.plugin_api.isolation import LOAD_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["program", "run"]

COMMANDS: Mapping[str, str] = {
    "ask": "Answer a prompt through a chain of providers.",
    "providers": "List every provider plugin and whether it can be used.",
    "roles": "List every role with its targets and settings.",
    "doctor": "Find every problem of settings, plugins, keys and models.",
}
"""Each command's name, which is that of its module, and what it does."""

EPILOG = """\b
Exit codes:
  0    done
  1    no provider could answer, or the doctor found a problem
  2    wrong usage, or settings that cannot be used
  130  interrupted

\b
Examples:
  kickai ask "Who can play on Saturday?"
  kickai doctor --online
"""

COMPLETION = "_KICKAI_COMPLETE"
"""The variable by which click's shell completion asks for its words."""


class Commands(click.Group):
    """A group that imports a command's module when the command is called, and not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names of the commands, the most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"kickai_providers_core.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    name="kickai",
    cls=Commands,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="kickai-providers-core", prog_name="kickai", message="%(prog)s %(version)s")
@click.pass_context
def program(ctx: click.Context) -> None:
    """Call language models through a chain of providers: the first one that can answer is used."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def run(arguments: Sequence[str], *, leaves: bool = False, load_timeout_s: float = LOAD_TIMEOUT_S) -> int:
    """Run the program with these arguments, and return its exit code.

    Args:
        arguments: What follows the program's name.
        leaves: Whether the process ends after this run; what plugins print while it ends then goes to standard error.
        load_timeout_s: Seconds that the import of one plugin may take, and as many its description of itself.
    """
    session = Session(Console(), load_timeout_s=load_timeout_s)
    try:
        if sys.stdout is None:
            return conclude(WriteError(CLOSED), session)
        try:
            return _carry_out(arguments, session)
        except BaseException as error:  # noqa: BLE001  whatever it was, a user is told in a line
            return conclude(error, session)
    except BrokenPipeError:
        return PIPE_CLOSED
    finally:
        if not leaves:
            session.console.release()


def _carry_out(arguments: Sequence[str], session: Session) -> int:
    asked = os.environ.get(COMPLETION)
    if asked:
        from click.shell_completion import shell_complete  # noqa: PLC0415  a shell asks once, people run the rest

        return shell_complete(program, {"obj": session}, "kickai", COMPLETION, asked)
    with program.make_context("kickai", list(arguments), obj=session) as context:
        code: int = program.invoke(context) or 0
        return code
