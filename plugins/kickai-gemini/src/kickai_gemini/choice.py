"""Which of Google's two clients is used, and whether it is there. Importing this imports neither."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from kickai_providers_core import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_gemini.settings import Client

__all__ = ["SDK", "choose", "importable", "missing"]

SDK = Literal["google-genai", "google-generativeai"]

SUCCESSOR: SDK = "google-genai"
FIRST: SDK = "google-generativeai"
MODULES = {SUCCESSOR: "google.genai", FIRST: "google.generativeai"}
COMMANDS = {SUCCESSOR: "pip install 'kickai-gemini[genai]'", FIRST: "pip install google-generativeai"}
OLDEST_MAJOR = 3
"""The first google-genai on httpx2, whose connections this plugin bounds; other packages pin older ones."""


def importable(sdk: SDK) -> bool:
    """Say whether a client is installed, in a version that can be used."""
    try:
        if find_spec(MODULES[sdk]) is None:
            return False
    except (ImportError, ValueError):  # no package ``google`` at all
        return False
    return sdk == FIRST or int(metadata.version(SUCCESSOR).split(".")[0]) >= OLDEST_MAJOR


def choose(wanted: Client, found: Callable[[SDK], bool] = importable) -> SDK | None:
    """Return the client to use: the one that the settings force, or the successor when it is there; None when none is.

    Args:
        wanted: The setting.
        found: Says whether a client is installed.
    """
    order = (SUCCESSOR, FIRST) if wanted == "auto" else (wanted,)
    return next((sdk for sdk in order if found(sdk)), None)


def missing(wanted: Client) -> Problem:
    """Return the problem of a client that is not there."""
    sdk = SUCCESSOR if wanted == "auto" else wanted
    told = "none of Google's clients is" if wanted == "auto" else f"{sdk} is not"
    least = f", in version {OLDEST_MAJOR} or later" if sdk == SUCCESSOR else ""
    return Problem(path="client", message=f"{told} installed{least}", hint=f"Run {COMMANDS[sdk]}", missing=sdk)
