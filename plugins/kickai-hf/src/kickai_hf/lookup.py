"""From the name of a host to its addresses: the one step that no timeout of a socket bounds."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address

__all__ = ["LookUp", "addresses_of", "is_address"]

LookUp = Callable[[str, int], list[str]]
"""From a host and a port to IP addresses; it may block, and is called in a thread of its own."""


def addresses_of(host: str, port: int) -> list[str]:
    """Return the addresses of a host, the one to try first first.

    Raises:
        OSError: It is not known.
        UnicodeError: It is no name of a host.
    """
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_address(host: str) -> bool:
    """Say whether a host is an address already."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
