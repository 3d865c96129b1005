"""The connections of one provider: a pool for blocking calls, and one for each event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore
import httpx
from kickai_providers_core.authoring import PerLoop, error_for_exception

from kickai_ollama.network import AsyncNetwork, Network

if TYPE_CHECKING:
    import ssl

    from kickai_ollama.address import Address

__all__ = ["Pools"]

KEEP_ALIVE_S = 5.0
"""How long an idle connection is kept, as httpx keeps it by default."""


class Pools:
    """Owns the connections. Safe to share between threads and event loops.

    The pools do not limit how many calls run at once: that is the core's business, and a second queue below it would
    only hide the time a call spends waiting.

    Args:
        address: The server; what is needed for TLS is loaded only when it is reached over TLS.
        network: Opens connections for blocking calls.
        async_network: Opens connections for event loops.

    Attributes:
        blocking: The pool for blocking calls.
        per_loop: The pools of event loops.

    Raises:
        UnusableProviderError: The trusted certificates cannot be loaded; the message names the variable.
    """

    def __init__(
        self,
        address: Address,
        *,
        network: httpcore.NetworkBackend | None = None,
        async_network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        tls_context = _tls_context(address) if address.scheme == "https" else None
        self.blocking = httpcore.ConnectionPool(
            ssl_context=tls_context,
            max_connections=None,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=network or Network(),
        )
        self.per_loop = PerLoop(
            lambda: httpcore.AsyncConnectionPool(
                ssl_context=tls_context,
                max_connections=None,
                keepalive_expiry=KEEP_ALIVE_S,
                network_backend=async_network or AsyncNetwork(),
            ),
            httpcore.AsyncConnectionPool.aclose,
        )

    def close(self) -> None:
        """Close all connections, those of event loops in their loops."""
        self.blocking.close()
        self.per_loop.close()

    async def aclose(self) -> None:
        """Close all connections, those of the running loop first."""
        self.blocking.close()
        await self.per_loop.aclose()


def _tls_context(address: Address) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as exc:
        error = error_for_exception(exc, url=address.url)
    raise error
