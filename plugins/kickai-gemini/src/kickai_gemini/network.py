"""How the service is reached over TLS: trusted certificates, and the proxy."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from attrs import evolve
from kickai_providers_core import Problem
from kickai_providers_core.authoring import network_problems, proxy_for

from kickai_gemini.sdk import GENERATIVEAI
from kickai_gemini.sockets import BoundedTLSSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_gemini.sdk import SDK

__all__ = ["create_tls_context", "environment_problems", "proxy_to"]

NO_SOCKS = "google-generativeai is not used through a SOCKS proxy"
USE_GENAI = "Run pip install 'kickai-gemini[genai]' socksio"
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def environment_problems(url: str, sdk: SDK | None) -> tuple[Problem, ...]:
    """Return what is wrong with the environment's proxy and certificates, as far as they matter for an address.

    The certificate variables of both HTTP libraries count with both clients: `create_tls_context` loads them.

    Args:
        url: The address of the service.
        sdk: The client that is used; None when there is none.
    """
    if not url.startswith("https://"):
        return ()
    found = [*network_problems(url=url, client="httpx")]
    found += [each for each in network_problems(url=url, client="requests") if each.source in BUNDLES]
    if sdk == GENERATIVEAI:
        found = [_without_socks(each) for each in found] or list(_socks_problems(url))
    return tuple(_with_variable(each) for each in found)


def _without_socks(problem: Problem) -> Problem:
    """Return a problem as it is with google-generativeai, for which no package adds SOCKS."""
    return evolve(problem, message=NO_SOCKS, hint=USE_GENAI) if problem.missing == "socksio" else problem


def _socks_problems(url: str) -> Iterator[Problem]:
    """Yield the problem of a SOCKS proxy that google-genai could use."""
    if (proxy_for(url) or "").startswith("socks"):
        source = next(name for name in PROXIES if os.environ.get(name, "").strip())
        yield Problem(path="", source=source, message=NO_SOCKS, hint=USE_GENAI, missing="google-genai")


def _with_variable(problem: Problem) -> Problem:
    """Return a problem whose short form names the variable as well."""
    missing = f"{problem.missing}, for {problem.source}" if problem.missing else f"a usable {problem.source}"
    return evolve(problem, missing=missing)


def create_tls_context(url: str) -> ssl.SSLContext:
    """Return a context that makes bounded sockets.

    It trusts what the system trusts (with ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``), certifi's authorities, for
    containers without any, and those in ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``. Without TLS it loads nothing:
    that takes longer than a request.
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

    Only for TLS, which a proxy cannot read: without TLS it would see the key.
    """
    return proxy_for(url) if url.startswith("https://") else None
