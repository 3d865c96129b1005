"""What is removed from the output: keys, and characters that control a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kickai_providers_core.plugin_api.secret_masking import MIN_KEY_LENGTH, find_environment_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core.values.secrets import Secret

__all__ = ["CONTROL", "KeyMask", "strip_control"]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that control a terminal: control characters, escape sequences (7 and 8 bits), direction overrides.

They may come from a model, a service, a plugin, a file or an argument. An answer that is written to a file or a pipe
keeps them, and JSON escapes them.
"""

STYLE = re.compile(r"(\x1b\[[0-9;]*m)")
"""The sequences that `click.style` writes."""


def strip_control(text: str, *, keep_styles: bool = False) -> str:
    """Return text without characters that control a terminal, except for our own styles if they are to be kept."""
    if not keep_styles:
        return CONTROL.sub("", text)
    return "".join(part if STYLE.fullmatch(part) else CONTROL.sub("", part) for part in STYLE.split(text))


class KeyMask:
    """Replaces keys by ``***``."""

    def __init__(self) -> None:
        self._keys: tuple[str, ...] = ()
        self._variables: tuple[str, ...] = ()

    def add(self, secrets: Iterable[Secret]) -> None:
        """Mask these keys from now on."""
        keys = {secret.reveal() for secret in secrets}
        self._keys = tuple(sorted((key for key in keys if len(key) >= MIN_KEY_LENGTH), key=len, reverse=True))

    def add_variables(self) -> None:
        """Mask the values of environment variables that are named like keys, except in answers."""
        self._variables = tuple(sorted(find_environment_keys(), key=len, reverse=True))

    def apply(self, text: str, *, is_answer: bool = False) -> str:
        """Return text without keys."""
        for key in (*(() if is_answer else self._variables), *self._keys):
            text = text.replace(key, "***")
        return text

    def apply_to_json(self, value: Any) -> Any:
        """Return a JSON value without keys."""
        if isinstance(value, str):
            return self.apply(value, is_answer=True)
        if isinstance(value, dict):
            return {key: self.apply_to_json(item) for key, item in value.items()}
        return [self.apply_to_json(item) for item in value] if isinstance(value, list | tuple) else value
