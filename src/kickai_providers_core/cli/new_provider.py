"""``kickai new-provider``: writes the distribution of a new provider."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli.common_options import output_options
from kickai_providers_core.scaffold import KINDS, MissingCopierError, check_name, find_taken_names, write_project
from kickai_providers_core.values.errors import ConfigError, Problem

if TYPE_CHECKING:
    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.scaffold import Project
    from kickai_providers_core.scaffold.project import PluginKind

__all__ = ["command"]

EPILOG = """\b
Kinds:
  http   an HTTP service: OpenAI's Chat Completions protocol, or a similar one
  sdk    the client library of a vendor
  local  a model in this process

\b
Examples:
  kickai new-provider osprey
  kickai new-provider osprey --kind sdk --path ~/src
  kickai new-provider osprey --kind local --store
"""

STEPS = ("python -m pip install -e . --group test", "python -m pytest -n auto", "kickai providers")


@click.command("new-provider", epilog=EPILOG)
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="http", show_default=True, help="What the provider calls.")
@click.option("--store", is_flag=True, help="Also write a plugin that opens stores, with its tests.")
@click.option(
    "--path",
    "parent",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Write kickai-NAME into this folder; the working directory by default.",
)
@output_options
@click.pass_obj
def command(session: Session, *, name: str, kind: PluginKind, store: bool, parent: Path) -> None:
    """Write kickai-NAME, a complete distribution of a provider.

    It contains a package, settings, tests with the conformance kit, a README, a noxfile and CI workflows. Its tests
    pass from the start. No network is used. The extra kickai-providers-core[scaffold] must be installed.
    """
    session.console.output.reserve()
    problem = check_name(name, find_taken_names(name, session.load_timeout_s))
    if problem:
        raise click.BadParameter(f"{problem}.", param_hint="NAME")
    project = _write(parent / f"kickai-{name}", name, kind, store=store)
    steps = [f"cd {project.folder}", *STEPS]
    if session.as_json:
        written = {"path": str(project.folder), "name": name, "kind": kind, "store": store}
        session.console.write_json({**written, "files": list(project.files), "next_steps": steps})
        return
    session.console.write_line(f"wrote {project.folder} with {len(project.files)} files")
    session.console.write_line("next:")
    for step in steps:
        session.console.write_line(f"  {step}")


def _write(folder: Path, name: str, kind: PluginKind, *, store: bool) -> Project:
    try:
        return write_project(folder, name=name, kind=kind, store=store)
    except MissingCopierError as error:
        raise click.UsageError(f"{error}.") from None
    except FileExistsError:
        message, hint = "the folder exists", "Choose another name, or another folder with --path"
    except OSError as error:
        message = f"the folder cannot be written: {error.strerror or type(error).__name__}"
        hint = "Choose another folder with --path"
    raise ConfigError([Problem(path="", source=str(folder), message=message, hint=hint)])
