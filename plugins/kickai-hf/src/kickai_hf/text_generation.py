"""TGI's text generation protocol (https://huggingface.co/docs/text-generation-inference), without chat. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core import InvalidReplyError, ReplyChunk, UnsupportedRequestError, Usage
from kickai_providers_core.authoring import ReplyBuilder, error_for_body, openai_chat

from kickai_hf.request_options import find_text_options
from kickai_hf.templates import TEMPLATES

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest

    from kickai_hf.settings import HuggingFaceSettings, Template

__all__ = ["TextDecoder", "encode"]


def encode(request: ChatRequest, settings: HuggingFaceSettings, *, is_stream: bool) -> dict[str, Any]:
    """Return the body of a request.

    Raises:
        UnsupportedRequestError: It has tools or images, which cannot be written as plain text.
    """
    if request.tools or any(m.images or m.tool_calls or m.role == "tool" for m in request.messages):
        raise UnsupportedRequestError("a server that only completes text accepts no tools and no images")
    template = TEMPLATES[settings.template]
    is_greedy = request.temperature == 0  # TGI rejects 0, and decodes greedily when it does not sample
    parameters = {
        "details": True,
        "return_full_text": False,
        "do_sample": False if is_greedy else None,
        "temperature": None if is_greedy else request.temperature,
        "max_new_tokens": request.max_tokens,
        "top_p": None if request.top_p == 1 else request.top_p,  # TGI rejects 1, which is the same as no limit
        "seed": request.seed,
        "stop": [*request.stop, *template.stop],
        "grammar": None if request.json_schema is None else {"type": "json", "value": request.json_schema},
        **find_text_options(request),
    }
    stated = {name: value for name, value in parameters.items() if value is not None}
    return {"inputs": template.render(request.messages), "parameters": stated, "stream": is_stream}


class TextDecoder:
    """Turns the documents of a response into chunks. Not safe to share between threads or tasks.

    Args:
        request: What was requested.
        template: The template of the prompt; text from its stop texts on is dropped.
        is_stream: Whether the documents are events of a stream.

    Attributes:
        builder: What gathers the answer.
    """

    def __init__(self, request: ChatRequest, template: Template, *, is_stream: bool) -> None:
        self.builder = ReplyBuilder(request, stop=(*request.stop, *TEMPLATES[template].stop))
        self._is_stream = is_stream

    @property
    def is_finished(self) -> bool:
        """Whether the service has stated a finish reason and has sent nothing of the answer since."""
        return self.builder.is_finished

    def add(self, document: object) -> ReplyChunk | None:
        """Take the next document; return a chunk, or None when the document brings nothing.

        Raises:
            InvalidReplyError: It is not what the protocol allows.
            ProviderError: It reports an error.
        """
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        if not isinstance(document, dict):
            raise _build_malformed_error("it is not an object")
        if document.get("error"):
            raise error_for_body(document)
        details, token = document.get("details"), document.get("token")
        if self._is_stream and token is not None:
            text = _read_token_text(token)
        elif "generated_text" in document or details is not None:
            text = _read_text(document.get("generated_text"), "generated_text")
        else:
            raise _build_malformed_error("it has neither token nor generated_text")
        new = self.builder.add_text(text)
        reason = self._add_details(details) if details is not None else ""
        return ReplyChunk(text=new, request_id=self.builder.request_id) if text or reason else None

    def finish(self) -> ReplyChunk:
        """Return the last chunk.

        Raises:
            InvalidReplyError: The answer is cut, empty, or does not keep to the request.
        """
        return self.builder.build_last_chunk()

    def _add_details(self, details: object) -> str:
        """Take the finish reason and the token counts; return the former."""
        if not isinstance(details, dict):
            raise _build_malformed_error("details is not an object")
        reason = _read_text(details.get("finish_reason"), "finish_reason")
        if reason:
            self.builder.finish(openai_chat.finish_reason_for(reason))
        prefill = details.get("prefill")
        prompt = _read_count(details.get("input_length")) or (len(prefill) if isinstance(prefill, list) else 0)
        answer = _read_count(details.get("generated_tokens"))
        if prompt and answer is not None:
            self.builder.usage = Usage(input_tokens=prompt, output_tokens=answer)
        return reason


def _read_token_text(token: object) -> str:
    if not isinstance(token, dict):
        raise _build_malformed_error("token is not an object")
    text = _read_text(token.get("text"), "a token's text")
    return "" if token.get("special") is True else text


def _read_text(value: object, what: str) -> str:
    if value is not None and not isinstance(value, str):
        raise _build_malformed_error(f"{what} is not text")
    return value or ""


def _read_count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _build_malformed_error(what: str) -> InvalidReplyError:
    return InvalidReplyError(f"the answer is not what the protocol allows: {what}")
