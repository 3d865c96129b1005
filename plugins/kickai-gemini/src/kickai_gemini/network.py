"""How the service is reached over TLS: the environment's certificates and proxy."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core.authoring import network_problems

if TYPE_CHECKING:
    from kickai_providers_core import Problem

__all__ = ["create_tls_context", "find_network_problems"]

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def find_network_problems(url: str) -> tuple[Problem, ...]:
    """Return what is wrong with the variables for certificates and the proxy, as far as they matter for an address."""
    if not url.startswith("https://"):
        return ()
    bundles = (each for each in network_problems(url=url, client="requests") if each.source in BUNDLES)
    return (*network_problems(url=url), *bundles)


def create_tls_context(url: str) -> ssl.SSLContext | None:
    """Return the certificates to trust; None for an address without TLS.

    Those of the system (with ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``), certifi's, for containers without any, and those
    in ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``.
    """
    if not url.startswith("https://"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    import certifi  # noqa: PLC0415  discovery imports nothing that only calls need

    context.load_verify_locations(certifi.where())
    bundle = next((path for name in BUNDLES if (path := os.environ.get(name, "").strip())), None)
    if bundle is not None and Path(bundle).is_dir():
        context.load_verify_locations(capath=bundle)
    elif bundle is not None:
        context.load_verify_locations(bundle)
    return context
