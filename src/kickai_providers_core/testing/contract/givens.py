"""What is the same in every test: the modes, what is asked, with which key, and how long that may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import fields

from kickai_providers_core.testing.faults import Fault, Status
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["GRACE_S", "KEY", "MODES", "PROMPT", "PROMPT_S", "QUICK_S", "STREAMS", "id_of"]

MODES: tuple[Mode, ...] = ("invoke", "ainvoke", "stream", "astream")
STREAMS: tuple[Mode, ...] = ("stream", "astream")

KEY = Secret("canary-key-5c1e93b7d2")
"""What the provider authenticates with; found anywhere else than in a request's headers, it has leaked."""

PROMPT = "canary-prompt: who can play on Saturday?"
"""What it is asked."""

PROMPT_S = 10.0
"""The timeout of calls that are answered at once: long, so that a slow machine fails no test."""

QUICK_S = 1.0
"""The most that creating, validating offline and cleaning up may take; the core waits 0.25 s for a clean-up."""

GRACE_S = 2.0
"""How much longer than its timeout the kit waits for a call before it gives up on it, where no limit is tested."""


def id_of(value: object) -> str:
    """Return the name of a parameter of a test: a fault's class, and what is said of it."""
    if isinstance(value, Status):
        return str(value.code)
    if not isinstance(value, Fault):
        return str(value)
    said = (getattr(value, field.name) for field in fields(type(value)))
    return "-".join([type(value).__name__, *(str(part) for part in said if isinstance(part, (int, float, str)))])
