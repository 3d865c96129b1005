"""The environment variables for proxies and trusted certificates.

An empty variable counts as unset. Nothing here makes a connection, so `kickai doctor` calls it offline.
"""

from __future__ import annotations

import os
import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from kickai_providers_core.values.errors import Problem, UnusableProviderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["network_problems", "proxy_for", "proxy_url", "require_usable_network"]

PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy")
NetworkClient = Literal["httpx", "requests"]
SOCKS_PACKAGES: dict[NetworkClient, tuple[str, str]] = {
    "httpx": ("socksio", "socksio"),
    "requests": ("PySocks", "socks"),
}
CA_NAMES: dict[NetworkClient, tuple[str, ...]] = {
    "httpx": ("SSL_CERT_FILE",),
    "requests": ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
}
"""The first that is set counts."""

CA_FOLDERS_NAME = "SSL_CERT_DIR"

SOCKS = frozenset({"socks4", "socks4a", "socks5", "socks5h"})
SCHEMES = frozenset({"http", "https"}) | SOCKS


def proxy_url(value: str) -> str:
    """Return a proxy's address as a URL: ``host:port`` means ``http://host:port``, as in curl.

    Args:
        value: The value of a proxy variable, not empty.

    Raises:
        ValueError: It is not a valid address. The message never quotes it, since it may contain a password.
    """
    text = value.strip()
    url = text if "://" in text else f"http://{text.removeprefix('//')}"
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        raise ValueError("it is not a URL: expected http://host:port") from None
    if parts.scheme.lower() not in SCHEMES:
        raise ValueError("its scheme is not one of http, https, socks4, socks4a, socks5, socks5h")
    if not host or any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("it has no valid host: expected http://host:port")
    if port == 0:
        raise ValueError("its port must be from 1 to 65535")
    return f"{parts.scheme.lower()}{url[len(parts.scheme) :]}"


def proxy_for(url: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the proxy that the environment names for an address; None when there is none.

    ``https_proxy`` or ``http_proxy`` counts by the address's scheme, else ``all_proxy``; names in lower case before
    those in upper case; ``no_proxy`` as `urllib.request` reads it.

    Args:
        url: The address of the service.
        environ: The environment; None for the one of this process.

    Raises:
        UnusableProviderError: The value of the variable is not a valid address.
    """
    variables = os.environ if environ is None else environ
    if _is_direct(url, variables):
        return None
    found = _find_value(variables, f"{urlsplit(url).scheme}_proxy") or _find_value(variables, "all_proxy")
    if found is None:
        return None
    try:
        return proxy_url(found[1])
    except ValueError as exc:
        raise UnusableProviderError(f"{found[0]} cannot be used: {exc}") from None


def network_problems(
    environ: Mapping[str, str] | None = None, *, url: str = "", client: NetworkClient = "httpx"
) -> tuple[Problem, ...]:
    """Return what is wrong with the variables for proxies and certificates; empty when nothing is.

    Args:
        environ: The environment; None for the one of this process.
        url: The address of the service, to look at the variables that matter for it only; empty for all.
        client: Whose variables for certificates, and whose package for SOCKS: ``httpx`` (httpx2 too) or ``requests``.
    """
    variables = os.environ if environ is None else environ
    names: tuple[str, ...] = PROXY_NAMES
    if url:
        scheme = f"{urlsplit(url).scheme}_proxy"
        names = () if _is_direct(url, variables) else (scheme if _find_value(variables, scheme) else "all_proxy",)
    problems = list(_find_proxy_problems(variables, names, client))
    if not url or url.startswith("https:"):
        problems += _find_certificate_problems(variables, client)
    return tuple(problems)


def require_usable_network(
    environ: Mapping[str, str] | None = None, *, url: str = "", client: NetworkClient = "httpx"
) -> None:
    """Do nothing when the variables for proxies and certificates can be used; see `network_problems`.

    Raises:
        UnusableProviderError: One of them cannot; the message names it.
    """
    problems = network_problems(environ, url=url, client=client)
    if problems:
        raise UnusableProviderError(str(problems[0]).rstrip("."))


def _is_direct(url: str, environ: Mapping[str, str]) -> bool:
    """Return whether ``no_proxy`` names the address."""
    no_proxy = _find_value(environ, "no_proxy")
    if no_proxy is None:
        return False
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # noqa: PLC0415  imports e-mail

    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    return bool(proxy_bypass_environment(netloc, {"no": no_proxy[1]}))


def _find_value(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Return the name and value of a variable, in lower case first; empty ones are unset."""
    for spelled in (name.lower(), name.upper()):
        value = environ.get(spelled, "").strip()
        if value:
            return spelled, value
    return None


def _find_proxy_problems(environ: Mapping[str, str], names: Iterable[str], client: NetworkClient) -> Iterator[Problem]:
    package, module = SOCKS_PACKAGES[client]
    for name in names:
        found = _find_value(environ, name)
        if found is None:
            continue
        try:
            url = proxy_url(found[1])
        except ValueError as exc:
            yield _build_problem(found[0], f"the proxy cannot be used: {exc}", "Correct or unset it.")
            continue
        if urlsplit(url).scheme in SOCKS and find_spec(module) is None:
            yield Problem(
                path="",
                source=found[0],
                message=f"a SOCKS proxy needs the package {package}",
                hint=f"Install it: pip install {package}",
                missing=f"{package}, for {found[0]}",
            )


def _find_certificate_problems(environ: Mapping[str, str], client: NetworkClient) -> Iterator[Problem]:
    for name in CA_NAMES[client]:
        path = environ.get(name, "").strip()
        if path:
            yield from _find_certificate_file_problems(name, path, may_be_folder=client == "requests")
            return
    if client == "requests":
        return
    folders = environ.get(CA_FOLDERS_NAME, "").strip()
    if folders and not any(os.path.isdir(folder) for folder in folders.split(os.pathsep)):  # noqa: PTH112
        yield _build_problem(CA_FOLDERS_NAME, f"{folders} is not a folder", "Correct or unset it.")


def _find_certificate_file_problems(name: str, path: str, *, may_be_folder: bool) -> Iterator[Problem]:
    hint = "Name a readable file of certificates in PEM form, or unset it."
    message = ""
    if os.path.isdir(path):  # noqa: PTH112
        message = "" if may_be_folder else f"{path} is a folder"
    else:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError:
            message = f"{path} holds no certificates in PEM form"
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
            message = f"the certificates in {path} cannot be read ({why})"
    if message:
        yield _build_problem(name, message, hint)


def _build_problem(name: str, message: str, hint: str) -> Problem:
    return Problem(path="", source=name, message=message, hint=hint, missing=f"a usable {name}")
