"""The program ``kickai``: its commands, which are imported when they are called, and how a run starts."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli.common_options import Session
from kickai_providers_core.cli.console import CLOSED, Console, WriteError
from kickai_providers_core.cli.error_exits import PIPE_CLOSED, report_error
from kickai_providers_core.plugin_api.discovery import LOAD_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["program", "run"]

COMMANDS: Mapping[str, str] = {
    "ask": "Answer a prompt through a chain of providers.",
    "batch": "Answer a file of prompts, and continue after an interruption.",
    "providers": "List the provider plugins and whether they can be used.",
    "roles": "List the roles with their targets and settings.",
    "init": "Write a settings file for the installed providers.",
    "doctor": "Check settings, plugins, keys and models.",
    "check-config": "Check the settings, and ask each provider one question.",
    "report": "Show requests, costs, and whether the five measures are met.",
    "rollout": "Shift traffic to a provider step by step, and back.",
    "serve": "Serve the chains over HTTP to clients of the OpenAI API.",
    "new-provider": "Write the distribution of a new provider.",
}
"""The name of each command, which is that of its module with ``-`` for ``_``, and its summary."""

EPILOG = """\b
Exit codes:
  0    success
  1    no provider could answer, or a check failed
  2    wrong usage or invalid settings
  130  interrupted

\b
Examples:
  kickai ask "Who can play on Saturday?"
  kickai providers
  kickai doctor --online
"""

COMPLETION = "_KICKAI_COMPLETE"
"""The variable that shell completion sets."""


class Commands(click.Group):
    """A group that imports the module of a command when the command is called, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names of the commands, the most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"kickai_providers_core.cli.{cmd_name.replace('-', '_')}").command
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
    """Call language models through a chain of providers, and fall back when one fails."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def run(arguments: Sequence[str], *, is_process: bool = False, load_timeout_s: float = LOAD_TIMEOUT_S) -> int:
    """Run the program, and return its exit code.

    Args:
        arguments: The arguments after the program's name.
        is_process: Whether the process ends after this run; what plugins print at exit then goes to standard error.
        load_timeout_s: Seconds that the import of one plugin may take, and again its description.
    """
    session = Session(Console(), load_timeout_s=load_timeout_s)
    try:
        if sys.stdout is None:
            return report_error(WriteError(CLOSED), session)
        try:
            return _invoke(arguments, session)
        except BaseException as error:  # noqa: BLE001  every error is reported in a line, without a traceback
            return report_error(error, session)
    except BrokenPipeError:
        return PIPE_CLOSED
    finally:
        if not is_process:
            session.console.output.restore()


def _invoke(arguments: Sequence[str], session: Session) -> int:
    instruction = os.environ.get(COMPLETION)
    if instruction:
        from click.shell_completion import shell_complete  # noqa: PLC0415  rarely needed

        return shell_complete(program, {"obj": session}, "kickai", COMPLETION, instruction)
    with program.make_context("kickai", list(arguments), obj=session) as context:
        code: int = program.invoke(context) or 0
        return code
