"""The addresses of stores, and how they are shown without credentials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MEMORY", "SQLITE", "StoreUrl"]

MEMORY = "memory"
SQLITE = "sqlite"

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
FORMS = "sqlite:///kickai.db for a file next to the settings, sqlite:////var/lib/kickai.db, memory: or redis://…"


@frozen(eq=False, repr=False)
class StoreUrl(Value):
    """The address of a store. Its repr and its messages show no credentials.

    Attributes:
        scheme: ``sqlite``, ``memory``, or that of a plugin, in lower case.
        text: The whole address, with credentials.
    """

    scheme: str
    text: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> StoreUrl:
        """Return the address of a text.

        Raises:
            ValueError: It is not the address of a store. The message does not quote it.
        """
        text = text.strip()
        match = SCHEME.match(text)
        if match is None:
            raise ValueError(f"must be the address of a store ({FORMS})")
        if any(ord(character) < ord(" ") for character in text):
            raise ValueError("must not contain control characters")
        scheme, rest = match.group()[:-1].lower(), text[match.end() :]
        if scheme == MEMORY and rest:
            raise ValueError("must be memory: without anything after it")
        if scheme == SQLITE:
            _check_path(rest)
        elif scheme != MEMORY:
            _check_remote(text)
        return cls(scheme, text)

    @property
    def is_remote(self) -> bool:
        """Whether a plugin opens it."""
        return self.scheme not in {MEMORY, SQLITE}

    @property
    def hosts(self) -> tuple[tuple[str, int | None], ...]:
        """The hosts of a remote store, in lower case, each with its port or None; several are separated by commas."""
        return _split_hosts(urlsplit(self.text).netloc)

    @property
    def location(self) -> str:
        """The address for a reader, without credentials and parameters."""
        if not self.is_remote:
            return self.text
        hosts = (f"[{host}]" if ":" in host else host for host, _ in self.hosts)
        ports = (f":{port}" if port else "" for _, port in self.hosts)
        where = ",".join(host + port for host, port in zip(hosts, ports, strict=True))
        return f"{self.scheme}://{where}{urlsplit(self.text).path}"

    def find_path(self, folder: Path) -> Path:
        """Return the absolute path of an SQLite file; a relative one starts at the folder."""
        return (folder / self.text.partition(":")[2].removeprefix("///")).absolute()

    def redact(self, message: str) -> str:
        """Return a message without the credentials and parameters of this address."""
        message = message.replace(self.text, self.location)
        if not self.is_remote:
            return message
        parts = urlsplit(self.text)
        secrets = [parts.netloc.rpartition("@")[0], parts.username, parts.password, parts.query, parts.fragment]
        found = {secret for secret in secrets if secret}
        for secret in sorted(found | {unquote(secret) for secret in found}, key=len, reverse=True):
            message = message.replace(secret, "***")
        return message


def _check_path(rest: str) -> None:
    if not rest.startswith("///"):
        raise ValueError("must begin with sqlite:/// for a relative path, or sqlite://// for an absolute one")
    if rest[3:].strip("/") in {"", ".", ".."} or rest.endswith("/"):
        raise ValueError("must name a file, for example sqlite:///kickai.db")
    if rest[3:].startswith(":memory:"):
        raise ValueError("must be memory: for a store in memory")


def _check_remote(text: str) -> None:
    try:
        parts = urlsplit(text)
        has_host = bool(_split_hosts(parts.netloc) or parts.path)
    except ValueError:
        has_host = False
    if not has_host or "://" not in text:
        raise ValueError("must have a host, and a number as its port, for example redis://localhost:6379")


def _split_hosts(netloc: str) -> tuple[tuple[str, int | None], ...]:
    """Return the hosts of an address, each with its port or None.

    Raises:
        ValueError: A port is not one, or a host is missing next to another one.
    """
    hosts = netloc.rpartition("@")[2]
    if not hosts:
        return ()
    split = [urlsplit(f"//{host}") for host in hosts.split(",")]
    if not all(each.hostname and each.port != 0 for each in split):
        raise ValueError("each host must have a name, and a port above 0")
    return tuple((each.hostname or "", each.port) for each in split)
