"""Where requests go and what goes with them: addresses, headers, and the rule that says which token may go where.

Pure: reads settings and returns values or problems.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve, field, frozen
from kickai_providers_core import Problem, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["ROUTER_URL", "Route", "hub_route", "problems", "route", "server_route"]

ROUTER_URL = "https://router.huggingface.co/v1"
"""Hugging Face's router (https://huggingface.co/docs/inference-providers); hard-coded in the vendor's client, too."""

TOKEN_PAGE = "https://huggingface.co/settings/tokens"  # noqa: S105 - an address
HUB_TOKEN_PREFIX = "hf_"  # noqa: S105 - how they all begin

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2."""

_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
"""Visible ASCII, inner blanks allowed: RFC 9110, section 5.5, without its obsolete part."""

_ADDRESS = re.compile(
    r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?([/?][\x21-\x5b\x5d-\x7e]*)?", re.IGNORECASE | re.ASCII
)
"""Narrower than RFC 3986, so that everyone who reads such an address finds the same host in it."""


@frozen(kw_only=True)
class Route:
    """One way to a service.

    Attributes:
        url: Where requests are posted, or the address that paths are added to.
        token: Sent as a bearer token, or None for no authorization at all.
        headers: Sent besides.
        public: Whether it leads to Hugging Face's router.
    """

    url: str
    token: Secret | None = None
    headers: Mapping[str, Secret] = field(factory=dict)
    public: bool = False


def route(settings: HuggingFaceSettings) -> Route:
    """Return the way to the models; call it only when `problems` finds no error."""
    if settings.base_url is None:
        billed = {"x-hf-bill-to": Secret(settings.bill_to)} if settings.bill_to else {}
        token = settings.token or settings.hub_token
        return Route(url=chat_url(ROUTER_URL), token=token, headers={**settings.headers, **billed}, public=True)
    url = settings.base_url if settings.task == "text_generation" else chat_url(settings.base_url)
    return Route(url=url, token=settings.token or None, headers=settings.headers)


def hub_route(settings: HuggingFaceSettings) -> Route:
    """Return the way to the Hub, for online checks. A token that is meant for a ``base_url`` does not go there."""
    own = settings.token if settings.base_url is None else None
    return Route(url=settings.hub_url.rstrip("/"), token=own or settings.hub_token)


def server_route(settings: HuggingFaceSettings) -> Route:
    """Return the way to a server of one's own, for online checks: what its paths are added to."""
    way = route(settings)
    return evolve(way, url=way.url.removesuffix("/chat/completions").rstrip("/"))


def chat_url(base_url: str) -> str:
    """Return the address of chat completions below a base address, with or without ``/v1`` or the whole path."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return urlunsplit(parts._replace(path=path))


def problems(settings: HuggingFaceSettings) -> Iterator[Problem]:
    """Yield what keeps these settings from being used, and what has no effect in them. No network."""
    yield from _headers(settings)
    if settings.base_url is None:
        yield from _router(settings)
    else:
        yield from _address("base_url", settings.base_url)
        yield from _plain("base_url", settings.base_url, settings, secret=bool(settings.token or settings.headers))
        yield from _without_effect(settings)
    yield from _address("hub_url", settings.hub_url)
    yield from _plain("hub_url", settings.hub_url, settings, secret=bool(hub_route(settings).token))


def _router(settings: HuggingFaceSettings) -> Iterator[Problem]:
    token = settings.token or settings.hub_token
    if not token:
        yield Problem(
            path="token",
            message="there is no token for Hugging Face's router",
            hint=f"set HUGGINGFACE_API_TOKEN; tokens are made at {TOKEN_PAGE}",
            missing="HUGGINGFACE_API_TOKEN",
        )
    elif not token.reveal().startswith(HUB_TOKEN_PREFIX):
        yield Problem(
            path="token" if settings.token else "hub_token",
            message=f"this is no token of Hugging Face: theirs begin with {HUB_TOKEN_PREFIX}",
            hint="to use another vendor's key, set base_url to that vendor's address",
        )
    if settings.task == "text_generation":
        yield Problem(
            path="task",
            message="the router only serves chat",
            hint="set base_url to the server that completes text, or leave task out",
        )


def _headers(settings: HuggingFaceSettings) -> Iterator[Problem]:
    for name in ("token", "hub_token"):
        token: Secret | None = getattr(settings, name)
        if token and not _HEADER_VALUE.fullmatch(token.reveal()):
            yield Problem(
                path=name,
                message="it has characters that no header can carry: a line break, a blank at an end, or none of ASCII",
                hint="copy it again, without what stands around it",
            )
    for name, value in settings.headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value.reveal())):
            yield Problem(path=f"headers.{name}", message="it is no header that can be sent")
        elif name.lower() == "authorization" and settings.token:
            yield Problem(path=f"headers.{name}", message="it contradicts token", hint="set one of them")


def _address(path: str, url: str) -> Iterator[Problem]:
    if "@" in url.partition("//")[2].partition("/")[0]:
        yield Problem(path=path, message="an address holds no user and no password", hint="use token or headers")
    elif not _ADDRESS.fullmatch(url):
        yield Problem(path=path, message="this is no address: it is written https://host[:port][/path]")


def _plain(path: str, url: str, settings: HuggingFaceSettings, *, secret: bool) -> Iterator[Problem]:
    if secret and not settings.allow_plain_http and not is_private(url):
        yield Problem(
            path=path,
            message="a token or a header would cross the network unencrypted",
            hint="use https://, or set allow_plain_http = true when the network is your own",
        )


def is_private(url: str) -> bool:
    """Say whether nobody can listen: TLS, a loopback IP address, or ``localhost`` (RFC 6761)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme == "https" or host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a host that is a name, or no address at all
        return False


def _without_effect(settings: HuggingFaceSettings) -> Iterator[Problem]:
    if settings.inference_provider != "auto":
        yield Problem(path="inference_provider", message="it has no effect beside base_url", severity="warning")
    if settings.bill_to:
        yield Problem(path="bill_to", message="it has no effect beside base_url", severity="warning")
