"""How the service is reached over TLS: whom to trust, and through which proxy."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import certifi
from kickai_providers_core.authoring.network_environment import network_problems, proxy_for
from kickai_providers_core.errors import Problem, UnusableProviderError

from kickai_gemini.bounded import BoundedTLSSocket
from kickai_gemini.choice import FIRST

if TYPE_CHECKING:
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
    found = network_problems(url=url, client="httpx")
    found += tuple(each for each in network_problems(url=url, client="requests") if each.source in BUNDLES)
    if sdk == FIRST and not any("PROXY" in each.source.upper() for each in found):
        found += _socks(url)
    return found


def _socks(url: str) -> tuple[Problem, ...]:
    proxy = proxy_for(url)
    if proxy is None or not urlsplit(proxy).scheme.startswith("socks"):
        return ()
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    source = next((name for name in names if os.environ.get(name, "").strip()), "")
    message = "google-generativeai is not used through a SOCKS proxy"
    return (Problem(path="", source=source, message=message, hint="Run pip install 'kickai-gemini[genai]' socksio"),)


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
    return proxy_for(url) if url.startswith("https://") else None
