"""What a request, a reply and a chunk look like in the Gemini API's own JSON.

Pure. Both clients carry the same JSON, in the names of the REST reference (ai.google.dev/api/generate-content), so
that there is one translation for the two; where the old client's vocabulary is smaller, a parameter says so.
"""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from kickai_providers_core import InvalidReplyError, ModelNotFoundError, UnsupportedRequestError
from kickai_providers_core.authoring import strict_json

from kickai_gemini import lifecycle
from kickai_gemini.schema import openapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kickai_providers_core import ChatRequest, Message, Tool, ToolCall

    from kickai_gemini.settings import GeminiSettings

__all__ = ["Asked", "asked"]

UNSIGNED = b"skip_thought_signature_validator"
"""Stands for the signature of a call that was made elsewhere, or whose signature was not kept: without one, Gemini 3
refuses the conversation (ai.google.dev/gemini-api/docs/thought-signatures)."""

NAME = re.compile(r"(models/|tunedModels/)?[A-Za-z0-9][\w.-]*", re.ASCII)
FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
TOOL_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


@frozen(kw_only=True)
class Asked:
    """A request in the service's words.

    Attributes:
        model: The model that is asked, without ``models/``.
        body: What is sent. Hidden from the repr: it is the user's.
        omitted: Names of the request's fields that are not in it.
        max_tokens: The request's own limit.
        json_schema: What the answer has to fit. Hidden from the repr as well.
    """

    model: str
    body: Mapping[str, Any] = field(repr=False)
    omitted: tuple[str, ...] = ()
    max_tokens: int | None = None
    json_schema: Mapping[str, Any] | None = field(default=None, repr=False)


def asked(request: ChatRequest, model: str, settings: GeminiSettings, *, current: bool) -> Asked:
    """Return a request in the service's words.

    Args:
        request: What the core asks.
        model: The model to ask, no longer retired.
        settings: The instance's own.
        current: Whether the client can send all that the API takes today. The old one has neither JSON schemas as
            they are, nor seeds, thinking levels and signatures of thoughts.

    Raises:
        UnsupportedRequestError: The request holds something that cannot be sent to Gemini, or not with this client.
        ModelNotFoundError: No model of Gemini's has such a name: it is another provider's, most likely.
    """
    if not NAME.fullmatch(model):
        raise ModelNotFoundError("Gemini has no models of such a name")
    omitted: list[str] = []
    _check_names(request)
    system = [{"text": each.content} for each in request.messages if each.role == "system" and each.content]
    body: dict[str, Any] = {"contents": _contents(request.messages, settings, current=current)}
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
        body=_plain(body),
        omitted=tuple(dict.fromkeys(omitted)),
        max_tokens=request.max_tokens,
        json_schema=request.json_schema,
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


class _Calls:
    """The calls of a conversation that wait for their results.

    Ids come from whichever model made the calls: they may be missing, or be the same for several calls. A result
    belongs to the oldest unanswered call with its id; a result without an id, to the oldest unanswered call.
    """

    def __init__(self) -> None:
        self._made = 0
        self._sent: set[str] = set()
        self._waiting: defaultdict[str, deque[tuple[str, str]]] = defaultdict(deque)
        self._order: deque[tuple[str, tuple[str, str]]] = deque()

    def call(self, call: ToolCall) -> str:
        """Return the id to send for a call, which no other call of the conversation has."""
        self._made += 1
        sent = call.id
        while not sent or sent in self._sent:
            sent = f"call-{self._made}" if f"call-{self._made}" not in self._sent else f"{sent or 'call'}-{self._made}"
        self._sent.add(sent)
        self._waiting[call.id].append((sent, call.name))
        self._order.append((call.id, (sent, call.name)))
        return sent

    def answer(self, call_id: str | None) -> tuple[str, str]:
        """Return the id that was sent, and the name, of the call that a result answers.

        Raises:
            UnsupportedRequestError: There is no such call.
        """
        waiting = self._waiting.get(call_id or "")
        if waiting:
            found = waiting.popleft()
        else:
            unanswered = [(key, made) for key, made in self._order if made in self._waiting[key]]
            if call_id or not unanswered:
                raise UnsupportedRequestError("a tool message answers no call of the conversation before it")
            key, found = unanswered[0]
            self._waiting[key].popleft()
        return found


