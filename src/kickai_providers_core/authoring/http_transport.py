"""Connections for httpx and httpx2 that keep the limits of each attempt, whatever the service does.

Vendor clients accept an httpx client or transport. The one of this module bounds connecting, reading and writing by
`AttemptTimeouts`, bounds the size of answers after decompression, and uses the proxy and the certificates of the
environment. Neither library is imported before it is needed.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Self

from kickai_providers_core.authoring.async_bounded_network import AsyncBoundedBackend
from kickai_providers_core.authoring.async_pool import AsyncPool
from kickai_providers_core.authoring.bounded_network import BoundedBackend, look_up_host
from kickai_providers_core.authoring.errors_from_exceptions import error_for_exception
from kickai_providers_core.authoring.http_attempt import Connections, HttpAttempt, convert_url, get_active_attempt
from kickai_providers_core.authoring.network_environment import proxy_for, require_usable_network
from kickai_providers_core.authoring.per_loop import PerLoop
from kickai_providers_core.authoring.size_limits import MAX_ANSWER_BYTES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts

__all__ = ["HttpAttempt", "HttpTransport", "http_transport"]

KEEP_ALIVE_S = 4.0
"""Seconds that an idle connection is kept: less than the 5 s after which uvicorn and llama.cpp close it. A request that
meets a closing connection is lost."""

Client = Literal["httpx", "httpx2"]
"""The HTTP libraries, by their modules."""

_HTTPCORE = {"httpx": "httpcore", "httpx2": "httpcore2"}


def http_transport(
    url: str,
    *,
    client: Client = "httpx",
    max_connections: int | None = None,
    keep_alive_s: float = KEEP_ALIVE_S,
    tls_context: ssl.SSLContext | None = None,
    environ: Mapping[str, str] | None = None,
    look_up: Callable[[str, int], list[str]] = look_up_host,
) -> HttpTransport:
    """Return connections to one service, for all threads and event loops.

    Args:
        url: The address of the service. Without TLS no proxy is used: it would read the key and the prompt.
        client: The library of the vendor's client. It must be installed, with httpcore or httpcore2.
        max_connections: Connections at once, for blocking calls together and for each event loop; None for no limit.
        keep_alive_s: Seconds that an idle connection is kept.
        tls_context: Which certificates to trust; None for those of the library, with ``SSL_CERT_FILE``.
        environ: Where the proxy variables are; None for the environment of this process, ``{}`` for no proxy.
        look_up: Returns the IP addresses of a host and port; may block.

    Raises:
        UnusableProviderError: The library is not installed, or a variable for the proxy or the certificates cannot be
            used; the message names it.
    """
    is_secure = url.lower().startswith("https:")
    if is_secure:  # without TLS neither a proxy nor a certificate is used
        require_usable_network(environ, url=url)
    proxy = proxy_for(url, environ) if is_secure else None
    try:
        httpx, httpcore, h11 = import_module(client), import_module(_HTTPCORE[client]), import_module("h11")
        if proxy is not None:
            # httpcore's asynchronous pool imports this on first use. A process that is forked meanwhile would wait for
            # the import for ever: the core lets a fork wait while a provider is created, and not while one is called.
            import_module("anyio._backends._asyncio")
        trusted = httpx.create_ssl_context() if is_secure and tls_context is None else tls_context
    except (ImportError, OSError) as exc:
        error = error_for_exception(exc, url=url, environ=environ)
        raise error from error.__cause__
    options: dict[str, Any] = {
        "ssl_context": trusted,
        "max_connections": max_connections,
        "max_keepalive_connections": max_connections,
        "keepalive_expiry": keep_alive_s,
    }
    if proxy is not None:
        named = httpx.Proxy(proxy)
        kind = "SOCKSProxy" if proxy.startswith("socks") else "HTTPProxy"
        options |= {"proxy_url": convert_url(httpcore, named.url), "proxy_auth": named.raw_auth}
        create_pool, create_async_pool = getattr(httpcore, kind), getattr(httpcore, f"Async{kind}")
    else:
        create_pool, create_async_pool = httpcore.ConnectionPool, partial(AsyncPool, httpcore=httpcore, h11=h11)
    connections = Connections(
        url,
        httpx,
        httpcore,
        create_pool(**options, network_backend=BoundedBackend(httpcore, look_up)),
        PerLoop(
            lambda: create_async_pool(**options, network_backend=AsyncBoundedBackend(httpcore, look_up)),
            lambda made: made.aclose(),
        ),
    )
    return HttpTransport(connections)


class HttpTransport:
    """Connections to one service; made by `http_transport`. Safe to share between threads and event loops.

    `attempt` gives a transport for a client that lives as long as one attempt. For a client that is expensive to make,
    this object is the transport: each request belongs to the attempt whose `HttpAttempt.activate` block it is sent in.

    Args:
        connections: The connections; closed with this object, or with a client that uses it as its transport.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @property
    def httpx(self) -> ModuleType:
        """The library whose requests it sends: the module ``httpx`` or ``httpx2``."""
        return self._connections.httpx

    @property
    def httpcore(self) -> ModuleType:
        """The library below it, whose exceptions are found in `HttpAttempt.failure`."""
        return self._connections.httpcore

    def attempt(self, timeouts: AttemptTimeouts, *, max_answer_bytes: int = MAX_ANSWER_BYTES) -> HttpAttempt:
        """Return the transport of one attempt.

        Args:
            timeouts: The limits of the attempt.
            max_answer_bytes: The most bytes of an answer, after decompression.
        """
        return HttpAttempt(self._connections, timeouts, max_answer_bytes)

    def handle_request(self, request: Any) -> Any:
        """Send a request within the active attempt."""
        return get_active_attempt().handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request within the active attempt, on the running loop."""
        return await get_active_attempt().handle_async_request(request)

    def close(self) -> None:
        """Close all connections, those of event loops in their loops."""
        self._connections.pool.close()
        self._connections.async_pools.close()

    async def aclose(self) -> None:
        """Close all connections, those of the running loop first."""
        self._connections.pool.close()
        await self._connections.async_pools.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
