"""The name of a new provider: which ones are possible, and which ones are taken."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_LENGTH", "PREFIX", "check_name"]

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
