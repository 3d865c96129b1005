"""Masks keys in what plugins say: those of the settings, and those in the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import attrs

from kickai_providers_core.values.secrets import Secret

__all__ = ["MIN_KEY_LENGTH", "find_environment_keys", "find_secrets", "mask_secrets"]

MIN_KEY_LENGTH = 8
"""Shorter keys, in characters, are not masked: they would match ordinary text."""

KEY_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)


def mask_secrets(text: str, secrets: frozenset[str]) -> str:
    """Return a text in which each secret, also as ``repr`` shows it, is replaced by ``***``."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= MIN_KEY_LENGTH:
            text = text.replace(secret, "***").replace(repr(secret)[1:-1], "***")
    return text


def find_environment_keys(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the values of environment variables whose names suggest keys, passwords or tokens."""
    known = os.environ if environ is None else environ
    return frozenset(
        value.strip() for name, value in known.items() if KEY_NAME.search(name) and len(value.strip()) >= MIN_KEY_LENGTH
    )


def find_secrets(value: Any) -> frozenset[str]:
    """Return the text of every `Secret` in settings."""
    if isinstance(value, Secret):
        return frozenset({value.reveal()})
    if attrs.has(type(value)):
        value = [getattr(value, field.name) for field in attrs.fields(type(value))]
    elif isinstance(value, Mapping):
        value = [*value.values()]
    if not isinstance(value, tuple | list | set | frozenset):
        return frozenset()
    return frozenset().union(*map(find_secrets, value))
