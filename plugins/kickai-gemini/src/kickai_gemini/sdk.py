"""Which of Google's two Python clients is installed and used. Importing this module imports neither."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from kickai_providers_core import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_gemini.settings import Client

__all__ = ["GENAI", "GENERATIVEAI", "SDK", "build_missing_problem", "choose_sdk", "is_sdk_usable"]

SDK = Literal["google-genai", "google-generativeai"]

GENAI: SDK = "google-genai"
GENERATIVEAI: SDK = "google-generativeai"
MODULES = {GENAI: "google.genai", GENERATIVEAI: "google.generativeai"}
COMMANDS = {GENAI: "pip install 'kickai-gemini[genai]'", GENERATIVEAI: "pip install google-generativeai"}
OLDEST_MAJOR = 3
"""The first google-genai that brings httpx2; other packages pin older ones."""


def is_sdk_usable(sdk: SDK) -> bool:
    """Return whether a client is installed, in a version that can be used."""
    try:
        if find_spec(MODULES[sdk]) is None:
            return False
    except (ImportError, ValueError):  # the package ``google`` does not exist
        return False
    return sdk == GENERATIVEAI or int(metadata.version(GENAI).split(".")[0]) >= OLDEST_MAJOR


def choose_sdk(client: Client, is_usable: Callable[[SDK], bool] = is_sdk_usable) -> SDK | None:
    """Return the client to use; None when it is not installed.

    Args:
        client: The setting. ``auto`` prefers google-genai.
        is_usable: Returns whether a client is installed.
    """
    order = (GENAI, GENERATIVEAI) if client == "auto" else (client,)
    return next((sdk for sdk in order if is_usable(sdk)), None)


def build_missing_problem(client: Client) -> Problem:
    """Return the problem of a client that is not installed."""
    sdk = GENAI if client == "auto" else client
    subject = "none of Google's clients is" if client == "auto" else f"{sdk} is not"
    version = f", in version {OLDEST_MAJOR} or later" if sdk == GENAI else ""
    return Problem(path="client", message=f"{subject} installed{version}", hint=f"Run {COMMANDS[sdk]}", missing=sdk)
