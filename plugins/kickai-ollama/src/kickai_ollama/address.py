"""The address of an Ollama server, in every form that the ollama client accepts."""

from __future__ import annotations

import ipaddress
from typing import Self
from urllib.parse import urlsplit

from attrs import frozen

__all__ = ["CERTIFICATE_VARIABLES", "Address"]

DEFAULT_PORT = 11434
"""The port of ``ollama serve``."""

SCHEME_PORTS = {"http": 80, "https": 443}

CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The only variables of the network that this plugin reads: it uses no proxy."""


@frozen(kw_only=True)
class Address:
    """The address of a server.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name or an IP address, without brackets.
        port: From 1 to 65535.
        path: The path before ``/api`` when the server is behind a proxy; empty, or with a leading slash.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Return the address; an empty text and None mean a server on this machine.

        The text may be a host, ``:port`` or ``host:port``, each with or without a path, or a URL. The default port is
        Ollama's own, or that of the scheme when there is one.

        Raises:
            ValueError: It has another scheme, an invalid host or port, or contains a user name or password.
        """
        text = (text or "").strip()
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest, port = "http", text, DEFAULT_PORT
        elif scheme in SCHEME_PORTS:
            port = SCHEME_PORTS[scheme]
        else:
            message = f"the address must begin with http:// or https://, got {scheme}://"
            raise ValueError(message)
        parts = urlsplit(f"{scheme}://{rest}")
        if "@" in parts.netloc:
            message = "the address must not contain a user name or password: set api_key instead"
            raise ValueError(message)
        host = parts.hostname or "127.0.0.1"
        path = f"/{parts.path.strip('/')}" if parts.path.strip("/") else ""
        return cls(scheme=scheme, host=_validate_host(host), port=parts.port or port, path=path)

    @property
    def url(self) -> str:
        """The address as a URL, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_this_machine(self) -> bool:
        """Whether the server runs on this machine.

        ``0.0.0.0`` and ``::`` count: people set them as the address on which the server listens, and a client that
        connects to them stays on its own machine.
        """
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")
        return address.is_loopback or address.is_unspecified

    @property
    def is_readable_by_others(self) -> bool:
        """Whether others can read what is sent there: it is another machine, over plain HTTP."""
        return self.scheme == "http" and not self.is_this_machine


def _validate_host(host: str) -> str:
    """Return the host.

    Raises:
        ValueError: It is not a valid name or IP address.
    """
    try:
        name = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not name or any(
        character.isspace() or not character.isprintable() or character in "<>\"'%\\|^`{}" for character in name
    ):
        message = f"{host!r} is not a valid host name"
        raise ValueError(message)
    return host
