"""Where the server is and how to connect to it, from the address of a store."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.urls import StoreUrl
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.validation import Number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SCHEMES", "VARIABLES", "Login", "RedisSettings", "Topology"]

PLAIN = ("redis", "valkey")
ENCRYPTED = ("rediss", "valkeys")

PORT = 6379
SENTINEL_PORT = 26379

OPTIONS = ("timeout_s", "db", "ca_file", "cert_file", "key_file")
"""The parameters of an address."""

VARIABLES = {
    "KICKAI_REDIS_USERNAME": "the user of the server",
    "KICKAI_REDIS_PASSWORD": "the password of the server",
    "KICKAI_REDIS_SENTINEL_USERNAME": "the user of the Sentinels",
    "KICKAI_REDIS_SENTINEL_PASSWORD": "the password of the Sentinels",
}
"""The environment variables that apply when the address has no credentials."""

DEFAULT_TIMEOUT_S = 0.05

MAX_DB = 999_999


class Topology(StrEnum):
    """How the server is found."""

    SINGLE = ""
    UNIX = "unix"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


SCHEMES = {
    scheme + (f"+{topology}" if topology else ""): topology
    for topology in Topology
    for scheme in (PLAIN if topology is Topology.UNIX else PLAIN + ENCRYPTED)
}
"""The schemes of addresses, with what each says about the topology."""


@frozen(kw_only=True)
class Login:
    """A user and a password; the repr shows neither.

    Attributes:
        username: The user; empty for the default user.
        password: The password; empty for none.
    """

    username: str = field(default="", repr=False)
    password: Secret = field(factory=lambda: Secret(""))


@frozen(kw_only=True)
class RedisSettings:
    """Where the server is and how to connect to it. Neither the repr nor a message shows credentials.

    Attributes:
        location: The address for a reader.
        topology: How the server is found.
        hosts: The hosts and ports: of the server, of the Sentinels, or of nodes of the cluster.
        path: The path of the Unix socket; empty for none.
        service: The name under which the Sentinels know the primary server; empty for none.
        db: The number of the database.
        login: The credentials for the server.
        sentinel_login: The credentials for the Sentinels.
        is_encrypted: Whether to use TLS. The certificate is always verified.
        ca_file: The file with the certificates of authorities; empty for those of the system.
        cert_file: The file with the certificate of this client; empty for none.
        key_file: The file with its key; empty if the certificate's file has it.
        timeout_s: Seconds for which to wait for a connection, and for each part of an answer.
    """

    location: str
    topology: Topology = Topology.SINGLE
    hosts: Sequence[tuple[str, int]] = ()
    path: str = ""
    service: str = ""
    db: int = field(default=0, validator=Number(integer=True, minimum=0, maximum=MAX_DB))
    login: Login = field(factory=Login)
    sentinel_login: Login = field(factory=Login)
    is_encrypted: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    timeout_s: float = field(default=DEFAULT_TIMEOUT_S, validator=Number(minimum=0.001, maximum=60))

    @classmethod
    def from_url(cls, url: str, environ: Mapping[str, str]) -> RedisSettings:
        """Return the settings of an address.

        Args:
            url: The address.
            environ: The environment, which may have credentials; see `VARIABLES`.

        Raises:
            StoreError: The address is not valid. The message shows no credentials.
        """
        try:
            address = StoreUrl.parse(url)
            return _parse(address, environ)
        except (ValueError, TypeError) as error:
            message = f"the url of the store is invalid: {error}"
            raise StoreError(message) from None


def _parse(address: StoreUrl, environ: Mapping[str, str]) -> RedisSettings:
    topology = SCHEMES[address.scheme]
    parts = urlsplit(address.text)
    options = _parse_options(parts.query)
    if parts.fragment:
        raise ValueError("it must not contain '#'; write %23 for one in a password")
    is_encrypted = address.scheme.partition("+")[0] in ENCRYPTED
    if not is_encrypted and {"ca_file", "cert_file", "key_file"} & set(options):
        raise ValueError("ca_file, cert_file and key_file need an encrypted connection: use rediss:// or valkeys://")
    path, service, db = _parse_path(topology, parts.path)
    if "db" in options:
        if topology is not Topology.UNIX:
            raise ValueError("db is an option of Unix sockets; the number of the database follows the host: …/0")
        db = options.pop("db")
    default_port = SENTINEL_PORT if topology is Topology.SENTINEL else PORT
    hosts = tuple((host, port or default_port) for host, port in address.hosts)
    _check_hosts(topology, hosts)
    given = Login(username=unquote(parts.username or ""), password=Secret(unquote(parts.password or "")))
    found = Login(
        username=environ.get("KICKAI_REDIS_USERNAME", ""), password=Secret(environ.get("KICKAI_REDIS_PASSWORD", ""))
    )
    sentinel_login = Login(
        username=environ.get("KICKAI_REDIS_SENTINEL_USERNAME", ""),
        password=Secret(environ.get("KICKAI_REDIS_SENTINEL_PASSWORD", "")),
    )
    return RedisSettings(
        location=address.location,
        topology=topology,
        hosts=hosts,
        path=path,
        service=service,
        db=int(_parse_number("the number of the database", db)),
        login=given if parts.username or parts.password else found,
        sentinel_login=sentinel_login,
        is_encrypted=is_encrypted,
        timeout_s=_parse_number("timeout_s", options.pop("timeout_s", str(DEFAULT_TIMEOUT_S))),
        **options,
    )


def _parse_options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    unknown = [name for name, _ in pairs if name not in OPTIONS]
    if unknown:
        # The value of an unknown option may be a password; even its name may be part of one.
        known = ", ".join(OPTIONS)
        raise ValueError(f"it has an unknown option (known: {known}); credentials belong before the host")
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("it has an option twice")
    return dict(pairs)


def _parse_path(topology: Topology, path: str) -> tuple[str, str, str]:
    """Return the path of a socket, the name of a service, and the number of the database."""
    if topology is Topology.UNIX:
        if not path.strip("/"):
            raise ValueError("it must have the path of a socket, for example redis+unix:///run/redis/redis.sock")
        return unquote(path), "", "0"
    first, _, second = path.removeprefix("/").partition("/")
    if topology is Topology.SENTINEL:
        if not first:
            raise ValueError("it must name the service after the hosts, for example redis+sentinel://a:26379,b/main/0")
        return "", unquote(first), second or "0"
    if second:
        raise ValueError("the host must be followed by nothing but the number of the database, for example …:6379/0")
    if topology is Topology.CLUSTER and first not in {"", "0"}:
        raise ValueError("a cluster has the database 0 only")
    return "", "", first or "0"


def _check_hosts(topology: Topology, hosts: Sequence[tuple[str, int]]) -> None:
    if topology is Topology.UNIX:
        if hosts:
            raise ValueError("a Unix socket has no host: write three slashes, as in redis+unix:///run/redis/redis.sock")
    elif not hosts:
        raise ValueError("it must have a host")
    elif len(hosts) > 1 and topology is Topology.SINGLE:
        raise ValueError("several hosts need redis+sentinel:// or redis+cluster://")


def _parse_number(what: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what} must be a number") from None
