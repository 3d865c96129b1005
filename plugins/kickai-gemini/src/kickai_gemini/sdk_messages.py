"""The messages of ``google-generativeai``, which decide what can be sent with that client.

Importing this module imports them, which takes most of a second: only `kickai_gemini.client` does, when a provider is
created.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from google.ai.generativelanguage import GenerateContentRequest
from google.protobuf.json_format import MessageToDict, ParseError
from kickai_providers_core import UnsupportedRequestError
from kickai_providers_core.authoring import dump_bytes

if TYPE_CHECKING:
    from kickai_gemini.requests import GeminiRequest

__all__ = ["encode"]


def encode(request: GeminiRequest) -> bytes:
    """Return the body of a request: the JSON that the client's message makes of it.

    Raises:
        UnsupportedRequestError: The message cannot express it.
    """
    try:
        message = GenerateContentRequest.from_json(json.dumps({"model": request.resource, **request.body}))
        value = MessageToDict(GenerateContentRequest.pb(message))
    except (ParseError, UnicodeError, ValueError, RecursionError):
        value = None
    if value is None:  # outside of the handler: the client's words quote the request
        raise UnsupportedRequestError("google-generativeai cannot send this request")
    del value["model"]
    return dump_bytes(value)
