"""OpenAI's Chat Completions protocol, which many services speak: requests, whole replies and streams. No I/O.

See https://platform.openai.com/docs/api-reference/chat. Nothing that a service sends is trusted, and nothing of an
answer is skipped: what the protocol does not allow is an `InvalidReplyError`, except for details that this project has
no use for, such as log probabilities.
"""

from __future__ import annotations

from kickai_providers_core.authoring.openai_chat.events import DONE, adecode_stream, decode_stream, parse_event
from kickai_providers_core.authoring.openai_chat.replies import ChatDecoder, decode, finish_reason_for
from kickai_providers_core.authoring.openai_chat.requests import encode

__all__ = [
    "DONE",
    "ChatDecoder",
    "adecode_stream",
    "decode",
    "decode_stream",
    "encode",
    "finish_reason_for",
    "parse_event",
]
