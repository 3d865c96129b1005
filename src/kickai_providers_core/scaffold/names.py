"""The name of a new provider: which ones are possible, and which ones are taken."""

from __future__ import annotations

import keyword
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from kickai_providers_core.plugin_api.discovery import discover, find_entry_points

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_LENGTH", "PREFIX", "check_name", "find_taken_names"]

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Stricter than the plugin API, since the name is also that of a package and of a class."""

PREFIX = "kickai-"

MAX_LENGTH = 32
"""The longest name, in characters: with longer ones, lines of the generated code exceed the limit of the style."""


def check_name(name: str, taken: Mapping[str, str]) -> str:
    """Return why a provider cannot have a name, as a sentence without a full stop; empty if it can.

    Args:
        name: The name.
        taken: The names that installed plugins have, with their distributions.
    """
    if name.startswith(PREFIX):
        return f"{name!r} must be the name of the provider: leave out {PREFIX!r}, which the distribution gets anyway"
    if not NAME.fullmatch(name):
        suggestion = "-".join(re.findall(r"[a-z0-9]+", name.lower())).lstrip("0123456789-")[:MAX_LENGTH]
        hint = f", for example {suggestion}" if NAME.fullmatch(suggestion) else ""
        return f"{name!r} must be lower-case letters, digits and single hyphens, and begin with a letter{hint}"
    if len(name) > MAX_LENGTH:
        return f"{name!r} must have at most {MAX_LENGTH} characters, and has {len(name)}"
    if keyword.iskeyword(name.title().replace("-", "")):
        return f"{name!r} must not be a keyword of Python with a capital letter: the class has that name"
    if name in taken:
        return f"{name!r} is taken by the installed distribution {taken[name]}: choose another one"
    return ""


def find_taken_names(name: str, load_timeout_s: float) -> dict[str, str]:
    """Return the names that plugins have, with their distributions, and this name if its distribution is installed.

    Args:
        name: The name of the new provider.
        load_timeout_s: Seconds that the import of one plugin may take, and again its description.
    """
    plugins = discover(find_entry_points(), timeout_s=load_timeout_s).plugins
    names = {plugin.name: plugin.distribution for plugin in plugins}
    for plugin in plugins:
        if plugin.info is not None:
            names |= dict.fromkeys((plugin.info.name, *plugin.info.aliases), plugin.distribution)
    with suppress(PackageNotFoundError, ValueError):  # ValueError: the name is empty
        names.setdefault(name, distribution(f"{PREFIX}{name}").name)
    return names
