"""The options that only this provider knows: ``options={"openai": {"reasoning_effort": "low"}}``. Pure data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONS"]

OPTIONS: Mapping[str, Any] = {
    "frequency_penalty": float,
    "presence_penalty": float,
    "repetition_penalty": float,
    "logit_bias": dict[str, float],
    "reasoning_effort": Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"],
    "verbosity": Literal["low", "medium", "high"],
    "parallel_tool_calls": bool,
    "service_tier": str,
    "top_k": int,
    "min_p": float,
    "extra_body": dict[str, Any],
}
"""The names and types of the options. Each service takes some of them; ``extra_body`` holds fields by any name."""
