"""Where a plugin's own key may go: to the vendor's address, unless the file that changes the address names the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from kickai_providers_core.config.faults import Fault
from kickai_providers_core.config.wording import dotted
from kickai_providers_core.plugin_api.settings import SERVICE_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core.config.wording import Path

__all__ = ["address_fields", "is_vendors", "withheld_key"]

COMMON_NAMES = frozenset({"base_url", "host", "url", "endpoint", "api_base", "address"})
"""Fields that hold an address in a settings class that declares none."""

PORTS = {"http": 80, "https": 443}


def address_fields(settings_class: Any) -> tuple[attrs.Attribute[Any], ...]:
    """Return the fields of a settings class that say where its key is sent."""
    fields = attrs.fields(settings_class)
    declared = tuple(field for field in fields if SERVICE_ADDRESS in field.metadata)
    return declared or tuple(field for field in fields if field.alias in COMMON_NAMES)


def is_vendors(field: attrs.Attribute[Any], value: object) -> bool:
    """Return whether a value for an address field is the vendor's own address, or says nothing."""
    if value is None or value == field.default:
        return True
    addresses = [*field.metadata.get(SERVICE_ADDRESS, ()), field.default]
    origin = _origin(value)
    return origin is not None and origin in map(_origin, addresses)


def _origin(address: object) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of a URL; None when it is no plain URL."""
    if not isinstance(address, str):
        return None
    try:
        url = urlsplit(address.strip())
        port = url.port
    except ValueError:
        return None
    if url.scheme not in PORTS or not url.hostname or "@" in url.netloc or "\\" in address:
        return None
    return url.scheme, url.hostname, port or PORTS[url.scheme]


def withheld_key(variable: str, path: Path, moved: Iterable[str]) -> Fault:
    """Return what is wrong with the key at a path, whose variable is not read because an address has changed."""
    names = " and ".join(moved)
    key = str(path[-1])
    hint = (
        f"{variable} only goes to the vendor's own address. If it is meant for this one, write "
        f'{key} = {{ env = "{variable}" }} in [{dotted(path[:-1])}]'
    )
    return Fault.of(f"another address in {names}", "a key that is named next to it", hint)
