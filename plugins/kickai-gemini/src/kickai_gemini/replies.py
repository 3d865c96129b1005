"""From the service's JSON to a reply: one `Gathering` for whole answers and for streams.

Pure, but for what a gathering remembers of one answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kickai_providers_core.errors import ContentFilteredError, InvalidReplyError
from kickai_providers_core.messages import FinishReason, Reply, ReplyChunk, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_gemini.mapping import Asked

__all__ = ["Gathering", "reply", "usage"]

BLOCKS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "JAILBREAK",
        "MODEL_ARMOR",
    }
)
"""The finish reasons that mean: the service withheld the answer (ai.google.dev/api/generate-content#FinishReason)."""

UNSAID = frozenset({"", "FINISH_REASON_UNSPECIFIED"})


def reply(response: Mapping[str, Any], asked: Asked) -> Reply:
    """Return a whole answer.

    Raises:
        ContentFilteredError: The prompt was refused, or the answer withheld.
        InvalidReplyError: There is no answer in it, or not a whole one.
    """
    gathering = Gathering(asked)
    chunk = gathering.add(response)
    return Reply(
        text=chunk.text,
        finish_reason=gathering.whole(),
        usage=chunk.usage,
        model=chunk.model,
        tool_calls=chunk.tool_calls,
        request_id=chunk.request_id,
        omitted=chunk.omitted,
    )


class Gathering:
    """What has come of one answer so far.

    Attributes:
        finish: Why the model stopped; None until the service says so.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._calls = 0
        self._text = False
        self.finish: FinishReason | None = None

    def add(self, response: Mapping[str, Any]) -> ReplyChunk:
        """Return one response of the service as a chunk.

        Raises:
            ContentFilteredError: The prompt was refused, or the rest of the answer is withheld.
            InvalidReplyError: It is no answer, or one that broke off, or the last one and nothing was said.
        """
        counted = usage(response)
        candidate = _candidate(response)
        parts = _mappings(_mapping(candidate.get("content")).get("parts"))
        calls = self._tool_calls(parts, str(response.get("responseId") or ""))
        text = "".join(str(part.get("text") or "") for part in parts if not part.get("thought"))
        self._text = self._text or bool(text)
        return ReplyChunk(
            text=text,
            finish_reason=self._finish(str(candidate.get("finishReason") or ""), counted),
            usage=counted,
            model=str(response.get("modelVersion") or self._asked.model),
            tool_calls=calls,
            request_id=response.get("responseId") or None,
            omitted=self._asked.omitted,
        )

    def whole(self) -> FinishReason:
        """Return why the model stopped, now that no more will come.

        Raises:
            InvalidReplyError: The service never said, so that something is missing.
        """
        if self.finish is None:
            raise InvalidReplyError("the answer was cut: it ended without a finish reason")
        return self.finish

    def _tool_calls(self, parts: list[Mapping[str, Any]], response_id: str) -> tuple[ToolCall, ...]:
        found = []
        for part in parts:
            call = _mapping(part.get("functionCall"))
            if call.get("name"):
                # Models before Gemini 3 name no calls; the response's own id keeps the names of two turns apart.
                name = call.get("id") or f"{response_id or 'call'}-{self._calls}"
                arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
                found.append(ToolCall(id=str(name), name=str(call["name"]), arguments=arguments))
                self._calls += 1
        return tuple(found)

    def _finish(self, reason: str, counted: Usage | None) -> FinishReason | None:
        if reason in UNSAID:
            return None
        if reason in BLOCKS:
            raise ContentFilteredError(f"Gemini withheld the answer: {reason}", reason=reason)
        if reason not in {"STOP", "MAX_TOKENS"}:
            raise InvalidReplyError(f"the model broke off: {reason}")
        if not self._calls and not self._text:
            raise InvalidReplyError(_nothing_said(reason, counted, self._asked.max_tokens))
        ends = {"STOP": FinishReason.TOOL_CALL if self._calls else FinishReason.STOP, "MAX_TOKENS": FinishReason.LENGTH}
        self.finish = ends[reason]
        return self.finish


def _candidate(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first candidate; a chunk of a stream may have none, and then only counts tokens."""
    candidates = _mappings(response.get("candidates"))
    if candidates:
        return candidates[0]
    feedback = response.get("promptFeedback")
    if isinstance(feedback, dict):
        reason = str(feedback.get("blockReason") or "BLOCK_REASON_UNSPECIFIED")
        raise ContentFilteredError(f"Gemini refused the prompt: {reason}", reason=reason)
    if not response.get("usageMetadata"):
        raise InvalidReplyError("the response has neither an answer nor a reason for having none")
    return {}


def _nothing_said(reason: str, counted: Usage | None, limit: int | None) -> str:
    if reason != "MAX_TOKENS":
        return "the answer is empty"
    spent = f"all {counted.reasoning_tokens} tokens" if counted and counted.reasoning_tokens else "all tokens"
    of = f" of max_tokens = {limit}" if limit is not None else ""
    return f"the answer is empty: thinking used {spent}{of}; raise max_tokens or lower thinking_level"


def usage(response: Mapping[str, Any]) -> Usage | None:
    """Return the tokens that a response counts, or None when it counts none.

    Thinking is billed as output. The old client drops the field that counts it, but not the total, of which it is
    what neither prompt nor answer account for.
    """
    counted = _mapping(response.get("usageMetadata"))
    if not counted:
        return None
    prompt = _tokens(counted, "promptTokenCount") + _tokens(counted, "toolUsePromptTokenCount")
    answer = _tokens(counted, "candidatesTokenCount")
    rest = max(0, _tokens(counted, "totalTokenCount") - prompt - answer)
    thinking = _tokens(counted, "thoughtsTokenCount") or rest
    return Usage(
        input_tokens=prompt,
        output_tokens=answer + thinking,
        cached_tokens=_tokens(counted, "cachedContentTokenCount"),
        reasoning_tokens=thinking,
    )


def _tokens(counted: Mapping[str, Any], name: str) -> int:
    value = counted.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
