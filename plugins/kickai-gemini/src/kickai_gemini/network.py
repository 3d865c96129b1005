"""How the service is reached over TLS: whom to trust, and through which proxy."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from kickai_providers_core.errors import UnusableProviderError

from kickai_gemini import machine
from kickai_gemini.bounded import BoundedTLSSocket
from kickai_gemini.choice import FIRST

if TYPE_CHECKING:
    from kickai_providers_core.errors import Problem

    from kickai_gemini.choice import SDK

__all__ = ["problems", "proxy_to", "require", "tls_context"]

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def problems(url: str, sdk: SDK | None) -> tuple[Problem, ...]:
    """Return what is wrong with the environment's proxy and certificates, as far as they matter for an address.

    Both variables for certificates count with both clients: `tls_context` loads them.

    Args:
        url: The address of the service.
        sdk: The client that is used; None when there is none.
    """
    if not url.startswith("https://"):
        return ()
    return (*machine.proxy_problems(url, takes_socks=sdk != FIRST), *machine.certificate_problems())


def require(url: str, sdk: SDK) -> None:
    """Do nothing when the environment's proxy and certificates can be used.

    Raises:
        UnusableProviderError: One of them cannot; the message names the variable.
    """
    for problem in problems(url, sdk):
        raise UnusableProviderError(str(problem).rstrip("."))


def tls_context(url: str) -> ssl.SSLContext:
    """Return a context that makes bounded sockets.

    It trusts what the system trusts (with ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``), certifi's authorities, for
    containers that come without any, and those in ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``. For an address without
    TLS it trusts nobody: loading them takes longer than a request.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if url.startswith("https://"):
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
        bundle = next((path for name in BUNDLES if (path := os.environ.get(name, "").strip())), None)
        if bundle is not None and Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        elif bundle is not None:
            context.load_verify_locations(bundle)
    context.sslsocket_class = BoundedTLSSocket
    return context


def proxy_to(url: str) -> str | None:
    """Return the proxy that the environment names for an address, or None.

    Only for TLS, which a proxy passes on without reading it: without TLS it would see the key.
    """
    found = machine.proxy(url) if url.startswith("https://") else None
    return found and found[1]
