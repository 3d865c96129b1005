"""How the service is reached over TLS: whom to trust, and through which proxy."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

from kickai_gemini.bounded import BoundedTLSSocket

__all__ = ["proxy_to", "tls_context"]


def tls_context(url: str) -> ssl.SSLContext:
    """Return a context that makes bounded sockets.

    It trusts what the system trusts (with ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``), and certifi's authorities, for
    containers that come without any. For an address without TLS it trusts nobody: loading them takes longer than a
    request.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if url.startswith("https://"):
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
    context.sslsocket_class = BoundedTLSSocket
    return context


def proxy_to(url: str) -> str | None:
    """Return the proxy that the environment names for an address, or None.

    Only for TLS, which a proxy passes on without reading it: without TLS it would see the key.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get("https") or proxies.get("all")
