"""``kickai init``: writes a settings file."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kickai_providers_core.cli.common_options import output_options
from kickai_providers_core.cli.init_settings import Found, choose_order, render_settings
from kickai_providers_core.values.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kickai_providers_core.cli.common_options import Session

__all__ = ["command", "write_new"]

EPILOG = """\b
Examples:
  kickai init
  kickai init --path config/kickai.toml
"""


@click.command("init", epilog=EPILOG)
@click.option(
    "--path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("kickai.toml"),
    help="Write this file; kickai.toml in the working directory by default.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@output_options
@click.pass_obj
def command(session: Session, *, path: Path, force: bool) -> None:
    """Write a commented kickai.toml for the providers that are installed, with a store in an SQLite file.

    It asks no questions, calls no service and writes no key. Existing settings are not read.
    """
    session.console.output.reserve()
    order = choose_order(_find_providers(os.environ, session.load_timeout_s))
    write_new(path, render_settings(order), is_replaced=force)
    steps = [*_list_steps(path, order)]
    if session.as_json:
        providers = [{"name": each.name, "missing": list(each.missing)} for each in order]
        session.console.write_json({"path": str(path), "providers": providers, "next_steps": steps})
        return
    session.console.write_line(f"wrote {path}")
    for provider in order:
        state = f"not configured ({'; '.join(provider.missing)})" if provider.missing else "ready"
        session.console.write_line(f"  {provider.name}: {state}")
    session.console.write_line("next:")
    for step in steps:
        session.console.write_line(f"  {step}")


def _find_providers(env: Mapping[str, str], load_timeout_s: float) -> Iterator[Found]:
    """Yield the installed providers, with what each of them lacks in this environment."""
    from kickai_providers_core.config.loader import structure  # noqa: PLC0415  not needed for --help
    from kickai_providers_core.config.sources import read  # noqa: PLC0415
    from kickai_providers_core.plugin_api.discovery import discover  # noqa: PLC0415
    from kickai_providers_core.plugin_api.distributions import find_entry_points  # noqa: PLC0415
    from kickai_providers_core.plugin_api.registry import Registry  # noqa: PLC0415

    document = read({}, env)
    discovery = discover(find_entry_points(), allowed=document.plugins, timeout_s=load_timeout_s)
    broken = [plugin.name for plugin in discovery.plugins if plugin.error is not None]
    settings = structure(document, discovery.infos(), broken=broken)
    for instance in Registry(discovery, settings.providers, settings.unusable):
        if instance.name == instance.info.name:
            problems = instance.validation.find_problems()
            missing = tuple(problem.missing or problem.message for problem in problems)
            variables = tuple(instance.info.environment)
            yield Found(instance.name, instance.info.summary, missing, variables, instance.settings.timeout_s)


def _list_steps(path: Path, order: tuple[Found, ...]) -> Iterator[str]:
    if not order:
        yield "kickai providers --available"
    for provider in order:
        if provider.missing and provider.variables:
            yield f"export {provider.variables[0]}=…"
    # Only a file with this name is found by itself, in the working directory and above.
    option = "" if path.name == "kickai.toml" and path.absolute().parent == Path.cwd() else f" --config {path}"
    yield f"kickai doctor{option}"


def write_new(path: Path, text: str, *, is_replaced: bool) -> None:
    """Write a file as a whole or not at all, readable by its owner only: somebody may add a key to it.

    Raises:
        ConfigError: It exists and is not to be replaced, or it cannot be written.
    """
    try:
        _write(path, text, is_replaced=is_replaced)
        return
    except FileExistsError:
        problem = Problem(path="", source=str(path), message="the file exists", hint="Replace it with --force")
    except OSError as error:
        message = f"the file cannot be written: {error.strerror or type(error).__name__}"
        problem = Problem(path="", source=str(path), message=message, hint="Choose another one with --path")
    raise ConfigError([problem])


def _publish(name: str, path: Path) -> None:
    """Give a complete file its name, unless a file with that name exists by now."""
    try:
        os.link(name, path)
    except FileExistsError:
        raise
    except OSError:  # the file system has no hard links
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Path(name).read_bytes())


def _write(path: Path, text: str, *, is_replaced: bool) -> None:
    if not is_replaced and os.path.lexists(path):
        raise FileExistsError
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if is_replaced:
            os.replace(name, path)  # noqa: PTH105  the same call
        else:
            _publish(name, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
