"""Finds the server and talks to it. Nothing is tried twice here: the callers of a store try again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, NoScriptError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from kickai_redis.settings import Topology

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_redis.scripts import Script
    from kickai_redis.settings import Login, RedisSettings

__all__ = ["RedisClient"]

RESP_2 = 2
"""The protocol: every server speaks it, and connecting needs no greeting."""


class RedisClient:
    """The connections of one process to the server that has the keys. Safe to use from several threads.

    All keys of a namespace are on one node of a cluster, so that a client for single servers is enough: it follows
    the redirection to that node, and stays there.

    Args:
        settings: Where the server is.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._next_host = 0
        self._redis: redis.Redis | None = None

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script, and return its result.

        Raises:
            Exception: Any that the client raises; see `errors.explain_error`.
        """
        try:
            return self._run(self._connect(), script, keys, arguments)
        except ResponseError as error:
            address = _find_redirection(error)
            if address is None or self._settings.topology is not Topology.CLUSTER:
                raise
            # A node that does not know its own name sends none: the name of the one that was asked is meant.
            host = address[0] or self._settings.hosts[self._next_host][0]
            self.close()
            self._redis = found = self._open(host, address[1])
            return self._run(found, script, keys, arguments)

    def read_info(self) -> dict[str, Any]:
        """Return what the server says about itself; empty if this user may not ask."""
        try:
            return dict(self._connect().info())
        except (redis.exceptions.NoPermissionError, redis.exceptions.ResponseError):
            return {}

    def close(self) -> None:
        """Close the connections. The next call opens them again."""
        client, self._redis = self._redis, None
        if client is not None:
            client.close()
            client.connection_pool.disconnect()

    def reconnect(self) -> None:
        """Close the connections, and let the next call look for the server again, at another host if there are."""
        self.close()
        self._next_host = (self._next_host + 1) % max(1, len(self._settings.hosts))

    def _connect(self) -> redis.Redis:
        client = self._redis
        if client is None:
            self._redis = client = self._open(*self._find())
        return client

    def _find(self) -> tuple[str, int]:
        """Return the host and the port of the server."""
        own = self._settings
        if own.topology is Topology.UNIX:
            return "", 0
        if own.topology is not Topology.SENTINEL:
            return own.hosts[self._next_host]
        sentinel_options = self._build_options(own.sentinel_login)
        sentinels = Sentinel(own.hosts, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
        try:
            host, port = sentinels.discover_master(own.service)  # type: ignore[no-untyped-call]
        finally:
            for each in sentinels.sentinels:
                each.close()
                each.connection_pool.disconnect()
        return str(host), int(port)

    def _open(self, host: str, port: int) -> redis.Redis:
        own = self._settings
        options = self._build_options(own.login)
        if own.topology is Topology.UNIX:
            return redis.Redis(unix_socket_path=own.path, db=own.db, **options)
        return redis.Redis(host=host, port=port, db=own.db, **options)

    def _build_options(self, login: Login) -> dict[str, Any]:
        own = self._settings
        options: dict[str, Any] = {
            "username": login.username or None,
            "password": login.password.reveal() or None,
            "socket_timeout": own.timeout_s,
            "socket_connect_timeout": own.timeout_s,
            # The client's own retries would wait for seconds.
            "retry": Retry(NoBackoff(), 0),
            "protocol": RESP_2,
            "decode_responses": False,
        }
        if own.is_encrypted:
            options |= {
                "ssl": True,
                "ssl_cert_reqs": "required",
                "ssl_check_hostname": True,
                "ssl_ca_certs": own.ca_file or None,
                "ssl_certfile": own.cert_file or None,
                "ssl_keyfile": own.key_file or own.cert_file or None,
            }
        return options

    @staticmethod
    def _run(client: redis.Redis, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            return client.evalsha(script.sha, len(keys), *keys, *arguments)
        except NoScriptError:  # the server is new, or has forgotten its scripts
            return client.eval(script.text, len(keys), *keys, *arguments)


def _find_redirection(error: ResponseError) -> tuple[str, int] | None:
    """Return the host and the port to which a node of a cluster redirects; None for another error."""
    if isinstance(error, MovedError):
        return error.host, error.port
    moved, _, rest = str(error).partition(" ")
    if moved != "MOVED":  # redis-py 5 has the class for its own client of clusters only
        return None
    host, _, port = rest.rpartition(" ")[2].rpartition(":")
    return host, int(port)
