"""Secrets that settings only point to: in a variable, in the keyring, or in a file of their own."""

from __future__ import annotations

import importlib
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from kickai_providers_core.config.faults import Fault, Misfit
from kickai_providers_core.config.files import NotUsableError, UntrustedError, read_found, read_named
from kickai_providers_core.config.wording import did_you_mean, kind_of
from kickai_providers_core.values.plain_text import count
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Keyring", "References", "described"]

FORMS = ("env", "keyring", "file")

SHORTEST_KEY = 12
"""No key is shorter than this."""

PLAUSIBLE = {"env": r"[A-Z_][A-Z0-9_]*", "keyring": r"[^/]{1,32}/[^/]{1,32}", "file": r".*[/\\.].*"}
"""What a place of each form looks like; anything else may be a key in the wrong place, and is not repeated."""


class Keyring(Protocol):
    """The part of the keyring library, or of one of its backends, that is used."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return the secret, or None when there is none."""


@frozen(kw_only=True)
class References:
    """Where references are looked up.

    Attributes:
        environment: The environment variables.
        folder: The folder that relative paths start from.
        is_named: Whether somebody named the settings file, or wrote the settings in code. Otherwise the file was found,
            and a secret's file must be as trustworthy as that.
        keyring: Whom to ask for ``keyring`` references; None for the keyring library, which is an optional extra.
        refused: The files of secrets that were not used, each with the reason; filled by `reveal`.
    """

    environment: Mapping[str, str] = field(repr=False)
    folder: Path = Path()
    is_named: bool = True
    keyring: Keyring | None = None
    refused: dict[str, str] = field(factory=dict)

    def reveal(self, reference: Mapping[str, Any]) -> Secret:
        """Return the secret; an empty one when the environment or the keyring has none of that name.

        Raises:
            Misfit: It is no reference, or what it points to cannot be read.
        """
        form, place = _parsed(reference)
        if form == "env":
            return Secret(self.environment.get(place, "").strip())
        return self._from_keyring(place) if form == "keyring" else self._from_file(place)

    def _from_keyring(self, place: str) -> Secret:
        service, slash, username = place.partition("/")
        if not (service and slash and username):
            raise _wrong("keyring", f"found {_quoted('keyring', place)}, expected 'service/username'")
        try:
            keyring = self.keyring or importlib.import_module("keyring")
        except ImportError:
            told = "found a reference to the keyring, expected the package keyring, which is not installed"
            raise _wrong("keyring", told, "pip install 'kickai-providers-core[keyring]'") from None
        try:
            return Secret((keyring.get_password(service, username) or "").strip())
        except Exception as exc:  # noqa: BLE001 # every backend has errors of its own
            told = f"found a keyring that cannot be asked ({type(exc).__name__})"
            raise _wrong("keyring", f"{told}, expected one with {_quoted('keyring', place)}") from None

    def _from_file(self, place: str) -> Secret:
        try:
            path = self.folder / Path(place).expanduser()
            content = (read_named if self.is_named else read_found)(path).decode("utf-8-sig").strip()
        except UntrustedError as exc:
            self.refused[place] = str(exc)
            return Secret("")
        except (OSError, ValueError, RuntimeError, NotUsableError) as exc:
            raise _wrong(
                "file", f"found {_quoted('file', place)}, expected a file that can be read: {_why(exc)}"
            ) from None
        if not content:
            raise _wrong("file", f"found an empty file {_quoted('file', place)}, expected a secret in it")
        return Secret(content)


def _why(error: Exception) -> str:
    """Return why a file cannot be read; the reason of a decoding error would repeat a part of the content."""
    if isinstance(error, NotUsableError):
        return f"it is {error}"
    if isinstance(error, RuntimeError):
        return "there is no home directory"
    return (isinstance(error, OSError) and error.strerror) or "it is not text"


def described(reference: Mapping[str, Any]) -> str:
    """Return where a reference points to, as in ``environment MY_TOKEN``; nothing when it is none."""
    try:
        form, place = _parsed(reference)
    except Misfit:
        return ""
    return f"{'environment' if form == 'env' else form} {_shown(form, place)}"


def _shown(form: str, place: str) -> str:
    """Return a place as a message shows it."""
    repeated = len(place) < SHORTEST_KEY or re.fullmatch(PLAUSIBLE[form], place)
    return place if repeated else f"a string of {count(len(place), 'character')}"


def _quoted(form: str, place: str) -> str:
    shown = _shown(form, place)
    return repr(shown) if shown == place else shown


def _parsed(reference: Mapping[str, Any]) -> tuple[str, str]:
    if len(reference) != 1:
        raise Misfit(Fault.of(f"a table with {len(reference)} keys", "one of env, keyring or file"))
    ((form, place),) = reference.items()
    if form not in FORMS:
        hint = partial(did_you_mean, str(form), FORMS)
        raise Misfit(*Misfit(Fault.of("an unknown key", "env, keyring or file", hint)).under(str(form)))
    if not isinstance(place, str) or not place.strip():
        shown = "an empty string" if isinstance(place, str) else kind_of(place)
        raise Misfit(*Misfit(Fault.of(shown, "a string")).under(form))
    return form, place.strip()


def _wrong(form: str, told: str, hint: str = "") -> Misfit:
    return Misfit(Fault((form,), told, hint))
