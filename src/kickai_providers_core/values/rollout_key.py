"""The key by which a rollout recognizes a user or a conversation: where it comes from, and the bucket it gets.

The key lives in a context variable. Each asyncio task and each `contextvars.copy_context` has its own, and a forked
process starts with that of its parent.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from kickai_providers_core.values.plain_text import clean_text
from kickai_providers_core.values.validation import describe_type, hide_arguments, raise_type_error, raise_value_error

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["choose_bucket", "get_key", "use_key", "validate_key"]

_KEY: ContextVar[str | None] = ContextVar("kickai_rollout_key", default=None)


@hide_arguments
def validate_key(key: str) -> str:
    """Return the key. It often names a user, so no error quotes it.

    Raises:
        TypeError: It is not text.
        ValueError: It is empty.
    """
    if not isinstance(key, str):
        raise_type_error("key", "a string", describe_type(key))
    if not key:
        raise_value_error("key", "a string that is not empty", "''")
    return clean_text(key)


@contextmanager
def use_key(key: str | None) -> Iterator[None]:
    """Use a rollout key for every call within the ``with`` block that passes no ``key`` of its own.

    The same key always gets the same arm of a rollout. A thread sees the key only if it was started with a copy of the
    context, as `asyncio.to_thread` does.

    Args:
        key: For example the id of a user or a conversation; not empty. It is hashed, and never logged. None for no key.

    Raises:
        TypeError: The key is neither text nor None.
        ValueError: It is empty.
    """
    token = _KEY.set(None if key is None else validate_key(key))
    del key
    try:
        yield
    finally:
        _KEY.reset(token)


get_key = _KEY.get
"""Return the key of the current context, or None."""


def choose_bucket(salt: str, key: str) -> int:
    """Return the bucket of a key, from 0 to ``2**32 - 1``: the same in every process and forever."""
    from hashlib import blake2b  # noqa: PLC0415  only a rollout needs it

    digest = blake2b(f"{salt}\0{key}".encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big")
