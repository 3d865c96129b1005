"""One run of the command line: how its commands write, and what all of them are told."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field

from kickai_providers_core.plugin_api.isolation import LOAD_TIMEOUT_S
from kickai_providers_core.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kickai_providers_core.cli.console import Console
    from kickai_providers_core.values.events import Observer

__all__ = ["Session"]


@define
class Session:
    """What the options that all commands share have set.

    Attributes:
        console: Where to write.
        config: The settings file; None for the one that is found.
        as_json: Whether the answer, and an error in its place, is written as JSON.
        debug: Whether an error shows where it was raised, and what led to it.
        prompts: What is asked; no traceback shows it.
        story_told: Whether the steps of the request have been told while they happened.
        load_timeout_s: Seconds that the import of one plugin may take, and as many its description of itself.
    """

    console: Console
    config: Path | None = None
    as_json: bool = False
    debug: bool = False
    prompts: tuple[str, ...] = field(default=(), repr=False)
    story_told: bool = False
    load_timeout_s: float = LOAD_TIMEOUT_S

    @contextmanager
    def resolver(self, observers: Iterable[Observer] = ()) -> Iterator[Resolver]:
        """Yield a resolver for the settings of this run, and close it.

        Raises:
            ConfigError: The settings cannot be used.
        """
        self.console.seclude()
        made = Resolver.from_settings(self.config, observers=observers, load_timeout_s=self.load_timeout_s)
        with made as resolver:
            self.hide_keys_of(resolver)
            yield resolver

    def hide_keys_of(self, resolver: Resolver) -> None:
        """Mask every key that the settings of a resolver hold in all that is written."""
        from kickai_providers_core.config.instances import find_secrets  # noqa: PLC0415  --help does without

        own = resolver.settings.providers.values()
        self.console.hide(secret for settings in own for _, secret in find_secrets(settings))

    def warn_of_files(self, resolver: Resolver) -> None:
        """Write which files were not read as settings, and why."""
        for problem in resolver.settings.warnings:
            if not problem.path and problem.source and not problem.source.startswith("environment "):
                self.console.tell(f"warning: {problem}", "yellow")
