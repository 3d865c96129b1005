"""The table ``[gateway]``, which the distribution kickai-gateway uses."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  read when the settings are structured
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from kickai_providers_core.plugin_api.settings import PERMITS
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.validation import Number, Text, raise_value_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attrs import Attribute

__all__ = ["MAX_PORT", "MAX_WORKERS", "GatewayKey", "GatewaySettings", "find_unheld_limits"]

MAX_PORT = 65_535
MAX_WORKERS = 256
MAX_DRAIN_S = 3_600
MAX_CONNECTIONS = 100_000
MAX_BODY_MB = 1_024
MIN_USD, MAX_USD = 0.000_001, 1_000_000

KEY_HASH = re.compile(r"[0-9a-f]{16}\$[0-9a-f]{32}\$[0-9a-f]{64}")


def _require_hash(_instance: object, _attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, Secret) or not KEY_HASH.fullmatch(value.reveal()):  # it may be the key itself
        raise_value_error("hash", "what `kickai serve --new-key NAME` prints", "something else")


def _require_different_ids(_instance: object, _attribute: Attribute[Any], value: Mapping[str, GatewayKey]) -> None:
    """Refuse two tables for one key: only the limits of one of them could count."""
    known: dict[str, str] = {}
    for name, key in value.items():
        other = known.setdefault(key.hash.reveal().partition("$")[0], name)
        if other != name:
            raise_value_error("keys", "tables of different keys", f"the same key in {other} and {name}")


@frozen(kw_only=True, eq=False, repr=False)
class GatewayKey(Value):
    """One table ``[gateway.keys.NAME]``: a key of a client, which ``kickai serve --new-key NAME`` makes.

    Attributes:
        hash: The key's id, a salt, and the SHA-256 hash of the salt and the key's secret. The key itself is nowhere.
        models: The models that it may name. ``kickai`` is the default chain, ``kickai:*`` all roles, and ``*``
            everything, which includes targets that no chain contains.
        requests_per_minute: How many requests it may send, from 1; None for any number.
        tokens_per_day: How many tokens its requests and answers may have, from 1; None for any number. Needs a store.
        usd_per_day: How much its requests may cost in a day, in USD; None for any amount. Needs a store, and a price of
            each model that it names.
        usd_per_month: The same for 30 days.
    """

    hash: Secret = field(validator=_require_hash)
    models: tuple[str, ...] = ("kickai", "kickai:*")
    requests_per_minute: int | None = field(default=None, validator=PERMITS)
    tokens_per_day: int | None = field(default=None, validator=PERMITS)
    usd_per_day: float | None = field(default=None, validator=Number(minimum=MIN_USD, maximum=MAX_USD, optional=True))
    usd_per_month: float | None = field(default=None, validator=Number(minimum=MIN_USD, maximum=MAX_USD, optional=True))

    @property
    def has_cost_budget(self) -> bool:
        """Whether its requests need prices."""
        return self.usd_per_day is not None or self.usd_per_month is not None


@frozen(kw_only=True, eq=False, repr=False)
class GatewaySettings(Value):
    """The table ``[gateway]``.

    Attributes:
        host: The address to listen on.
        port: The port to listen on; 0 for a free one.
        workers: The number of processes, from 1.
        drain_s: Seconds that running requests get when the gateway is stopped, from 0.
        max_body_mb: The maximum size of a request in MiB, from 1.
        max_connections: How many connections each worker accepts at a time, from 1. Further ones get the status 503.
        receive_timeout_s: Seconds in which a client must send its request; above 0.
        keys: The keys of clients, by name. Without one, only programs on this machine are served.
    """

    host: str = field(default="127.0.0.1", validator=Text())
    port: int = field(default=8080, validator=Number(integer=True, minimum=0, maximum=MAX_PORT))
    workers: int = field(default=1, validator=Number(integer=True, minimum=1, maximum=MAX_WORKERS))
    drain_s: float = field(default=25.0, validator=Number(minimum=0, maximum=MAX_DRAIN_S))
    max_body_mb: int = field(default=20, validator=Number(integer=True, minimum=1, maximum=MAX_BODY_MB))
    max_connections: int = field(default=1_000, validator=Number(integer=True, minimum=1, maximum=MAX_CONNECTIONS))
    receive_timeout_s: float = field(default=30.0, validator=Number(above=0, maximum=MAX_DRAIN_S))
    keys: Mapping[str, GatewayKey] = field(factory=dict, validator=_require_different_ids)

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect to the address."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def find_unheld_limits(keys: Mapping[str, GatewayKey], workers: int) -> Iterator[tuple[str, str, str]]:
    """Yield the limits of keys that cannot be held without a store: the key, the setting, and why.

    Args:
        keys: The keys, by name.
        workers: The number of processes.
    """
    for name, key in keys.items():
        for setting in ("tokens_per_day", "usd_per_day", "usd_per_month"):
            if getattr(key, setting) is not None:
                yield name, setting, ", or a restart would forget the use"
        if key.requests_per_minute is not None and workers > 1:
            yield name, "requests_per_minute", f" with {workers} workers"
