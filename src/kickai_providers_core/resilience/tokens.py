"""How large a request is at least, without a tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["CHARACTERS_PER_TOKEN", "least_tokens"]

CHARACTERS_PER_TOKEN = 6
"""More characters than a token stands for on average in any language.

English has about 4 ("What are tokens and how to count them?", OpenAI help center), code and most other languages have
fewer, Chinese and Japanese between 1 and 2. Each model counts differently, so that the estimate stays below them all:
what it calls too large is too large, and what it lets through may still be.
"""


def least_tokens(request: ChatRequest) -> int:
    """Return a number of tokens that the prompt has at least: its texts, tools and schema; images count nothing.

    It looks at lengths alone, so that its cost grows with the number of messages and not with their size.
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
