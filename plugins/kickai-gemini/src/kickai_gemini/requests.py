"""From a `ChatRequest` to the JSON of the Gemini API (ai.google.dev/api/generate-content). Pure.

One translation serves both clients; where google-generativeai can send less, ``is_current`` is false.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen
from kickai_providers_core import InvalidReplyError, ModelNotFoundError, UnsupportedRequestError
from kickai_providers_core.authoring import as_object, dumps, loads

from kickai_gemini.call_ids import CallIds
from kickai_gemini.known_models import strip_models_prefix, takes_sampling
from kickai_gemini.openapi_schema import convert_to_openapi
from kickai_gemini.request_options import add_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import ChatRequest, Message, Tool, ToolCall

    from kickai_gemini.settings import GeminiSettings

__all__ = ["GeminiRequest", "build_request"]

UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode()
"""Replaces the signature of a call that another model made, or whose signature was not kept: without one, Gemini 3
refuses the conversation (ai.google.dev/gemini-api/docs/thought-signatures)."""

MODEL_NAME = re.compile(r"(models/|tunedModels/)?[A-Za-z0-9][\w.-]*", re.ASCII)
FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
TOOL_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
FILES = ("https://generativelanguage.googleapis.com/", "gs://")
"""Where the service reads images by address: its own Files API, and Google Cloud Storage."""

MAX_EXACT = 2**53
"""The service keeps all numbers as floats; larger integers would change."""


@frozen(kw_only=True)
class GeminiRequest:
    """A request in the API's form.

    Attributes:
        model: The model, without ``models/``.
        body: What is sent. Hidden from the repr: it is the user's.
        omitted: Names of the request's fields that are not in it.
    """

    model: str
    body: Mapping[str, Any] = field(repr=False)
    omitted: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """The model's path below the version; tuned models have one of their own."""
        return self.model if "/" in self.model else f"models/{self.model}"


def build_request(request: ChatRequest, model: str, settings: GeminiSettings, *, is_current: bool) -> GeminiRequest:
    """Return a request in the API's form.

    Args:
        request: The core's request.
        model: The model, no longer retired.
        settings: The instance's settings.
        is_current: Whether the client can send everything that the API takes today. google-generativeai has neither
            JSON schemas as they are, nor seeds, thinking levels and signatures of thoughts.

    Raises:
        UnsupportedRequestError: The request has something that Gemini does not take, or that this client cannot send.
        ModelNotFoundError: No model of Gemini's has such a name; it is probably another provider's.
    """
    if not MODEL_NAME.fullmatch(model):
        raise ModelNotFoundError("no model of Gemini's has such a name")
    _check_names(request)
    return _Builder(request, model, settings, is_current=is_current).build()


