"""The tokens that are set aside for a request before it is sent: of its prompt, and of an answer without a limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kickai_providers_core import ChatRequest

__all__ = ["DEFAULT_MAX_TOKENS", "estimate_max_input_tokens"]

DEFAULT_MAX_TOKENS = 4_096
"""The token limit of an answer when neither the request nor the role states one, and the key has a budget."""

MESSAGE_TOKENS = 16
"""What a chat template adds to a message, at most."""

IMAGE_TOKENS = 10_000
"""More than any documented model counts for an image; unlike text, an image has no bound by its size."""


def estimate_max_input_tokens(request: ChatRequest) -> int:
    """Return an upper bound of the tokens of a request: tokens of text have at least one byte."""
    total = 0
    for message in request.messages:
        texts = [message.content, *(call.name + call.arguments for call in message.tool_calls)]
        total += MESSAGE_TOKENS + sum(len(text.encode("utf-8", "replace")) for text in texts)
        total += IMAGE_TOKENS * len(message.images)
    for tool in request.tools:
        described = json.dumps([tool.name, tool.description, tool.parameters])
        total += MESSAGE_TOKENS + len(described)
    if request.json_schema is not None:
        total += len(json.dumps(request.json_schema))
    return total
