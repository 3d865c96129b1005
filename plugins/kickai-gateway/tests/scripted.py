"""A provider in code whose models do what their names say, and which notes what happened to each call."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING, Any

from attrs import define, field
from kickai_providers_core import (
    Capability,
    ChatRequest,
    ContentFilteredError,
    ContextLengthExceededError,
    FinishReason,
    InvalidRequestError,
    ProviderInfo,
    ProviderSettings,
    ProviderUnavailableError,
    RateLimitedError,
    Reply,
    ReplyChunk,
    ToolCall,
    Usage,
)
from kickai_providers_core.authoring import hooks_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

USAGE = Usage(input_tokens=12, output_tokens=7, cached_tokens=5, reasoning_tokens=3)
WORDS = ("Anna, ", "Ben ", "and Çelik 🙂")
TEXT = "".join(WORDS)

ERRORS = {
    "busy": lambda: RateLimitedError("too many requests", retry_after_s=600),
    "down": lambda: ProviderUnavailableError("it is down"),
    "strict": lambda: InvalidRequestError("the request is invalid", status_code=400),
    "small": lambda: ContextLengthExceededError("the prompt is too long", limit_tokens=10),
    "prude": lambda: ContentFilteredError("the prompt was refused", reason="SAFETY"),
}


@define
class Script:
    """What the provider has seen, shared by a test and its provider.

    Attributes:
        requests: Every request, in order.
        ended: How each call of the models ``slow`` and ``endless`` ended.
    """

    requests: list[ChatRequest] = field(factory=list)
    ended: list[str] = field(factory=list)

    def plugin(self, name: str) -> Any:
        """Return the plugin."""
        script = self

        class Provider:
            """Answers as the model's name says."""

            def __init__(self, settings: object) -> None:
                self.settings = settings

            @staticmethod
            def capabilities(settings: object, model: str | None) -> frozenset[Capability]:
                return frozenset(Capability) if model != "plain" else frozenset()

            def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
                raise NotImplementedError

            async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
                model = script.note(request)
                if model == "slow":
                    await script.wait()
                if model == "bug":
                    raise RuntimeError("secret prompt")
                return script.reply(request, model)

            async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
                model = script.note(request)
                reply = script.reply(request, model)
                with script.note_end(model):
                    for word in script.words(model, reply):
                        yield ReplyChunk(text=word, model=model)
                        await script.go_on(model)
                yield ReplyChunk(
                    tool_calls=reply.tool_calls,
                    finish_reason=reply.finish_reason,
                    usage=reply.usage,
                    model=model,
                    reasoning="",
                )

        info = ProviderInfo(
            name=name, summary="scripted", settings_class=ProviderSettings, capabilities=frozenset(Capability)
        )
        return hooks_for(info, Provider)

    def note(self, request: ChatRequest) -> str:
        """Note a request, and return its model; raise what the model always raises."""
        self.requests.append(request)
        model = request.model or "good"
        if model in ERRORS:
            error = ERRORS[model]()
            raise error
        return model

    async def wait(self) -> None:
        """Take longer than any test."""
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise

    @contextmanager
    def note_end(self, model: str) -> Iterator[None]:
        """Note the end of an endless stream."""
        try:
            yield
        finally:
            if model == "endless":
                self.ended.append("closed")

    def words(self, model: str, reply: Reply) -> Iterable[str]:
        """Return the texts of the chunks of an answer."""
        if model == "endless":
            return repeat("Anna " * 1_000)
        return WORDS if reply.text == TEXT else filter(None, [reply.text])

    async def go_on(self, model: str) -> None:
        """Do what the model does after each chunk."""
        if model == "breaks":
            raise ProviderUnavailableError("the connection was cut")
        if model == "slow":
            await self.wait()
        if model == "steady":
            await asyncio.sleep(0.5)
        if model == "endless":
            await asyncio.sleep(0)

    def reply(self, request: ChatRequest, model: str) -> Reply:
        """Return the answer to a request."""
        usage = None if model == "uncounted" else USAGE
        if request.tools and request.messages[-1].role != "tool" and request.tool_choice != "none":
            calls = tuple(
                ToolCall(id=f"call_{number}", name=tool.name, arguments=json.dumps(build_value(tool.parameters)))
                for number, tool in enumerate(request.tools)
            )
            return Reply(text="", finish_reason=FinishReason.TOOL_CALL, tool_calls=calls, usage=usage, model=model)
        text = TEXT if request.json_schema is None else json.dumps(build_value(request.json_schema))
        reason = FinishReason.LENGTH if model == "long" else FinishReason.STOP
        return Reply(text=text, finish_reason=reason, usage=usage, model=model, reasoning="Someone came.")


def build_value(schema: Any) -> Any:
    """Return a value that fits a JSON schema, as far as the tests use it."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: build_value(each) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [build_value(schema.get("items", {"type": "string"}))]
    return {"string": "text", "integer": 1, "number": 1.5, "boolean": True}[kind]
