"""What the environment says of proxies and certificates, and what of it cannot be used. No network."""

from __future__ import annotations

import os
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kickai_providers_core import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["offline_problems", "problems", "proxy_url"]

_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def proxy_url(url: str) -> str | None:
    """Return the proxy for a service; ``host:port`` means ``http://host:port``, as in curl.

    Without TLS there is none, as it would read the token.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    named = (proxies.get("https") or proxies.get("all") or "").strip()
    if not named:
        return None
    return named if "://" in named else f"http://{named}"


def problems(url: str) -> Iterator[Problem]:
    """Yield what keeps the environment's proxy, or its certificates, from being used for a service."""
    if urlsplit(url).scheme != "https":
        return
    try:
        proxy = proxy_url(url)
    except ValueError:
        proxy = ""
    if proxy is not None:
        yield from _proxy(proxy)
    yield from _certificates()


def offline_problems() -> Iterator[Problem]:
    """Yield the vendor's offline mode, which forbids requests to Hugging Face."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        yield Problem(
            path="HF_HUB_OFFLINE",
            message="HF_HUB_OFFLINE is set, which forbids requests to Hugging Face",
            hint="unset it, or set base_url",
        )


def _proxy(proxy: str) -> Iterator[Problem]:
    name = next((name for name in _VARIABLES if os.environ.get(name)), "HTTPS_PROXY")
    try:
        parts = urlsplit(proxy)
        scheme, usable = parts.scheme.lower(), bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        scheme, usable = "", False
    if scheme in {"socks5", "socks5h"} and usable:
        if find_spec("socksio") is None:
            yield Problem(
                path=name,
                message=f"{name} names a SOCKS proxy, which needs the package socksio",
                hint="run pip install socksio, or name an http:// proxy",
            )
    elif scheme != "http" or not usable:
        yield Problem(
            path=name,
            message=f"{name} is not the address of a proxy that can be used",
            hint="write http://host:port, host:port or socks5://host:port",
        )


def _certificates() -> Iterator[Problem]:
    for name, is_there in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        value = os.environ.get(name)
        if not value:
            continue
        if not is_there(Path(value)) or not os.access(value, os.R_OK):
            what = "file" if name == "SSL_CERT_FILE" else "folder"
            yield Problem(
                path=name, message=f"{name} names a {what} that cannot be read: {value}", hint="correct it, or unset it"
            )
        elif name == "SSL_CERT_FILE":
            yield from _certificate_file(value)
        return  # the file counts before the folder


def _certificate_file(value: str) -> Iterator[Problem]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=value)
    except OSError:
        yield Problem(
            path="SSL_CERT_FILE",
            message=f"SSL_CERT_FILE names a file that holds no certificates: {value}",
            hint="name a file in PEM form, or unset it",
        )
