"""The offline checks of an instance's settings: addresses, tokens, headers, proxies and certificates. No network."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kickai_providers_core import Problem
from kickai_providers_core.authoring import network_problems, proxy_for

from kickai_hf.endpoints import hub_endpoint, inference_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_providers_core import Secret

    from kickai_hf.settings import HuggingFaceSettings

__all__ = [
    "TOKEN_PAGE",
    "find_environment_problems",
    "find_network_problems",
    "find_settings_problems",
    "has_errors",
]

TOKEN_PAGE = "https://huggingface.co/settings/tokens"  # noqa: S105 - an address
HUB_TOKEN_PREFIX = "hf_"  # noqa: S105 - the prefix of every token

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2."""

_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
"""Visible ASCII, with blanks inside only: RFC 9110, section 5.5, without its obsolete part."""

_ADDRESS = re.compile(
    r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?([/?][\x21-\x5b\x5d-\x7e]*)?", re.IGNORECASE | re.ASCII
)
"""Narrower than RFC 3986, so that every parser finds the same host in such an address."""


def has_errors(problems: Iterable[Problem]) -> bool:
    """Return whether a problem is an error, and not only a warning or a note."""
    return any(problem.severity == "error" for problem in problems)


def find_settings_problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    """Yield the errors in the settings, and a warning for each setting without effect."""
    yield from _header_problems(settings)
    if settings.base_url is None:
        yield from _router_problems(settings)
    else:
        yield from _address_problems("base_url", settings.base_url)
        has_secrets = bool(settings.token or settings.headers)
        yield from _plain_http_problems("base_url", settings.base_url, settings, has_secrets=has_secrets)
        yield from _settings_without_effect(settings)
    yield from _address_problems("hub_url", settings.hub_url)
    has_token = bool(hub_endpoint(settings).token)
    yield from _plain_http_problems("hub_url", settings.hub_url, settings, has_secrets=has_token)


def find_environment_problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    """Yield the environment variables that prevent requests; the settings must have no errors."""
    yield from find_network_problems(inference_endpoint(settings).url)
    if settings.base_url is None and os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        yield Problem(
            path="HF_HUB_OFFLINE",
            message="HF_HUB_OFFLINE is set, which forbids requests to Hugging Face",
            hint="unset it, or set base_url",
        )


def find_network_problems(url: str) -> Iterator[Problem]:
    """Yield the problems with the variables for proxies and certificates; none without TLS, where no proxy is used."""
    if not url.lower().startswith("https:"):
        return
    problems = network_problems(url=url)
    yield from problems
    if problems:
        return
    scheme = urlsplit(proxy_for(url) or "http:").scheme
    if scheme not in {"http", "socks5", "socks5h"}:
        yield Problem(
            path="",
            source="HTTPS_PROXY or ALL_PROXY",
            message=f"proxies with the scheme {scheme} are not supported",
            hint="use http://host:port, host:port or socks5://host:port",
        )


def _router_problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    token = settings.token or settings.hub_token
    if not token:
        yield Problem(
            path="token",
            message="Hugging Face's router requires a token",
            hint=f"set HUGGINGFACE_API_TOKEN; create a token at {TOKEN_PAGE}",
            missing="HUGGINGFACE_API_TOKEN",
        )
    elif not token.reveal().startswith(HUB_TOKEN_PREFIX):
        yield Problem(
            path="token" if settings.token else "hub_token",
            message=f"this is not a Hugging Face token, which begins with {HUB_TOKEN_PREFIX}",
            hint="to use another vendor's key, set base_url to that vendor's address",
        )
    if settings.task == "text_generation":
        yield Problem(
            path="task",
            message="the router serves chat only",
            hint="set base_url to a server that completes text, or remove task",
        )


def _header_problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    tokens: dict[str, Secret | None] = {"token": settings.token, "hub_token": settings.hub_token}
    for name, token in tokens.items():
        if token and not _HEADER_VALUE.fullmatch(token.reveal()):
            yield Problem(
                path=name,
                message="it contains characters that a header cannot contain: a line break, a blank at an end, or "
                "a character that is not ASCII",
                hint="copy the token again, without any surrounding text",
            )
    for name, value in settings.headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value.reveal())):
            yield Problem(path=f"headers.{name}", message="this is not a valid header")
        elif name.lower() == "authorization" and settings.token:
            yield Problem(path=f"headers.{name}", message="it contradicts token", hint="set one of them only")


def _address_problems(path: str, url: str) -> Iterator[Problem]:
    if "@" in url.partition("//")[2].partition("/")[0]:
        yield Problem(
            path=path, message="an address must not contain a user or a password", hint="use token or headers"
        )
    elif not _ADDRESS.fullmatch(url):
        yield Problem(path=path, message="this is not an address: expected https://host[:port][/path]")


def _plain_http_problems(path: str, url: str, settings: HuggingFaceSettings, *, has_secrets: bool) -> Iterator[Problem]:
    if has_secrets and not settings.allow_plain_http and not is_private(url):
        yield Problem(
            path=path,
            message="a token or a header would cross the network unencrypted",
            hint="use https://, or set allow_plain_http = true if the network is your own",
        )


def is_private(url: str) -> bool:
    """Return whether nobody can listen: TLS, a loopback IP address, or ``localhost`` (RFC 6761)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme == "https" or host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # the host is a name, or the address is invalid
        return False


def _settings_without_effect(settings: HuggingFaceSettings) -> Iterator[Problem]:
    used = {"inference_provider": settings.inference_provider != "auto", "bill_to": bool(settings.bill_to)}
    for path, is_set in used.items():
        if is_set:
            yield Problem(path=path, message="it has no effect together with base_url", severity="warning")
