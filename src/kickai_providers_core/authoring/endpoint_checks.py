"""Offline checks of the settings for an address, a key, headers and proxies. No network."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kickai_providers_core.authoring.network_environment import network_problems, proxy_for
from kickai_providers_core.values.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kickai_providers_core.values.secrets import Secret

__all__ = ["address_problems", "connection_problems", "header_problems", "is_private_network", "plain_http_problems"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2."""

_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
"""Visible ASCII, with blanks inside only: RFC 9110, section 5.5, without its obsolete part."""

_ADDRESS = re.compile(
    r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?([/?][\x21-\x5b\x5d-\x7e]*)?", re.IGNORECASE | re.ASCII
)
"""Narrower than RFC 3986, so that every parser finds the same host in such an address."""

_PROXY_SCHEMES = frozenset({"http", "socks5", "socks5h"})
"""The proxies through which `http_transport` connects."""


def address_problems(path: str, url: str) -> Iterator[Problem]:
    """Yield an error when the value of a setting is not the address of an HTTP service.

    Args:
        path: The name of the setting.
        url: Its value.
    """
    if "@" in url.partition("//")[2].partition("/")[0]:
        yield Problem(
            path=path, message="an address must not contain a user or a password", hint="Use the key or headers"
        )
    elif not _is_address(url):
        yield Problem(path=path, message="this is not an address: expected https://host[:port][/path]")


def _is_address(url: str) -> bool:
    try:
        return bool(_ADDRESS.fullmatch(url)) and urlsplit(url).port != 0
    except ValueError:  # the port is too large, or the brackets hold no IP address
        return False


def header_problems(keys: Mapping[str, Secret | None], headers: Mapping[str, Secret]) -> Iterator[Problem]:
    """Yield an error for each key and header that HTTP cannot carry.

    Args:
        keys: The keys by the names of their settings, the one that is sent first.
        headers: The value of the setting ``headers``.
    """
    for name, key in keys.items():
        if key and not _HEADER_VALUE.fullmatch(key.reveal()):
            yield Problem(
                path=name,
                message="it contains characters that a header cannot contain: a line break, a blank at an end, or "
                "a character that is not ASCII",
                hint="Copy it again, without any surrounding text",
            )
    sent, key = next(iter(keys.items()), ("", None))
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value.reveal())):
            yield Problem(path=f"headers.{name}", message="this is not a valid header")
        elif name.lower() == "authorization" and key:
            yield Problem(path=f"headers.{name}", message=f"it contradicts {sent}", hint="Set one of them only")


def plain_http_problems(path: str, url: str, *, has_secrets: bool, is_allowed: bool) -> Iterator[Problem]:
    """Yield an error when secrets would go to another machine without TLS.

    Args:
        path: The name of the setting with the address.
        url: Its value.
        has_secrets: Whether a key or a header is sent there.
        is_allowed: The value of the setting ``allow_plain_http``.
    """
    if has_secrets and not is_allowed and not _is_confidential(url):
        yield Problem(
            path=path,
            message="a key or a header would cross the network unencrypted",
            hint="Use https://, or set allow_plain_http = true if the network is your own",
        )


def _is_confidential(url: str) -> bool:
    """Return whether nobody can listen: TLS, a loopback IP address, or ``localhost`` (RFC 6761)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme == "https" or host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # the host is a name, or the address is invalid
        return False


def is_private_network(url: str) -> bool:
    """Return whether an address is on this machine or in a private network, by its IP address or ``localhost``."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ip_address(host).is_private
    except ValueError:
        return False


def connection_problems(url: str) -> Iterator[Problem]:
    """Yield the problems with the variables for proxies and certificates; none without TLS, where no proxy is used."""
    if not url.lower().startswith("https:"):
        return
    problems = network_problems(url=url)
    yield from problems
    if problems:
        return
    scheme = urlsplit(proxy_for(url) or "http:").scheme
    if scheme not in _PROXY_SCHEMES:
        yield Problem(
            path="",
            source="HTTPS_PROXY or ALL_PROXY",
            message=f"proxies with the scheme {scheme} are not supported",
            hint="Use http://host:port, host:port or socks5://host:port",
        )
