"""References to secrets: to an environment variable, an entry of the keyring, or a file."""

from __future__ import annotations

import importlib
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from kickai_providers_core.config.descriptions import describe_kind, suggest_name
from kickai_providers_core.config.problems import StructuringError, Violation
from kickai_providers_core.config.trusted_files import NotUsableError, UntrustedError, read_found, read_named
from kickai_providers_core.values.plain_text import format_count
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Keyring", "SecretResolver", "describe_reference", "describe_unset"]

FORMS = ("env", "keyring", "file")

MIN_KEY_LENGTH = 12
"""API keys have at least this many characters."""

PLAUSIBLE = {"env": r"[A-Z_][A-Z0-9_]*", "keyring": r"[^/]{1,32}/[^/]{1,32}", "file": r".*[/\\.].*"}
"""What the name in each form of reference looks like. Anything else may be a key, and no message quotes it."""


class Keyring(Protocol):
    """The part of the keyring library, or of one of its backends, that is used."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return the secret, or None when there is none."""


@frozen(kw_only=True)
class SecretResolver:
    """Looks up references to secrets.

    Attributes:
        environment: The environment variables.
        folder: The folder that relative paths start from.
        is_named: Whether the settings file was named, or the settings were written in code. Otherwise the file was
            found, and the files of its secrets have to be trusted as well.
        keyring: The backend for ``keyring`` references; None for the keyring library, which is an optional extra.
        untrusted: The files of secrets that were not used, each with the reason; filled by `resolve`.
    """

    environment: Mapping[str, str] = field(repr=False)
    folder: Path = Path()
    is_named: bool = True
    keyring: Keyring | None = None
    untrusted: dict[str, str] = field(factory=dict)

    def resolve(self, reference: Mapping[str, Any]) -> Secret:
        """Return the secret; an empty one when the variable or the keyring entry does not exist.

        Raises:
            StructuringError: The reference is malformed, or what it names cannot be read.
        """
        form, name = _parse(reference)
        if form == "env":
            return Secret(self.environment.get(name, "").strip())
        return self._from_keyring(name) if form == "keyring" else self._from_file(name)

    def _from_keyring(self, name: str) -> Secret:
        service, slash, username = name.partition("/")
        if not (service and slash and username):
            raise _build_error("keyring", f"must be 'service/username', got {_quote('keyring', name)}")
        try:
            keyring = self.keyring or importlib.import_module("keyring")
        except ImportError:
            hint = "Run pip install 'kickai-providers-core[keyring]'"
            raise _build_error("keyring", "the keyring package is not installed", hint) from None
        try:
            return Secret((keyring.get_password(service, username) or "").strip())
        except Exception as exc:  # noqa: BLE001 # every backend has its own errors
            message = f"the keyring failed to return {_quote('keyring', name)} ({type(exc).__name__})"
            raise _build_error("keyring", message) from None

    def _from_file(self, name: str) -> Secret:
        try:
            path = self.folder / Path(name).expanduser()
            content = (read_named if self.is_named else read_found)(path).decode("utf-8-sig").strip()
        except UntrustedError as exc:
            self.untrusted[name] = str(exc)
            return Secret("")
        except (OSError, ValueError, RuntimeError, NotUsableError) as exc:
            raise _build_error("file", f"cannot read {_quote('file', name)}: {_describe_read_error(exc)}") from None
        if not content:
            raise _build_error("file", f"the file {_quote('file', name)} is empty")
        return Secret(content)


def _describe_read_error(error: Exception) -> str:
    """Return why a file cannot be read, without the bytes that the message of a decoding error quotes."""
    if isinstance(error, NotUsableError):
        return f"it is {error}"
    if isinstance(error, RuntimeError):
        return "there is no home directory"
    return (isinstance(error, OSError) and error.strerror) or "it is not UTF-8 text"


def describe_reference(reference: Mapping[str, Any]) -> str:
    """Return what a reference names, such as ``environment MY_TOKEN``; empty when it is malformed."""
    try:
        form, name = _parse(reference)
    except StructuringError:
        return ""
    return f"{'environment' if form == 'env' else form} {_show(form, name)}"


def describe_unset(source: str) -> str:
    """Return that the variable or the keyring entry which `describe_reference` describes does not exist."""
    form, _, name = source.partition(" ")
    return f"the keyring has no entry {name}" if form == "keyring" else f"the variable {name} is not set"


def _show(form: str, name: str) -> str:
    """Return a name as messages show it."""
    is_shown = len(name) < MIN_KEY_LENGTH or re.fullmatch(PLAUSIBLE[form], name)
    return name if is_shown else f"a string of {format_count(len(name), 'character')}"


def _quote(form: str, name: str) -> str:
    shown = _show(form, name)
    return repr(shown) if shown == name else shown


def _parse(reference: Mapping[str, Any]) -> tuple[str, str]:
    if len(reference) != 1:
        message = f"must have one key (env, keyring or file), got {len(reference)}"
        raise StructuringError(Violation.from_message(message))
    ((form, name),) = reference.items()
    if form not in FORMS:
        hint = partial(suggest_name, str(form), FORMS)
        raise StructuringError(Violation((str(form),), f"unknown key (allowed: {', '.join(FORMS)})", hint))
    if not isinstance(name, str) or not name.strip():
        got = "an empty string" if isinstance(name, str) else describe_kind(name)
        raise StructuringError(Violation.from_mismatch("a string that is not empty", got).prepend_keys(form))
    return form, name.strip()


def _build_error(form: str, message: str, hint: str = "") -> StructuringError:
    return StructuringError(Violation((form,), message, hint))
