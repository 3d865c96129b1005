"""What the drill calls: two simulated providers with seeded faults, three roles, and some hundred users."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from kickai_providers_core.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["CANDIDATE", "CONTROL", "KEYS", "ROLES", "STORE", "choose_settings", "write_settings"]

CANDIDATE, CONTROL = "huggingface", "gemini"
"""The instances. Both are simulated by kickai-mock."""

ROLES = ("team_manager", "squad_selector", "player_coordinator")

KEYS = tuple(f"user-{number}" for number in range(400))

STORE = "kickai.db"

FAULTS = {CANDIDATE: {"timeout": 0.01, "unavailable": 0.01}, CONTROL: {"unavailable": 0.005}}
"""The share of calls that fail in ordinary times, by instance."""

LATENCY_S = {CANDIDATE: 0.002, CONTROL: 0.003}


def choose_settings(folder: Path, seed: int, answer: Callable[[str, ChatRequest], str]) -> dict[str, Any]:
    """Return the settings of a worker.

    Args:
        folder: The folder of the drill.
        seed: The seed of the faults and latencies.
        answer: Called with the instance and the request; returns the answer, or raises an error.
    """
    from kickai_mock import MockInCode  # noqa: PLC0415  only the drill needs it

    def build(name: str) -> Any:
        return MockInCode(
            kind="mock",
            model="simulated",
            seed=seed,
            rates=FAULTS[name],
            latency_s=LATENCY_S[name],
            latency_sigma=0.5,
            answer=partial(answer, name),
            keep_calls=0,
        )

    return {
        "kickai": {"primary": CONTROL, "fallback": [CANDIDATE], "plugins": ["mock"]},
        "providers": {name: build(name) for name in (CONTROL, CANDIDATE)},
        "breaker": {"cooldown_s": 1.0, "max_cooldown_s": 2.0},
        "store": {"url": f"sqlite:///{folder / STORE}"},
    }


def write_settings(folder: Path) -> None:
    """Write the settings file that the commands of the operator read, with invented prices for the candidate."""
    models = sorted({model for role in map(Settings().role, ROLES) for model in role.models[CANDIDATE]})
    prices = "\n".join(
        f'"{each}" = {{ input_usd_per_million = 0.05, output_usd_per_million = 0.1 }}' for each in models
    )
    text = f"""\
[kickai]
primary = "{CONTROL}"
fallback = ["{CANDIDATE}"]
plugins = ["mock"]

[providers.{CONTROL}]
kind = "mock"
model = "simulated"

[providers.{CANDIDATE}]
kind = "mock"
model = "simulated"

[store]
url = "sqlite:///{STORE}"

[prices.models]
{prices}
"""
    (folder / "kickai.toml").write_text(text, encoding="utf-8")