@define
class _Builder:
    """One translation, and what was left out so far."""

    request: ChatRequest
    model: str
    settings: GeminiSettings
    is_current: bool = field(kw_only=True)
    omitted: list[str] = field(factory=list)
    ids: CallIds = field(factory=CallIds)

    def build(self) -> GeminiRequest:
        request = self.request
        system = [{"text": each.content} for each in request.messages if each.role == "system" and each.content]
        contents = self._build_contents()
        if not contents:
            contents, system = [{"role": "user", "parts": system or [{"text": ""}]}], []
        body: dict[str, Any] = {"contents": contents}
        if system:
            body["systemInstruction"] = {"parts": system}
        if request.tools:
            body["tools"] = [{"functionDeclarations": [self._build_tool(tool) for tool in request.tools]}]
            if request.tool_choice is not None:
                body["toolConfig"] = {"functionCallingConfig": _build_tool_config(request.tool_choice)}
        config = self._build_config()
        add_options(request, body, config, is_current=self.is_current)
        if config:
            body["generationConfig"] = config
        omitted = tuple(dict.fromkeys(self.omitted))
        return GeminiRequest(model=strip_models_prefix(self.model), body=_convert_to_dict(body), omitted=omitted)

    def _build_contents(self) -> list[dict[str, Any]]:
        """Return the turns; messages of one speaker in a row are one turn, as the service requires."""
        contents: list[dict[str, Any]] = []
        for message in self.request.messages:
            if message.role == "system":
                continue
            role = "model" if message.role == "assistant" else "user"
            parts = [self._build_result(message)] if message.role == "tool" else self._build_parts(message)
            if contents and contents[-1]["role"] == role:
                contents[-1]["parts"].extend(parts)
            elif parts:
                contents.append({"role": role, "parts": parts})
        return contents

    def _build_parts(self, message: Message) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"text": message.content}] if message.content else []
        for image in message.images:
            if image.data is not None:
                data = base64.b64encode(image.data).decode()
                parts.append({"inlineData": {"mimeType": image.media_type, "data": data}})
            elif image.url is not None and image.url.startswith((self.settings.base_url.rstrip("/") + "/", *FILES)):
                parts.append({"fileData": {"mimeType": image.media_type, "fileUri": image.url}})
            else:
                raise UnsupportedRequestError(
                    "Gemini does not fetch images from other servers: send the image's data, or upload it to the Files"
                    " API"
                )
        calls: list[dict[str, Any]] = [{"functionCall": self._build_call(call)} for call in message.tool_calls]
        if calls and self.is_current:
            calls[0]["thoughtSignature"] = UNSIGNED
        return parts + calls

    def _build_call(self, call: ToolCall) -> dict[str, Any]:
        arguments = as_object(call.arguments)
        if not self.is_current:
            _check_integers(arguments)
        return {"id": self.ids.add(call), "name": call.name, "args": arguments}

    def _build_result(self, message: Message) -> dict[str, Any]:
        """Return a tool's result; the service knows it by the tool's name and requires an object."""
        call_id, name = self.ids.match_result(message.tool_call_id)
        value = _parse_value(message.content)
        response = value if isinstance(value, dict) else {"result": value}
        return {"functionResponse": {"id": call_id, "name": name, "response": response}}

    def _build_tool(self, tool: Tool) -> dict[str, Any]:
        declaration: dict[str, Any] = {"name": tool.name, "description": tool.description}
        if _takes_nothing(tool.parameters):
            return declaration  # the service refuses an object without properties
        if self.is_current:
            declaration["parametersJsonSchema"] = tool.parameters
        else:
            declaration["parameters"], dropped = convert_to_openapi(_convert_to_dict(tool.parameters))
            self.omitted.extend(f"tools.{keyword}" for keyword in dropped)
        return declaration

    def _build_config(self) -> dict[str, Any]:
        request, settings = self.request, self.settings
        config: dict[str, Any] = {
            "temperature": request.temperature,
            "topP": request.top_p,
            "maxOutputTokens": request.max_tokens,
            "stopSequences": list(request.stop) or None,
            "seed": request.seed,
        }
        unsent = {} if self.is_current else {"seed": "seed"}
        if settings.sampling == "never" or (settings.sampling == "auto" and not takes_sampling(self.model)):
            unsent |= {"temperature": "temperature", "topP": "top_p"}
        self.omitted.extend(field for name, field in unsent.items() if config.pop(name) is not None)
        if request.json_schema is not None:
            config["responseMimeType"] = "application/json"
            if self.is_current:
                config["responseJsonSchema"] = request.json_schema
            else:
                config["responseSchema"], dropped = convert_to_openapi(_convert_to_dict(request.json_schema))
                self.omitted.extend(f"json_schema.{keyword}" for keyword in dropped)
        if settings.thinking_level is not None and self.is_current:
            config["thinkingConfig"] = {"thinkingLevel": settings.thinking_level.upper()}
        return {name: value for name, value in config.items() if value is not None}


def _build_tool_config(choice: str) -> dict[str, Any]:
    if choice in TOOL_MODES:
        return {"mode": TOOL_MODES[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


def _takes_nothing(parameters: Mapping[str, Any]) -> bool:
    """Return whether a schema has no arguments at all."""
    kept = {name for name, value in parameters.items() if value not in ({}, [], (), None, False)}
    return kept <= {"type", "title", "description", "$schema"}


def _check_names(request: ChatRequest) -> None:
    """Check the names of functions.

    Raises:
        UnsupportedRequestError: The service would refuse one.
    """
    names = [tool.name for tool in request.tools]
    names += [call.name for message in request.messages for call in message.tool_calls]
    if not all(map(FUNCTION_NAME.fullmatch, names)):
        raise UnsupportedRequestError(
            "Gemini does not take the name of a function: names have at most 128 letters, digits, '_', '.', ':' and"
            " '-', and begin with a letter or '_'"
        )


def _parse_value(text: str) -> Any:
    """Return the JSON value of a text; the text itself when it is not strict JSON, or would not arrive unchanged."""
    try:
        value = loads(text)
        _check_integers(value)
    except (InvalidReplyError, UnsupportedRequestError):
        return text
    return value


def _check_integers(value: Any) -> None:
    """Check that no integer would change on its way.

    Raises:
        UnsupportedRequestError: One would.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _check_integers(each)
    elif isinstance(value, int) and abs(value) > MAX_EXACT:
        raise UnsupportedRequestError("a number in the arguments of a function call is too large to be sent exactly")


def _convert_to_dict(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value as dicts and lists in valid Unicode, whatever kinds of mappings and sequences it consists of.

    Raises:
        UnsupportedRequestError: It holds something that JSON cannot express.
    """
    plain: dict[str, Any] = json.loads(dumps(value))
    return plain
