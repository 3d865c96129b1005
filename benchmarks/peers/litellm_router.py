"""LiteLLM: a ``Router`` with two deployments that LiteLLM itself mocks."""

from __future__ import annotations

import logging
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it downloads a price list

import litellm
from litellm import Router
from measuring import PROMPT, report

litellm.suppress_debug_info = True
logging.disable(logging.ERROR)


def create_deployment(name: str, mock: str) -> dict[str, Any]:
    """Return a deployment with a mocked response."""
    return {"model_name": name, "litellm_params": {"model": "openai/x", "api_key": "x", "mock_response": mock}}


router = Router(
    model_list=[
        create_deployment("healthy", "Ann"),
        create_deployment("failing", "litellm.InternalServerError"),
        create_deployment("other", "Ann"),
    ],
    fallbacks=[{"healthy": ["other"]}, {"failing": ["other"]}],
    num_retries=0,
    disable_cooldowns=True,
)
messages = [{"role": "user", "content": PROMPT}]
assert router.completion(model="failing", messages=messages).choices[0].message.content == "Ann"
report(
    {
        "bare": lambda: litellm.completion(model="openai/x", api_key="x", messages=messages, mock_response="Ann"),
        "healthy": lambda: router.completion(model="healthy", messages=messages),
        "first fails": lambda: router.completion(model="failing", messages=messages),
    },
    rounds=10,
)
