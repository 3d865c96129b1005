"""Virtual keys: makes them, and finds the key that a client sent.

A key is ``kickai-ID.SECRET``. The settings keep its id, a salt, and the SHA-256 hash of salt and secret. A slow hash
function would add nothing: it protects passwords, which can be guessed, and the secret is 256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.config.gateway_settings import GatewayKey

__all__ = ["KeyRing", "NewKey", "create_key"]

PREFIX = "kickai-"
ID_BYTES, SALT_BYTES, SECRET_BYTES = 8, 16, 32

LONGEST = 200
"""The maximum length of a key that is looked at, in characters."""


@frozen(kw_only=True)
class NewKey:
    """A key that was just made.

    Attributes:
        text: The key, for the client. It cannot be read again.
        hash: What the settings keep.
    """

    text: str = field(repr=False)
    hash: str = field(repr=False)


def create_key() -> NewKey:
    """Return a new key."""
    id_, salt = secrets.token_hex(ID_BYTES), secrets.token_hex(SALT_BYTES)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return NewKey(text=f"{PREFIX}{id_}.{secret}", hash=f"{id_}${salt}${_hash(salt, secret)}")


class KeyRing:
    """Finds the name of a key. Safe to use from any thread."""

    def __init__(self, keys: Mapping[str, GatewayKey]) -> None:
        """Read the keys.

        Args:
            keys: The keys by name.
        """
        self._known: dict[str, tuple[str, str, str]] = {}
        for name, key in keys.items():
            id_, salt, digest = key.hash.reveal().split("$")
            self._known[id_] = (name, salt, digest)
        self._nobody = ("", secrets.token_hex(SALT_BYTES), secrets.token_hex(32))

    def find(self, text: str) -> str | None:
        """Return the name of a key; None for one that is unknown. An unknown id takes as long as a wrong secret."""
        if len(text) > LONGEST:
            return None
        id_, _, secret = text.removeprefix(PREFIX).partition(".")
        name, salt, digest = self._known.get(id_, self._nobody)
        is_right = hmac.compare_digest(_hash(salt, secret), digest)
        return name if is_right and name else None


def _hash(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}{secret}".encode("utf-8", "surrogatepass")).hexdigest()
