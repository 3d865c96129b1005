"""Requests in the words of a service, its addresses, and what an instance can do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from kickai_providers_core import Capability, UnsupportedRequestError
from kickai_providers_core.authoring import dump_bytes, openai_chat

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest

    from kickai_openai.settings import OpenAISettings

__all__ = ["build_base_address", "build_chat_address", "encode_request", "find_capabilities", "find_omitted"]

CHAT = "/chat/completions"


def build_base_address(address: str) -> str:
    """Return the address before ``/chat/completions``; one without a path gets ``/v1``, and a query is left out."""
    parts = urlsplit(address)
    path = parts.path.rstrip("/").removesuffix(CHAT) or "/v1"
    return urlunsplit(parts._replace(path=path, query="", fragment=""))


def build_chat_address(address: str) -> str:
    """Return the address of chat completions; the query is kept."""
    query = urlsplit(address).query
    return f"{build_base_address(address)}{CHAT}" + (f"?{query}" if query else "")


def find_capabilities(settings: OpenAISettings) -> frozenset[Capability] | None:
    """Return what an instance can do; None when nothing limits it."""
    if settings.capabilities is not None:
        return frozenset(settings.capabilities)
    lacks = settings.service.lacks
    return frozenset(Capability) - lacks if lacks else None


def find_omitted(request: ChatRequest, settings: OpenAISettings) -> tuple[str, ...]:
    """Return the names of the fields that a request has and that are not sent."""
    unsent = (*settings.omit, *settings.service.find_unsent(request.model or settings.model))
    return tuple(name for name in dict.fromkeys(unsent) if getattr(request, name, None) not in (None, ()))


def encode_request(request: ChatRequest, settings: OpenAISettings, *, is_stream: bool) -> bytes:
    """Return the body of a request as JSON.

    Raises:
        UnsupportedRequestError: The service cannot do what the request needs, or a value has no form in JSON.
    """
    service, capabilities = settings.service, find_capabilities(settings)
    model = request.model or settings.model
    missing = request.needs - capabilities if capabilities is not None else frozenset()
    if missing:
        raise UnsupportedRequestError(f"{service.title} does not support {', '.join(sorted(missing))}")
    if model is None and service.needs_model:
        raise UnsupportedRequestError(f"{service.title} needs a model: set model, or name one in the target")
    return dump_bytes(_build_body(request, settings, model=model, is_stream=is_stream))


def _build_body(
    request: ChatRequest, settings: OpenAISettings, *, model: str | None, is_stream: bool
) -> dict[str, Any]:
    service = settings.service
    body = openai_chat.encode(request, model=model, stream=is_stream)
    for name in find_omitted(request, settings):
        body.pop({"json_schema": "response_format"}.get(name, name), None)
    if not service.stream_usage:
        body.pop("stream_options", None)
    names = {"max_tokens": settings.max_tokens_field or service.max_tokens_field, "seed": service.seed_field}
    body = {names.get(name, name): value for name, value in body.items()}
    options = dict(request.options.get("openai", {}))
    return {**options.pop("extra_body", {}), **options, **body}
