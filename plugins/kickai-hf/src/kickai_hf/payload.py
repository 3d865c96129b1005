"""Translate a request into the body that is posted: nothing added and nothing lost. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kickai_providers_core import UnsupportedRequestError
from kickai_providers_core.authoring import dump_bytes

from kickai_hf import templates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core import ChatRequest, Image, Message

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["chat", "encode", "served_name", "text_generation"]

SCHEMA_NAME = "reply"
"""OpenAI's form of a schema must have a name; nobody reads it."""

_WITHOUT_SYSTEM_ROLE = ("google/gemma-2-", "google/gemma-1", "google/gemma-2b", "google/gemma-7b")
"""Models whose chat template refuses a system message ("System role not supported"): Gemma before its third version."""


def served_name(model: str | None, settings: HuggingFaceSettings) -> str | None:
    """Return the model as the service is to be asked for it: on the router with the inference provider as a suffix.

    The router chooses the inference provider itself, so that nothing needs to be looked up on the Hub first.
    """
    chosen = model or settings.model
    if settings.base_url is not None or settings.inference_provider == "auto" or chosen is None or ":" in chosen:
        return chosen
    return f"{chosen}:{settings.inference_provider}"


def chat(request: ChatRequest, settings: HuggingFaceSettings, *, stream: bool) -> dict[str, Any]:
    """Return the body of a chat completion (https://huggingface.co/docs/inference-providers/tasks/chat-completion)."""
    model = served_name(request.model, settings)
    fields: dict[str, Any] = {
        "model": model,  # first, so that a router finds it without reading the rest
        "messages": [_message(message) for message in _admitted(request.messages, model)],
        "stream": stream,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "stream_options": {"include_usage": True} if stream else None,
    }
    if request.tools:
        fields["tools"] = [
            {
                "type": "function",
                "function": {"name": t.name, "description": t.description, "parameters": plain(t.parameters)},
            }
            for t in request.tools
        ]
        fields["tool_choice"] = _tool_choice(request.tool_choice)
    if request.json_schema is not None:
        _need_schemas(settings)
        old_tgi = settings.base_url is not None and settings.schema_form == "tgi"
        fields["response_format"] = _schema(plain(request.json_schema), old_tgi=old_tgi)
    return fields


def text_generation(request: ChatRequest, settings: HuggingFaceSettings, *, stream: bool) -> dict[str, Any]:
    """Return the body for TGI's ``/generate`` (https://huggingface.co/docs/text-generation-inference).

    Raises:
        UnsupportedRequestError: It has tools or images, which plain text has no place for.
    """
    if request.tools or any(m.images or m.tool_calls or m.role == "tool" for m in request.messages):
        raise UnsupportedRequestError("a server that only completes text takes no tools and no images")
    if request.json_schema is not None:
        _need_schemas(settings)
    template = templates.BY_NAME[settings.template]
    warm = request.temperature != 0  # TGI refuses 0: greedy decoding is requested by not sampling
    parameters = {
        "details": True,
        "return_full_text": False,
        "do_sample": None if warm else False,
        "temperature": request.temperature if warm else None,
        "max_new_tokens": request.max_tokens,
        # TGI takes only what lies below 1, where 1 means the same as nothing.
        "top_p": request.top_p if request.top_p != 1 else None,
        "seed": request.seed,
        "stop": [*request.stop, *template.stop],
        "grammar": None if request.json_schema is None else {"type": "json", "value": plain(request.json_schema)},
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    return {"inputs": template.render(request.messages), "parameters": given, "stream": stream}


def encode(request: ChatRequest, settings: HuggingFaceSettings, *, stream: bool) -> bytes:
    """Return the body of a request as JSON, without the fields that nobody set.

    Only those: a None inside a tool or a schema is a part of it.

    Raises:
        UnsupportedRequestError: There is no such body: the server cannot do it, or something has no form in JSON.
    """
    make = chat if settings.task == "chat" else text_generation
    with suppress(AttributeError, TypeError, ValueError, LookupError, RecursionError):
        body = make(request, settings, stream=stream)
        return dump_bytes({name: value for name, value in body.items() if value is not None})
    # Without a cause: its text, and its frames, would hold the prompt.
    raise UnsupportedRequestError("the request cannot be written as JSON: a part of it has the wrong type")


def plain(value: Any) -> Any:
    """Return the same value made of dicts and lists, which is all that JSON's encoder takes."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def _admitted(messages: Sequence[Message], model: str | None) -> Sequence[Message]:
    """Return the messages in roles that the model takes."""
    if model is None or not model.lower().startswith(_WITHOUT_SYSTEM_ROLE):
        return messages
    return templates.without_system(messages)


def _need_schemas(settings: HuggingFaceSettings) -> None:
    if settings.base_url is not None and settings.schema_form == "none":
        raise UnsupportedRequestError('this server ignores JSON schemas (schema_form = "none")')


def _message(message: Message) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        text = [{"type": "text", "text": message.content}] if message.content else []
        sent["content"] = [*text, *({"type": "image_url", "image_url": {"url": _url(i)}} for i in message.images)]
    if message.tool_calls:
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _url(image: Image) -> str:
    return image.url or f"data:{image.media_type};base64,{b64encode(image.data or b'').decode()}"


def _tool_choice(choice: str | None) -> Any:
    return (
        choice if choice in {None, "auto", "none", "required"} else {"type": "function", "function": {"name": choice}}
    )


def _schema(schema: Any, *, old_tgi: bool) -> dict[str, Any]:
    if old_tgi:
        return {"type": "json_object", "value": schema}
    return {"type": "json_schema", "json_schema": {"name": SCHEMA_NAME, "schema": schema, "strict": True}}
