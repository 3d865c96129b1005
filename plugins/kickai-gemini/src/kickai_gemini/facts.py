"""What a refusal says about the request, in words of a closed vocabulary.

The service's own words may quote the prompt, so they are not repeated. Which parameter it names, and which limit, is
worth knowing and cannot be a quotation: the words are those of this module, and a limit is a number.
"""

from __future__ import annotations

import re

__all__ = ["accepts_not"]

PARAMETERS = {
    "max_tokens": ("max_output_tokens", "maxOutputTokens", "max_tokens"),
    "temperature": ("temperature",),
    "top_p": ("top_p", "topP"),
    "top_k": ("top_k", "topK"),
    "stop": ("stop_sequences", "stopSequences"),
    "seed": ("seed",),
    "json_schema": (
        "response_schema",
        "responseSchema",
        "response_json_schema",
        "responseJsonSchema",
        "response_mime_type",
        "responseMimeType",
        "JSON mode",
    ),
    "tools": ("function_declarations", "functionDeclarations", "Function calling", "parameters_json_schema"),
    "tool_choice": ("tool_config", "toolConfig", "function_calling_config", "allowed_function_names"),
    "thinking_level": ("thinking_config", "thinkingConfig", "thinking_level", "thinkingLevel", "Thinking level"),
    "thought_signature": ("thought_signature", "thoughtSignature"),
    "system": ("system_instruction", "systemInstruction", "Developer instruction"),
    "images": ("inline_data", "inlineData", "mime_type", "mimeType", "image"),
}
"""The request's fields, and what the API calls them in its messages."""

LIMIT = re.compile(
    r"(?:at most|maximum(?: value| allowed)?(?: is| of)?|less than or equal to|no more than|must be <=|up to"
    r"|\(inclusive\) to|cannot exceed|must not exceed)\s+(\d{1,9}(?:\.\d{1,6})?)\b"
)


def accepts_not(message: str) -> str:
    """Return a sentence that says what the service does not accept, as far as its message names it."""
    found = [
        name
        for name, words in PARAMETERS.items()
        if any(re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", message) for word in words)
    ]
    limit = LIMIT.search(message)
    facts = [*found, *([f"limit {limit[1]}"] if limit and found else [])]
    return "the service does not accept this request" + (f": {', '.join(facts)}" if facts else "")
