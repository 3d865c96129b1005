"""Requests for a chat completion, and decoders for the responses. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve
from kickai_providers_core import UnsupportedRequestError
from kickai_providers_core.authoring import dump_bytes, openai_chat

from kickai_hf import text_generation
from kickai_hf.request_options import find_options
from kickai_hf.templates import fold_system_messages, has_system_role

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest
    from kickai_providers_core.authoring import DocumentDecoder

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["create_decoder", "encode_model", "encode_request"]


def create_decoder(request: ChatRequest, settings: HuggingFaceSettings, *, is_stream: bool) -> DocumentDecoder:
    """Return a decoder for the answer to a request."""
    if settings.task == "text_generation":
        return text_generation.TextDecoder(request, settings.template, is_stream=is_stream)
    return openai_chat.ChatDecoder(request, is_stream=is_stream)


def encode_request(request: ChatRequest, settings: HuggingFaceSettings, *, is_stream: bool) -> bytes:
    """Return the body of a request as JSON.

    Raises:
        UnsupportedRequestError: The server cannot do what the request needs, or a value has no form in JSON.
    """
    if request.json_schema is not None and settings.base_url is not None and settings.schema_form == "none":
        raise UnsupportedRequestError('this server ignores JSON schemas (schema_form = "none")')
    encode = _encode_chat if settings.task == "chat" else text_generation.encode
    return dump_bytes(encode(request, settings, is_stream=is_stream))


def encode_model(model: str | None, settings: HuggingFaceSettings) -> str | None:
    """Return the model in the service's words: on the router with the inference provider as a suffix.

    The router then selects the provider without a request to the Hub.
    """
    chosen = model or settings.model
    if settings.base_url is not None or settings.inference_provider == "auto" or chosen is None or ":" in chosen:
        return chosen
    return f"{chosen}:{settings.inference_provider}"


def _encode_chat(request: ChatRequest, settings: HuggingFaceSettings, *, is_stream: bool) -> dict[str, Any]:
    """Return the body of a chat completion (https://huggingface.co/docs/inference-providers/tasks/chat-completion)."""
    model = encode_model(request.model, settings)
    if not has_system_role(model):
        request = evolve(request, messages=fold_system_messages(request.messages))
    body = {**openai_chat.encode(request, model=model, stream=is_stream), **find_options(request)}
    if request.json_schema is not None and settings.base_url is not None and settings.schema_form == "tgi":
        body["response_format"] = {"type": "json_object", "value": request.json_schema}
    return body
