"""The text of a new settings file, from the providers that are installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Found", "choose_order", "render_settings"]

PREFERRED = ("huggingface", "gemini", "openai", "ollama", "local")
"""The order in which the providers of this project are called; others come next, by name."""

LOCAL = ("ollama", "local")
"""Providers that need no key. They are called last: nobody may have started or downloaded a model."""

TEST_PROVIDERS = ("mock",)
"""Providers that call no model; they are chosen only when nothing else is installed."""


@frozen
class Found:
    """An installed provider.

    Attributes:
        name: Its name.
        summary: What it is, in one line.
        missing: What it needs before it can be used: variables, or what else is wrong. Empty when it is ready.
        variables: The environment variables that it reads, the most important first.
        timeout_s: Its own default for the time limit of one attempt.
    """

    name: str
    summary: str
    missing: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    timeout_s: float = 10.0


def choose_order(found: Iterable[Found]) -> tuple[Found, ...]:
    """Return the providers in the order in which they are called: those whose keys are set first, local ones last."""

    def rank(provider: Found) -> tuple[bool, bool, int, str]:
        place = PREFERRED.index(provider.name) if provider.name in PREFERRED else len(PREFERRED)
        return provider.name in LOCAL, bool(provider.missing), place, provider.name

    ordered = sorted(found, key=rank)
    real = [provider for provider in ordered if provider.name not in TEST_PROVIDERS]
    return tuple(real or ordered)


def render_settings(order: Sequence[Found]) -> str:
    """Return the text of a settings file that calls these providers in order. It holds no key."""
    return "\n".join([HEAD, *_render_kickai(order), *_render_providers(order), TAIL])


def _render_kickai(order: Sequence[Found]) -> list[str]:
    if not order:
        return [
            "[kickai]",
            "# No provider is installed yet: kickai providers --available lists them.",
            '# primary = "huggingface"            # called first',
            '# fallback = ["gemini"]              # called next, in order',
            DEADLINE,
        ]
    primary, *others = order
    names = ", ".join(json.dumps(other.name) for other in others)
    return [
        "[kickai]",
        f"primary = {json.dumps(primary.name)}  # called first",
        f"fallback = [{names}]  # called next, in order; [] for none",
        DEADLINE,
    ]


def _render_providers(order: Sequence[Found]) -> list[str]:
    lines = ["", "# Keys come from the environment, or from a file .env next to this one. Do not write them here."]
    for provider in order:
        lines += ["", f"# [providers.{provider.name}]  # {provider.summary}"]
        if provider.missing:
            lines.append(f"# not configured yet: {'; '.join(provider.missing)}")
        if provider.variables:
            lines.append(f"# reads {', '.join(provider.variables)}")
        lines += [f"# timeout_s = {provider.timeout_s:g}  # time limit of one attempt", "# requests_per_minute = 60"]
    return lines if order else []


DEADLINE = "# deadline_s = 30  # time limit of a whole request, with retries and fallbacks"

HEAD = """\
# Settings of kickai-providers-core. Lines with # show what else can be set; all settings are in docs/configuration.md.
# kickai doctor checks them.
"""

TAIL = """
[store]
# Keeps metrics, rollouts, and shared health and limits. The path is relative to this file; add it to .gitignore.
url = "sqlite:///kickai.db"
# keep_days = 400  # days after which metrics are deleted

# Changes single values of a built-in role; kickai roles lists the roles.
# [roles.player_coordinator]
# max_tokens = 400

# [breaker]
# max_errors = 5  # failures after which a service is not called for a while

# [hedging]
# after = "p95"  # call a second provider when the first one is slow

# Shifts traffic step by step: kickai rollout --help.
# [rollout]
# candidate = "huggingface"
# share = "1%"

# [rollout.guard]
# floor = 0.95  # the success rate below which the rollout goes back

# [monitor]
# on_alert = ["./notify.sh"]  # run when the guard changes a rollout
"""
