"""Explains the errors of the client and the server to an operator, without credentials.

The server's own words are never quoted: it may repeat the arguments of a command, and those of ``AUTH`` are secret.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from attrs import frozen
from redis import exceptions
from redis.sentinel import MasterNotFoundError

if TYPE_CHECKING:
    from kickai_redis.settings import RedisSettings

__all__ = ["DamagedError", "Explanation", "explain_error"]

DAMAGED = "what it has under this namespace is damaged: delete the keys that begin with kickai:"

REASONS = {
    "READONLY": "the server is a read-only replica: use the address of the primary, or redis+sentinel://",
    "OOM": "the server's memory is full: raise maxmemory or free some",
    "MISCONF": "the server cannot save to its disk, and therefore refuses changes: look at its log",
    "NOREPLICAS": "the server has too few replicas (min-replicas-to-write)",
    "LOADING": "the server is loading its data: wait",
    "MASTERDOWN": "the server is a replica that has lost its primary",
    "CLUSTERDOWN": "the cluster is down: look at CLUSTER INFO",
    "TRYAGAIN": "the cluster is moving these keys: wait",
    "ASK": "the cluster is moving these keys: wait",
    "MOVED": "the server is part of a cluster: use redis+cluster://",
    "BUSY": "the server is busy with another script: wait, or use SCRIPT KILL",
    "UNKILLABLE": "the server is busy with another script: wait",
    "NOAUTH": "the server needs a password: put it before the host, or in KICKAI_REDIS_PASSWORD",
    "WRONGPASS": "the server has refused the user or the password",
    "NOPERM": "this user lacks a right: grant it ~kickai:* and +@read +@write +@scripting +@connection +time +info",
    "WRONGTYPE": "another program has keys under this namespace: choose another namespace",
}
"""What each error code of the server means, and what to do."""

UNEXPECTED = "it answered in a way that is not the protocol of Redis: check the host and the port"


class DamagedError(Exception):
    """A value in the server is not in its form."""


@frozen
class Explanation:
    """What an error means.

    Attributes:
        text: For an operator.
        is_answer: Whether the server itself has refused, so that its connection can be used again.
        must_reconnect: Whether the next call should look for the server again.
    """

    text: str
    is_answer: bool = False
    must_reconnect: bool = True


def explain_error(error: BaseException, settings: RedisSettings, namespace: str) -> Explanation:
    """Return what an error of the client means."""
    where = f"the store {settings.location}"
    if isinstance(error, exceptions.ResponseError) and DAMAGED_IN_SCRIPTS in str(error):
        error = DamagedError("a mark of health, a lease or a window of permits")
    if isinstance(error, DamagedError):
        text = f"{where} cannot be used, since {DAMAGED}{{{namespace}}}: ({error})"
        return Explanation(text, is_answer=True, must_reconnect=False)
    code = _find_code(error)
    if code == "KICKAINEWER":
        newer = (
            f"{where} was written by a newer version of kickai-redis: upgrade kickai-redis, or use another namespace"
        )
        return Explanation(newer, is_answer=True, must_reconnect=False)
    if code in REASONS:
        must_reconnect = code in {"READONLY", "MASTERDOWN", "CLUSTERDOWN", "MOVED", "NOAUTH", "WRONGPASS", "LOADING"}
        text = f"{where} cannot be used, since {REASONS[code]} ({code})"
        return Explanation(text, is_answer=True, must_reconnect=must_reconnect)
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return Explanation(f"{where} did not answer within {settings.timeout_s:g} s")
    if isinstance(error, exceptions.ConnectionError | OSError):
        return Explanation(f"{where} cannot be reached: {_find_reason(error)}")
    if isinstance(error, exceptions.ResponseError):
        name = code if code.isascii() and code.isupper() and code.isalpha() else "an error"
        return Explanation(f"{where} cannot be used: the server answered with {name}", is_answer=True)
    return Explanation(f"{where} cannot be used, since {UNEXPECTED} ({type(error).__name__})")


CODES = (
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
    (exceptions.TryAgainError, "TRYAGAIN"),
    (exceptions.MovedError, "MOVED"),
    (exceptions.AskError, "ASK"),
    (exceptions.NoPermissionError, "NOPERM"),
)
"""The classes that the client has for error codes. The code is then missing in the message."""

DAMAGED_IN_SCRIPTS = "KICKAIDAMAGED"
"""What a script raises for a value that is not in its form; the server puts its own words around it."""

REFUSED_IN_SCRIPTS = ("ACL failure in script", "The user executing the script")
"""How messages begin that say that a script has used a command, or a key, that this user may not use."""

LOGIN_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError)


def _find_code(error: BaseException) -> str:
    """Return the error code that the server has given; empty for none."""
    for error_class, code in CODES:
        if isinstance(error, error_class):
            return code
    first = str(error).partition(" ")[0]
    if str(error).startswith(REFUSED_IN_SCRIPTS):
        return "NOPERM"
    if isinstance(error, LOGIN_REFUSED):
        text = str(error).lower()
        return "NOAUTH" if first == "NOAUTH" or "required" in text or "without any password" in text else "WRONGPASS"
    return first if isinstance(error, exceptions.ResponseError) else ""


def _find_reason(error: BaseException) -> str:
    """Return why the server could not be reached, in the words of the system."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {seen.verify_message}"
        if isinstance(seen, ssl.SSLError):
            return "TLS failed: check that the port is one for TLS"
        if isinstance(seen, OSError) and seen.errno:
            return os.strerror(seen.errno) if seen.errno > 0 else "the name of its host cannot be resolved"
        if isinstance(seen, exceptions.MaxConnectionsError):
            return "this process has too many connections to it"
        if isinstance(seen, MasterNotFoundError):
            if exceptions.AuthenticationError.__name__ in str(seen):
                return (
                    "a Sentinel has refused the user or the password: set KICKAI_REDIS_SENTINEL_USERNAME and "
                    "KICKAI_REDIS_SENTINEL_PASSWORD"
                )
            return "no Sentinel knows its primary: check the hosts and the name of the service"
        seen = seen.__cause__ or seen.__context__
    return "it closed the connection"
