"""Faults of this machine: variables for proxies and certificates that cannot be used, certificates, file handles."""

from __future__ import annotations

import errno
import os
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed leaves it out

from kickai_providers_core.errors import Problem, UnusableProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["certificate_problems", "error_of_machine", "proxy", "proxy_problems"]

CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
GENAI = "Run pip install 'kickai-gemini[genai]' socksio"
PORTS = range(1, 65536)


def proxy(url: str) -> tuple[str, str] | None:
    """Return the variable that names the proxy for an address over TLS, and the proxy; ``host:port`` as in curl."""
    no_proxy = _value("no_proxy")
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    if no_proxy and proxy_bypass_environment(address, {"no": no_proxy[1]}):
        return None
    found = _value("https_proxy") or _value("all_proxy")
    if found is None:
        return None
    name, text = found
    return name, text if "://" in text else f"http://{text.removeprefix('//')}"


def _value(name: str) -> tuple[str, str] | None:
    spelled = (name, name.upper())
    return next(((each, text) for each in spelled if (text := os.environ.get(each, "").strip())), None)


def proxy_problems(url: str, *, takes_socks: bool) -> Iterator[Problem]:
    """Yield what keeps the proxy for an address from being used."""
    found = proxy(url)
    if found is None:
        return
    name, address = found
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and (parts.port is None or parts.port in PORTS)
        scheme = parts.scheme.lower()
    except ValueError:
        usable, scheme = False, ""
    socks = scheme in {"socks5", "socks5h"}
    if not usable or not (socks or scheme in {"http", "https"}):
        message, hint = "the proxy's address is not valid", "Write it as http://host:port, or unset it"
        yield Problem(path="", source=name, message=message, hint=hint, missing=f"a proxy in {name}")
    elif socks and not takes_socks:
        message = "google-generativeai is not used through a SOCKS proxy"
        yield Problem(path="", source=name, message=message, hint=GENAI, missing=f"a client for {name}")
    elif socks and find_spec("socksio") is None:
        message, hint = "a SOCKS proxy needs the package socksio", "Run pip install socksio"
        yield Problem(path="", source=name, message=message, hint=hint, missing=f"socksio, for {name}")


def certificate_problems() -> Iterator[Problem]:
    """Yield the variables for certificates whose file cannot be used."""
    for name in CERTIFICATES:
        path = os.environ.get(name, "").strip()
        if not path or (Path(path).is_dir() and name != "SSL_CERT_FILE"):
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except (OSError, ValueError):  # an SSLError is an OSError
            hint = "Name a readable file of certificates in PEM form, or unset it"
            message = f"the certificates in {path} cannot be read"
            yield Problem(path="", source=name, message=message, hint=hint, missing=f"the file of {name}")
    folders = os.environ.get("SSL_CERT_DIR", "").strip()
    if folders and not any(Path(each).is_dir() for each in folders.split(os.pathsep)):
        message, hint = f"{folders} is not a folder", "Correct or unset it"
        yield Problem(path="", source="SSL_CERT_DIR", message=message, hint=hint, missing="the folder of SSL_CERT_DIR")


def error_of_machine(exc: BaseException) -> UnusableProviderError | None:
    """Return the error for an exception that this machine is the reason of; None for any other."""
    behind = _all_behind(exc)
    if any(isinstance(each, OSError) and each.errno in {errno.EMFILE, errno.ENFILE} for each in behind):
        return UnusableProviderError("too many open files: raise the limit (ulimit -n), or make fewer calls at once")
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in behind):
        return UnusableProviderError(
            "the certificate of the service is not trusted: name the authority's certificates in SSL_CERT_FILE"
        )
    return None


def _all_behind(exc: BaseException) -> list[BaseException]:
    found: list[BaseException] = [exc]
    for each in found:
        for one in (*each.args, each.__cause__, each.__context__):
            if isinstance(one, BaseException) and not any(one is seen for seen in found) and len(found) < MOST:
                found.append(one)
    return found


MOST = 100
