"""The options that all commands share, the session in which they are kept, and the examples of a command's help."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import define, evolve, field

from kickai_providers_core.plugin_api.discovery import LOAD_TIMEOUT_S, discover, find_entry_points
from kickai_providers_core.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kickai_providers_core.cli.console import Console
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery
    from kickai_providers_core.stores.api import Store
    from kickai_providers_core.values.events import Observer

__all__ = ["STORE_TIMEOUT_S", "Session", "output_options", "shared_options", "show_examples", "without_store"]

STORE_TIMEOUT_S = 5.0
"""Seconds for which a command waits while other processes write to the store."""

F = TypeVar("F", bound="Callable[..., Any]")


@define
class Session:
    """One run of the command line.

    Attributes:
        console: Where to write.
        config: The settings file; None to search for it.
        as_json: Whether to write the result, or an error, as JSON.
        debug: Whether to show where errors were raised, and their causes.
        prompts: The prompts of the request, which no traceback shows.
        steps_shown: Whether the steps of the request are shown while they happen.
        load_timeout_s: Seconds that the import of one plugin may take, and again its description.
    """

    console: Console
    config: Path | None = None
    as_json: bool = False
    debug: bool = False
    prompts: tuple[str, ...] = field(default=(), repr=False)
    steps_shown: bool = False
    load_timeout_s: float = LOAD_TIMEOUT_S

    @contextmanager
    def resolver(self, observers: Iterable[Observer] = (), *, uses_store: bool = True) -> Iterator[Resolver]:
        """Yield a resolver for the settings of this run, and close it.

        Args:
            observers: Called with every event.
            uses_store: Whether it reads and writes the configured store; a listing needs none.

        Raises:
            ConfigError: The settings cannot be used.
        """
        settings, discovery = self.load()
        with Resolver(settings if uses_store else without_store(settings), discovery, observers=observers) as resolver:
            yield resolver

    @contextmanager
    def store(self) -> Iterator[tuple[Store | None, Settings]]:
        """Yield the configured store, or None, and the settings of this run; close the store.

        Raises:
            ConfigError: The settings cannot be used.
            StoreError: The store cannot be opened.
        """
        settings, discovery = self.load()
        own = settings.store
        if own.url is None:
            yield None, settings
            return
        from kickai_providers_core.plugin_api.store_opening import open_store  # noqa: PLC0415  needs sqlite3

        store = open_store(own.url, namespace=own.namespace, plugins=discovery.stores(), timeout_s=STORE_TIMEOUT_S)
        try:
            yield store, settings
        finally:
            store.close()

    def load(self) -> tuple[Settings, Discovery]:
        """Return the settings of this run, whose keys are masked from now on, and the plugins."""
        from kickai_providers_core.config import loader, sources  # noqa: PLC0415  not needed for --help

        self.console.output.reserve()
        document = sources.read(self.config, os.environ)
        discovery = discover(find_entry_points(), allowed=document.plugins, timeout_s=self.load_timeout_s)
        broken = [plugin.name for plugin in discovery.plugins if plugin.error is not None]
        settings = loader.structure(document, discovery.infos(), broken=broken)
        self.mask_keys(settings)
        return settings, discovery

    def mask_keys(self, settings: Settings) -> None:
        """Mask every key in the settings."""
        from kickai_providers_core.config.instances import locate_secrets  # noqa: PLC0415  not needed for --help

        values: list[object] = list(settings.providers.values())
        address = settings.store.address
        if address is not None and address.text != address.location:  # without credentials it need not be hidden
            values.append(settings.store)
        self.console.mask.add(secret for value in values for _, secret in locate_secrets(value))

    def load_with_warnings(self) -> tuple[Settings, Discovery]:
        """Return what `load` returns, and log the warnings about settings that the user wrote."""
        settings, discovery = self.load()
        self.log_warnings(settings)
        return settings, discovery

    def log_warnings(self, settings: Settings) -> None:
        """Log the warnings about what the user wrote. Users cannot change a catalogue or a default."""
        for problem in settings.warnings:
            of_catalogue = problem.source.startswith("catalogue ")
            of_default = (
                problem.path.startswith("kickai.") and settings.source_of(problem.path.partition("[")[0]) == "default"
            )
            if not of_catalogue and not of_default:
                self.console.warn(str(problem))

    def log_ignored_files(self, resolver: Resolver) -> None:
        """Log which settings files were ignored, and why."""
        for problem in resolver.settings.warnings:
            if not problem.path and problem.source and not problem.source.startswith("environment "):
                self.console.warn(str(problem))


def without_store(settings: Settings) -> Settings:
    """Return the settings without the store, for commands that call nothing."""
    return evolve(settings, store=evolve(settings.store, url=None))


def shared_options(command: F) -> F:
    """Add the options that all commands have."""
    for option in (_DEBUG, _CONFIG, _JSON):
        command = option(command)
    return command


def output_options(command: F) -> F:
    """Add the options of a command that reads no settings."""
    return _DEBUG(_JSON(command))


def show_examples(*lines: str) -> str:
    """Return the end of a command's help: its examples."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    setattr(ctx.obj, str(param.name), value)
    if param.name == "debug" and value:
        ctx.obj.console.mask.add_variables()


_JSON = click.option(
    "--json", "as_json", is_flag=True, expose_value=False, is_eager=True, callback=_keep, help="Print JSON."
)
_CONFIG = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_keep,
    help="Read this settings file, instead of the one that KICKAI_CONFIG names or the nearest kickai.toml.",
)
_DEBUG = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_keep,
    help="Show where errors were raised, and their causes, without keys and prompts.",
)
