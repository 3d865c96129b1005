"""Where an Ollama server is: the address as people write it, read as the ollama client reads it."""

from __future__ import annotations

import ipaddress
from typing import Self
from urllib.parse import urlsplit

from attrs import frozen

__all__ = ["Address"]

DEFAULT_PORT = 11434
"""The port of ``ollama serve``."""

SCHEME_PORTS = {"http": 80, "https": 443}


@frozen(kw_only=True)
class Address:
    """Where a server is.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name or an IP address, without brackets.
        port: From 1 to 65535.
        path: What stands before ``/api``, when the server is behind a proxy; empty, or with a slash in front.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Return the address that a text means; empty and None mean a server on this machine.

        A bare host, ``:port``, ``host:port``, any of these with a path, and a whole URL are all good. Without a
        scheme the port defaults to Ollama's own, with one to that of the scheme.

        Raises:
            ValueError: It has another scheme, an impossible host or port, or a user name or password in it.
        """
        text = (text or "").strip()
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest, port = "http", text, DEFAULT_PORT
        elif scheme in SCHEME_PORTS:
            port = SCHEME_PORTS[scheme]
        else:
            message = f"an Ollama server is reached over http:// or https://, not {scheme}://"
            raise ValueError(message)
        parts = urlsplit(f"{scheme}://{rest}")
        if "@" in parts.netloc:
            message = "an address holds no user name or password: put a key into api_key"
            raise ValueError(message)
        host = parts.hostname or "127.0.0.1"
        path = f"/{parts.path.strip('/')}" if parts.path.strip("/") else ""
        return cls(scheme=scheme, host=_checked(host), port=parts.port or port, path=path)

    @property
    def url(self) -> str:
        """The address as a URL, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def on_this_machine(self) -> bool:
        """Whether nothing that is sent there leaves this machine.

        ``0.0.0.0`` and ``::`` count: people set them for the server to listen on, and a client that connects to
        them stays on its own machine.
        """
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")
        return address.is_loopback or address.is_unspecified

    @property
    def in_the_clear(self) -> bool:
        """Whether what is sent there can be read on the way."""
        return self.scheme == "http" and not self.on_this_machine


def _checked(host: str) -> str:
    """Return the host when it can be one.

    Raises:
        ValueError: It cannot.
    """
    try:
        name = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not name or any(
        character.isspace() or not character.isprintable() or character in "<>\"'%\\|^`{}" for character in name
    ):
        message = f"{host!r} is no host name"
        raise ValueError(message)
    return host
