"""What the status page shows: the chains with the health of their targets, and what the gateway has done."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kickai_providers_core import Target

from kickai_gateway.model_names import DEFAULT, ROLE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import Resolver
    from kickai_providers_core.resilience.health_report import HealthReport

    from kickai_gateway.board import Board
    from kickai_gateway.reloading import Generation

__all__ = ["FILES", "PAGE_HEADERS", "describe_status", "load_file"]

FILES: Mapping[str, tuple[str, str]] = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/status.css": ("status.css", "text/css; charset=utf-8"),
    "/status.js": ("status.js", "text/javascript; charset=utf-8"),
}
"""The files of the page, by path, with their types. They say nothing about the settings."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere is loaded. The report, which is shown in a frame, has its styles inline."""

PAGE_HEADERS = (
    (b"content-security-policy", POLICY.encode("ascii")),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)


def load_file(name: str) -> bytes:
    """Return a file of the page."""
    return (files("kickai_gateway") / "status_page" / name).read_bytes()


def describe_status(generation: Generation, board: Board) -> dict[str, Any]:
    """Return what the page shows, as JSON. It holds names and numbers; no prompt, answer or key."""
    resolver = generation.resolver
    health = resolver.health()
    status = resolver.store_status()
    return {
        "healthy": health.healthy,
        "workers": board.memory.parts,
        "store": None if status is None else {"working": not status.error, "error": status.error},
        "counters": _describe_counters(board),
        "chains": _describe_chains(resolver, generation, health),
    }


def _describe_counters(board: Board) -> dict[str, Any]:
    sums = board.metrics.sum_counters()
    answered = {key: value for key, value in sums.items() if key[0] == "requests" and key[1] in {"chat", "stream"}}
    failed = sum(value for key, value in answered.items() if key[2] not in {"200", "499"})
    return {
        "running": int(sums["running",]),
        "requests": int(sum(answered.values())),
        "failed": int(failed),
        "disconnected": int(sum(value for key, value in answered.items() if key[2] == "499")),
        "fallbacks": int(sums["fallbacks",]),
        "input_tokens": int(sums["input_tokens",]),
        "output_tokens": int(sums["output_tokens",]),
        "restarts": int(sums["restarts",]),
    }


def _describe_chains(resolver: Resolver, generation: Generation, health: HealthReport) -> list[dict[str, Any]]:
    providers = {each.provider: each for each in health.providers}
    targets = {(each.provider, each.model): each for each in health.targets}
    chains = []
    for name in (DEFAULT, *(f"{ROLE_PREFIX}{role}" for role in resolver.settings.roles)):
        described = []
        for text in generation.models.find(name).targets:
            target = Target.parse(text)
            known = [providers.get(target.provider), targets.get((target.provider, target.model))]
            worst = max(
                (each for each in known if each is not None), key=lambda each: each.available_in_s, default=None
            )
            described.append(
                {
                    "target": text,
                    "available": worst is None or worst.available,
                    "called": worst is not None,
                    "breaker": "closed" if worst is None else worst.breaker.value,
                    "reason": "" if worst is None else worst.reason,
                    "available_in_s": 0 if worst is None else round(worst.available_in_s, 1),
                }
            )
        chains.append({"model": name, "targets": described})
    return chains
