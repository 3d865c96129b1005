"""The addresses that requests go to, with the token and the headers that may go there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve, field, frozen
from kickai_providers_core import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["Endpoint", "hub_endpoint", "inference_endpoint", "server_endpoint"]

ROUTER_URL = "https://router.huggingface.co/v1"
"""Hugging Face's router (https://huggingface.co/docs/inference-providers); fixed in ``huggingface_hub``, too."""


@frozen(kw_only=True)
class Endpoint:
    """One address of a service.

    Attributes:
        url: Where requests are posted, or the address to which paths are appended.
        token: Sent as a bearer token; None to send no authorization at all.
        headers: Sent as well.
        is_router: Whether this is Hugging Face's router.
    """

    url: str
    token: Secret | None = None
    headers: Mapping[str, Secret] = field(factory=dict)
    is_router: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that no message may contain."""
        secrets = (*self.headers.values(), *([self.token] if self.token else []))
        return tuple(secret.reveal() for secret in secrets)


def inference_endpoint(settings: HuggingFaceSettings) -> Endpoint:
    """Return where requests for answers go; the settings must have no problems (`kickai_hf.checks`)."""
    if settings.base_url is None:
        billing = {"x-hf-bill-to": Secret(settings.bill_to)} if settings.bill_to else {}
        return Endpoint(
            url=chat_url(ROUTER_URL),
            token=settings.token or settings.hub_token,
            headers={**settings.headers, **billing},
            is_router=True,
        )
    url = settings.base_url if settings.task == "text_generation" else chat_url(settings.base_url)
    return Endpoint(url=url, token=settings.token or None, headers=settings.headers)


def hub_endpoint(settings: HuggingFaceSettings) -> Endpoint:
    """Return the Hub, for online checks. The token for a ``base_url`` is not sent there."""
    token = settings.token if settings.base_url is None else None
    return Endpoint(url=settings.hub_url.rstrip("/"), token=token or settings.hub_token)


def server_endpoint(settings: HuggingFaceSettings) -> Endpoint:
    """Return the server at ``base_url``, for online checks."""
    endpoint = inference_endpoint(settings)
    return evolve(endpoint, url=endpoint.url.removesuffix("/chat/completions").rstrip("/"))


def chat_url(base_url: str) -> str:
    """Return the address of chat completions for a base address with or without ``/v1`` or the whole path."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return urlunsplit(parts._replace(path=path))
