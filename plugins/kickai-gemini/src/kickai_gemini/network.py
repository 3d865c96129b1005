"""How the service is reached over TLS: whom to trust, and through which proxy."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from attrs import evolve
from kickai_providers_core import Problem, UnusableProviderError
from kickai_providers_core.authoring.network_environment import network_problems, proxy_for

from kickai_gemini.bounded import BoundedTLSSocket
from kickai_gemini.choice import FIRST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_gemini.choice import SDK

__all__ = ["problems", "proxy_to", "require", "tls_context"]

NO_SOCKS = "google-generativeai is not used through a SOCKS proxy"
GENAI = "Run pip install 'kickai-gemini[genai]' socksio"
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
    found = [*network_problems(url=url, client="httpx")]
    found += [each for each in network_problems(url=url, client="requests") if each.source in BUNDLES]
    if sdk == FIRST:
        found = [_for_first(each) for each in found] or list(_socks(url))
    return tuple(_named(each) for each in found)


def _for_first(problem: Problem) -> Problem:
    """Return a problem as it is with the old client, which takes no SOCKS proxy at all."""
    return evolve(problem, message=NO_SOCKS, hint=GENAI) if problem.missing == "socksio" else problem


def _socks(url: str) -> Iterator[Problem]:
    """Yield the problem of a SOCKS proxy that could be used with the successor, and is set for the old client."""
    if (proxy_for(url) or "").startswith("socks"):
        names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        source = next(name for name in names if os.environ.get(name, "").strip())
        yield Problem(path="", source=source, message=NO_SOCKS, hint=GENAI, missing="google-genai")


def _named(problem: Problem) -> Problem:
    """Return a problem whose short form names the variable as well."""
    what = f"{problem.missing}, for {problem.source}" if problem.missing else f"a usable {problem.source}"
    return evolve(problem, missing=what)


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
