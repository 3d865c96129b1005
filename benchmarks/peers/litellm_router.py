"""LiteLLM: a ``Router`` with two deployments that its own mock answers for."""

from __future__ import annotations

import logging
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it asks the network for prices otherwise

import litellm
from litellm import Router
from measuring import PROMPT, report

litellm.suppress_debug_info = True
logging.disable(logging.ERROR)


def deployment(name: str, mock: str) -> dict[str, Any]:
    """Return a deployment that the mock answers for."""
    return {"model_name": name, "litellm_params": {"model": "openai/x", "api_key": "x", "mock_response": mock}}


router = Router(
    model_list=[
        deployment("well", "Ann"),
        deployment("ill", "litellm.InternalServerError"),
        deployment("other", "Ann"),
    ],
    fallbacks=[{"well": ["other"]}, {"ill": ["other"]}],
    num_retries=0,
    disable_cooldowns=True,
)
messages = [{"role": "user", "content": PROMPT}]
assert router.completion(model="ill", messages=messages).choices[0].message.content == "Ann"
report(
    {
        "bare": lambda: litellm.completion(model="openai/x", api_key="x", messages=messages, mock_response="Ann"),
        "healthy": lambda: router.completion(model="well", messages=messages),
        "first fails": lambda: router.completion(model="ill", messages=messages),
    },
    rounds=10,
)
