"""Which of a request's parameters the service refuses, in words of a closed vocabulary.

The service's own words may quote the prompt, so they are not repeated. The parameter that they name, and its limit,
cannot be a quotation: the names are those of this module, and a limit is a number.
"""

from __future__ import annotations

import re

__all__ = ["describe_refused_parameters"]

API_NAMES = {
    "max_tokens": "max_output_tokens|maxOutputTokens|max_tokens",
    "temperature": "temperature",
    "top_p": "top_p|topP",
    "top_k": "top_k|topK",
    "stop": "stop_sequences|stopSequences",
    "seed": "seed",
    "json_schema": (
        "response_schema|responseSchema|response_json_schema|responseJsonSchema|response_mime_type|responseMimeType"
        "|JSON mode"
    ),
    "tools": "function_declarations|functionDeclarations|Function calling|parameters_json_schema",
    "tool_choice": "tool_config|toolConfig|function_calling_config|allowed_function_names",
    "thinking_level": "thinking_config|thinkingConfig|thinking_level|thinkingLevel|Thinking level",
    "thought_signature": "thought_signature|thoughtSignature",
    "system": "system_instruction|systemInstruction|Developer instruction",
    "images": "inline_data|inlineData|mime_type|mimeType|image",
}
"""The request's fields, and the names that the API's messages give them."""

PATTERNS = {name: re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])") for name, words in API_NAMES.items()}
LIMIT = re.compile(
    r"(?:at most|maximum(?: value| allowed)?(?: is| of)?|less than or equal to|no more than|must be <=|up to"
    r"|\(inclusive\) to|cannot exceed|must not exceed)\s+(\d{1,9}(?:\.\d{1,6})?)\b"
)


def describe_refused_parameters(message: str) -> str:
    """Return what a message names, as ``: max_tokens, limit 8192``; empty when it names no parameter."""
    names = [name for name, pattern in PATTERNS.items() if pattern.search(message)]
    limit = LIMIT.search(message)
    details = [*names, *([f"limit {limit[1]}"] if limit and names else [])]
    return f": {', '.join(details)}" if details else ""
