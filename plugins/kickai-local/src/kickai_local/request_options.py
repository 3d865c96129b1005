"""The options that only this provider knows: ``options={"local": {"top_k": 40}}``.

They are sampling parameters of llama.cpp: https://github.com/ggml-org/llama.cpp/tree/master/tools/server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONS"]

OPTIONS: Mapping[str, Any] = {
    "top_k": int,
    "min_p": float,
    "typical_p": float,
    "repeat_penalty": float,
    "repeat_last_n": int,
    "presence_penalty": float,
    "frequency_penalty": float,
    "logit_bias": dict[str, float],
}
"""The names and types of the options."""
