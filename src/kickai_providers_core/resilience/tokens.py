"""A lower bound of the tokens of a request, without a tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["CHARACTERS_PER_TOKEN", "estimate_min_tokens"]

CHARACTERS_PER_TOKEN = 6
"""More characters than a token has on average in any language.

English has about 4 ("What are tokens and how to count them?", OpenAI help center), code and most other languages have
fewer, Chinese and Japanese between 1 and 2. The estimate is below the count of every model: what it finds too large is
too large, and what it admits may still be.
"""


def estimate_min_tokens(request: ChatRequest) -> int:
    """Return a lower bound of the prompt's tokens: its texts, tools and schema. Images count 0.

    It uses lengths only, so its cost grows with the number of messages and not with their size.
    """
    characters = 0
    for message in request.messages:
        characters += len(message.content)
        for call in message.tool_calls:
            characters += len(call.name) + len(call.arguments)
    for tool in request.tools:
        characters += len(tool.name) + len(tool.description) + len(str(tool.parameters))
    if request.json_schema is not None:
        characters += len(str(request.json_schema))
    return characters // CHARACTERS_PER_TOKEN
