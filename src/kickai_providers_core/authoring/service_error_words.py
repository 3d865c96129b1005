"""The words of services in the bodies of their errors, and what they mean. No I/O.

The patterns are those of OpenAI's API and of the servers and services that imitate it, of Google, Hugging Face, Ollama
and llama.cpp.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kickai_providers_core.values.errors import (
    AuthenticationError,
    ContentFilteredError,
    ContextLengthExceededError,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_context_window", "find_errors", "find_refused_parameter", "find_words"]

_WORDS_IN = (
    "error",
    "errors",
    "message",
    "msg",
    "detail",
    "details",
    "type",
    "error_type",
    "code",
    "reason",
    "status",
    "param",
)
"""The members of an error's body that hold the service's own words; others may repeat the prompt."""

PARAMETERS = (
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_tokens",
    "num_predict",
    "maxOutputTokens",
    "temperature",
    "top_p",
    "topP",
    "top_k",
    "topK",
    "stop_sequences",
    "stopSequences",
    "stop",
    "seed",
    "tool_choice",
    "tools",
    "response_format",
    "json_schema",
    "frequency_penalty",
    "presence_penalty",
    "parallel_tool_calls",
    "stream_options",
    "stream",
    "logprobs",
    "image_url",
    "tool_call_id",
    "grammar",
    "messages",
    "model",
    "n",
)
"""Names of the protocols, which a message may repeat."""

_PARAMETER = re.compile(rf"(?<![\w.])({'|'.join(PARAMETERS[:-1])})(?![\w])|[`'\"](n)[`'\"]")
_LIMIT = re.compile(
    r"(?:at most|at least|no more than|up to|less than(?: or equal to)?|greater than(?: or equal to)?"
    r"|must be (?:<=|<|>=|>)|maximum(?: (?:value|allowed))?(?: (?:of|is))?|limit(?:ed)?(?: (?:of|is|to))?"
    r"|cannot exceed|exceeds)\s*:?\s*"
    r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\b",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:maximum context length is|must be <=|must have less than|available context size \("
    r"|tokens allowed \(|(?:size|length|window) \()\s*([0-9]{1,9})",
    re.IGNORECASE,
)

# The most specific first.
_MEANINGS: tuple[tuple[str, type[ProviderError]], ...] = (
    (
        (
            r"context_length_exceeded|maximum context length|exceed_context_size|available context size"
            r"|context (?:length|window|size)|(?:prompt|input) is too long|inputs?` (?:tokens|must have less)"
            r"|input token count|reduce the length of (?:the|your) (?:messages|prompt)"
        ),
        ContextLengthExceededError,
    ),
    (
        r"content[ _](?:filter|policy|management)|responsibleai|content_moderation|requires moderation|was flagged",
        ContentFilteredError,
    ),
    (r"invalid[_ ]api[_ ]key|api_key_invalid|api key not valid|incorrect api key", AuthenticationError),
    (
        (
            r"model_not_supported|model_not_found|model_decommissioned"
            r"|is not a chat model|not supported by any provider"
            r"|the model [^ ]{1,200} does not exist"  # a name may contain a dot
            r"|model[^.]{0,80}(?:does not exist|not found|is not available|deprecated)"
            r"|(?:no|not have) (?:access|permission)[^.]{0,30} model|access to model|gated ?repo"
            r"|model_(?:access_denied|terms_required)"
            r"|(?:access|permission|permitted|allowed|entitled|authorized|enabled)\b.{0,60}\bmodel\b"
            r"|\bmodel\b.{0,200}\b(?:not (?:allowed|permitted|available|enabled)|no access|access denied|restricted)"
        ),
        ModelNotFoundError,
    ),
    # llama.cpp, for tools without a template and for the tool calls of a conversation; Ollama's OpenAI endpoint
    (
        r"requires --jinja|does not support tools|failed to parse tool call arguments",
        UnsupportedRequestError,
    ),
    (r"incomplete_generation", InvalidReplyError),  # TGI, within a stream
    (
        r"insufficient_quota|monthly included credits|exceeded your current quota|usage limit|billing",
        QuotaExhaustedError,
    ),
    (r"\bper[ -]?day\b|\bdaily\b|\((?:tpd|rpd)\)", QuotaExhaustedError),
    (r"rate[ _-]?limit|too many requests|\boverloaded\b", RateLimitedError),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _MEANINGS)


def find_refused_parameter(words: str) -> str:
    """Return the parameter that a service refuses and its limit, as ``: max_tokens, limit 4096``; empty when unknown.

    Both come from closed sets: names of the protocols, and a number after a phrase such as "at most".
    """
    parameter = _PARAMETER.search(words)
    if parameter is None:
        return ""
    limit = _LIMIT.search(words)
    return f": {parameter[1] or parameter[2]}" + (f", limit {limit[1]}" if limit else "")


def find_words(body: object, depth: int = 4) -> Iterator[str]:
    """Yield the service's own words in the JSON value of an error's body."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list) and depth:
        for item in body:
            yield from find_words(item, depth - 1)
    elif isinstance(body, dict) and depth:
        for name in _WORDS_IN:
            if name in body:
                yield from find_words(body[name], depth - 1)


def find_errors(words: str) -> Iterator[type[ProviderError]]:
    """Yield the errors that a service's words may mean, the most specific first."""
    return (kind for pattern, kind in _PATTERNS if pattern.search(words))


def find_context_window(words: str) -> int | None:
    """Return the size of the context window that a service's words state, in tokens; None when they do not."""
    found = _WINDOW.search(words)
    return int(found[1]) if found else None
