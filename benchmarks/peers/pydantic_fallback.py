"""pydantic-ai: two function models with constant answers, in a ``FallbackModel``. It is asynchronous only."""

from __future__ import annotations

import asyncio
from typing import Any

from measuring import PROMPT, report
from pydantic_ai import ModelHTTPError
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel


async def answer(*_args: Any) -> ModelResponse:
    """Answer."""
    return ModelResponse(parts=[TextPart("Ann")])


async def fail(*_args: Any) -> ModelResponse:
    """Fail."""
    raise ModelHTTPError(status_code=503, model_name="failing")


model = FunctionModel(answer)
healthy, falling = (
    FallbackModel(model, FunctionModel(answer)),
    FallbackModel(FunctionModel(fail), FunctionModel(answer)),
)
messages = [ModelRequest.user_text_prompt(PROMPT)]
loop = asyncio.new_event_loop()
assert loop.run_until_complete(model_request(falling, messages)).parts == [TextPart("Ann")]
report(
    {
        "bare": lambda: model_request(model, messages),
        "healthy": lambda: model_request(healthy, messages),
        "first fails": lambda: model_request(falling, messages),
    },
    loop=loop,
)
