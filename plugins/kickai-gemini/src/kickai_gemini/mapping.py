"""What a request, a reply and a chunk look like in the Gemini API's own JSON.

Pure. Both clients carry the same JSON, in the names of the REST reference (ai.google.dev/api/generate-content), so
that there is one translation for the two; where the old client's vocabulary is smaller, a parameter says so.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from kickai_providers_core.errors import InvalidRequestError, ModelNotFoundError

from kickai_gemini import lifecycle
from kickai_gemini.schema import openapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kickai_providers_core.messages import ChatRequest, Message, Tool, ToolCall

    from kickai_gemini.settings import GeminiSettings

__all__ = ["Asked", "asked"]

UNSIGNED = b"skip_thought_signature_validator"
"""Stands for the signature of a call that was made elsewhere, or whose signature was not kept: without one, Gemini 3
refuses the conversation (ai.google.dev/gemini-api/docs/thought-signatures)."""

NAME = re.compile(r"(models/|tunedModels/)?[A-Za-z0-9][\w.-]*", re.ASCII)
TOOL_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


@frozen(kw_only=True)
class Asked:
    """A request in the service's words.

    Attributes:
        model: The model that is asked, without ``models/``.
        body: What is sent. Hidden from the repr: it is the user's.
        omitted: Names of the request's fields that are not in it.
        max_tokens: The request's own limit.
    """

    model: str
    body: Mapping[str, Any] = field(repr=False)
    omitted: tuple[str, ...] = ()
    max_tokens: int | None = None


def asked(request: ChatRequest, model: str, settings: GeminiSettings, *, current: bool) -> Asked:
    """Return a request in the service's words.

    Args:
        request: What the core asks.
        model: The model to ask, no longer retired.
        settings: The instance's own.
        current: Whether the client can send all that the API takes today. The old one has neither JSON schemas as
            they are, nor seeds, thinking levels and signatures of thoughts.

    Raises:
        InvalidRequestError: The request asks for what cannot be sent.
        ModelNotFoundError: No model of Gemini's has such a name: it is another provider's, most likely.
    """
    if not NAME.fullmatch(model):
        raise ModelNotFoundError("Gemini has no models of such a name")
    omitted: list[str] = []
    system = [{"text": message.content} for message in request.messages if message.role == "system"]
    body: dict[str, Any] = {"contents": _contents(request.messages, current=current)}
    if not body["contents"]:
        body["contents"], system = [{"role": "user", "parts": system or [{"text": ""}]}], []
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool, omitted, current=current) for tool in request.tools]}]
    if request.tools and request.tool_choice is not None:
        body["toolConfig"] = {"functionCallingConfig": _tool_config(request.tool_choice)}
    config = _config(request, model, settings, omitted, current=current)
    if config:
        body["generationConfig"] = config
    return Asked(
        model=lifecycle.plain(model),
        body=body,
        omitted=tuple(dict.fromkeys(omitted)),
        max_tokens=request.max_tokens,
    )


def _config(
    request: ChatRequest, model: str, settings: GeminiSettings, omitted: list[str], *, current: bool
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "maxOutputTokens": request.max_tokens,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
    }
    left_out = {} if current else {"seed": "seed"}
    if settings.sampling == "never" or (settings.sampling == "auto" and not lifecycle.takes_sampling(model)):
        left_out |= {"temperature": "temperature", "topP": "top_p"}
    omitted.extend(field for name, field in left_out.items() if config.pop(name) is not None)
    if request.json_schema is not None:
        config["responseMimeType"] = "application/json"
        if current:
            config["responseJsonSchema"] = _plain(request.json_schema)
        else:
            config["responseSchema"], dropped = openapi(_plain(request.json_schema))
            omitted.extend(f"json_schema.{keyword}" for keyword in dropped)
    if settings.thinking_level is not None and current:
        config["thinkingConfig"] = {"thinkingLevel": settings.thinking_level.upper()}
    return {name: value for name, value in config.items() if value is not None}


def _contents(messages: Iterable[Message], *, current: bool) -> list[dict[str, Any]]:
    """Return the turns; parts of one speaker that follow each other are one turn, as the service wants it."""
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "system":
            continue
        names |= {call.id: call.name for call in message.tool_calls}
        role = "model" if message.role == "assistant" else "user"
        parts = [_result(message, names)] if message.role == "tool" else _parts(message, current=current)
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"].extend(parts)
        elif parts:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: Message, *, current: bool) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": message.content}] if message.content else []
    for image in message.images:
        if image.data is not None:
            data = base64.b64encode(image.data).decode()
            parts.append({"inlineData": {"mimeType": image.media_type, "data": data}})
        else:
            parts.append({"fileData": {"mimeType": image.media_type, "fileUri": image.url}})
    calls = [{"functionCall": _call(call)} for call in message.tool_calls]
    if calls and current:
        calls[0]["thoughtSignature"] = base64.b64encode(UNSIGNED).decode()  # type: ignore[assignment]
    return parts + calls


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise InvalidRequestError(f"the arguments of the tool call {call.name!r} are no JSON object")
    return {"id": call.id, "name": call.name, "args": arguments}


def _result(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what a tool answered; the service knows it by the tool's name and wants an object."""
    call = message.tool_call_id
    if call is None or call not in names:
        raise InvalidRequestError("a tool message answers no call of the conversation: its tool_call_id is unknown")
    try:
        answer = json.loads(message.content)
    except ValueError:
        answer = message.content
    told = answer if isinstance(answer, dict) else {"result": answer}
    return {"functionResponse": {"id": call, "name": names[call], "response": told}}


def _tool(tool: Tool, omitted: list[str], *, current: bool) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if not tool.parameters.get("properties"):
        return declared  # the service refuses an object without properties
    if current:
        declared["parametersJsonSchema"] = _plain(tool.parameters)
    else:
        declared["parameters"], dropped = openapi(_plain(tool.parameters))
        omitted.extend(f"tools.{keyword}" for keyword in dropped)
    return declared


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema as JSON knows it, whatever kinds of mappings and sequences it is made of."""
    try:
        made: dict[str, Any] = json.loads(json.dumps(schema, default=dict))
    except (TypeError, ValueError) as exc:
        raise InvalidRequestError("the JSON schema holds what is no JSON") from exc
    return made


def _tool_config(choice: str) -> dict[str, Any]:
    if choice in TOOL_MODES:
        return {"mode": TOOL_MODES[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}
