"""The addresses that requests go to, with the token and the headers that may go there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve
from kickai_providers_core import Secret
from kickai_providers_core.authoring import Endpoint

if TYPE_CHECKING:
    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["build_hub_endpoint", "build_inference_endpoint", "build_server_endpoint"]

ROUTER_URL = "https://router.huggingface.co/v1"
"""Hugging Face's router (https://huggingface.co/docs/inference-providers); fixed in ``huggingface_hub``, too."""


def build_inference_endpoint(settings: HuggingFaceSettings) -> Endpoint:
    """Return where requests for answers go; the settings must have no problems (`kickai_hf.offline_checks`)."""
    if settings.base_url is None:
        billing = {"x-hf-bill-to": Secret(settings.bill_to)} if settings.bill_to else {}
        return Endpoint(
            url=build_chat_url(ROUTER_URL),
            key=settings.token or settings.hub_token,
            headers={**settings.headers, **billing},
            key_setting="token" if settings.token else "hub_token",
        )
    url = settings.base_url if settings.task == "text_generation" else build_chat_url(settings.base_url)
    return Endpoint(url=url, key=settings.token or None, headers=settings.headers, key_setting="token")


def build_hub_endpoint(settings: HuggingFaceSettings) -> Endpoint:
    """Return the Hub, for online checks. The token for a ``base_url`` is not sent there."""
    token = settings.token if settings.base_url is None else None
    return Endpoint(
        url=settings.hub_url.rstrip("/"),
        key=token or settings.hub_token,
        key_setting="token" if token else "hub_token",
    )


def build_server_endpoint(settings: HuggingFaceSettings) -> Endpoint:
    """Return the server at ``base_url``, for online checks."""
    endpoint = build_inference_endpoint(settings)
    return evolve(endpoint, url=endpoint.url.removesuffix("/chat/completions").rstrip("/"))


def build_chat_url(base_url: str) -> str:
    """Return the address of chat completions for a base address with or without ``/v1`` or the whole path."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return urlunsplit(parts._replace(path=path))