def _contents(messages: Iterable[Message], settings: GeminiSettings, *, current: bool) -> list[dict[str, Any]]:
    """Return the turns; parts of one speaker that follow each other are one turn, as the service wants it."""
    contents: list[dict[str, Any]] = []
    calls = _Calls()
    for message in messages:
        if message.role == "system":
            continue
        role = "model" if message.role == "assistant" else "user"
        is_result = message.role == "tool"
        parts = [_result(message, calls)] if is_result else _parts(message, settings, calls, current=current)
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"].extend(parts)
        elif parts:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: Message, settings: GeminiSettings, known: _Calls, *, current: bool) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": message.content}] if message.content else []
    for image in message.images:
        if image.data is not None:
            data = base64.b64encode(image.data).decode()
            parts.append({"inlineData": {"mimeType": image.media_type, "data": data}})
        elif image.url is not None and image.url.startswith((settings.base_url.rstrip("/") + "/", *FILES)):
            parts.append({"fileData": {"mimeType": image.media_type, "fileUri": image.url}})
        else:
            raise UnsupportedRequestError(
                "Gemini does not fetch images from other servers: send the image's data, or upload it to the Files API"
            )
    calls = [{"functionCall": _call(call, known, exact=current)} for call in message.tool_calls]
    if calls and current:
        calls[0]["thoughtSignature"] = base64.b64encode(UNSIGNED).decode()  # type: ignore[assignment]
    return parts + calls


FILES = ("https://generativelanguage.googleapis.com/", "gs://")
"""Where the images lie that the service reads by address: its own Files API, and Google Cloud Storage."""


def _call(call: ToolCall, known: _Calls, *, exact: bool) -> dict[str, Any]:
    arguments = strict_json.as_object(call.arguments)
    if not exact:
        _check_integers(arguments)
    return {"id": known.call(call), "name": call.name, "args": arguments}


def _result(message: Message, calls: _Calls) -> dict[str, Any]:
    """Return what a tool answered; the service knows it by the tool's name and wants an object.

    An answer that is not JSON in the strict sense, such as one with NaN in it, is sent as text.
    """
    call, name = calls.answer(message.tool_call_id)
    answer = _value(message.content)
    return {
        "functionResponse": {
            "id": call,
            "name": name,
            "response": answer if isinstance(answer, dict) else {"result": answer},
        }
    }


def _value(text: str) -> Any:
    """Return the JSON value that a text holds, or the text itself."""
    try:
        value = strict_json.loads(text)
        _check_integers(value)
    except (InvalidReplyError, UnsupportedRequestError):
        return text
    return value


MAX_EXACT = 2**53


def _check_integers(value: Any) -> None:
    """Check that no integer would change on its way: the service keeps all numbers as floats.

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


def _check_names(request: ChatRequest) -> None:
    """Check the names of functions, of which the service takes letters, digits and some signs.

    Raises:
        UnsupportedRequestError: It would refuse one.
    """
    names = [tool.name for tool in request.tools]
    names += [call.name for message in request.messages for call in message.tool_calls]
    if not all(map(FUNCTION.fullmatch, names)):
        raise UnsupportedRequestError(
            "Gemini does not take the name of a function: names have at most 128 letters, digits, '_', '.', ':' and"
            " '-', and begin with a letter or '_'"
        )


def _tool(tool: Tool, omitted: list[str], *, current: bool) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if _takes_nothing(tool.parameters):
        return declared  # the service refuses an object without properties
    if current:
        declared["parametersJsonSchema"] = _plain(tool.parameters)
    else:
        declared["parameters"], dropped = openapi(_plain(tool.parameters))
        omitted.extend(f"tools.{keyword}" for keyword in dropped)
    return declared


def _takes_nothing(parameters: Mapping[str, Any]) -> bool:
    """Say whether a schema asks for no arguments at all."""
    kept = {name for name, value in parameters.items() if value not in ({}, [], (), None, False)}
    return kept <= {"type", "title", "description", "$schema"}


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value as JSON knows it, whatever kinds of mappings and sequences it is made of, in valid Unicode.

    Raises:
        UnsupportedRequestError: It holds what is no JSON: NaN, infinity, other objects.
    """
    made: dict[str, Any] = json.loads(strict_json.dumps(value))
    return made


def _tool_config(choice: str) -> dict[str, Any]:
    if choice in TOOL_MODES:
        return {"mode": TOOL_MODES[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}
