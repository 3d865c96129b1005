"""Roles as values, and the catalogue of roles that is shipped: the ten agents of a football-team assistant.

A role says how a model is to be asked; its group says why with that temperature. The shipped catalogue keeps
the names of the models that it was planned with. Some have been retired since: `Catalogue.successors` says what is
called in their place, so that the plan can be read and the calls still work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen
from attrs.validators import ge, le

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from attrs import Attribute

    from kickai_providers_core.values.targets import Target

__all__ = ["KICKAI", "Catalogue", "Group", "Role"]

MAX_TEMPERATURE = 2.0
"""The highest temperature that any of the known services takes (OpenAI's and Google's references say 2)."""

IN_RANGE: tuple[Callable[[Any, Attribute[Any], Any], Any], ...] = (ge(0), le(MAX_TEMPERATURE))
"""The validators of a temperature."""


@frozen(kw_only=True)
class Group:
    """Roles that want the same temperature.

    Attributes:
        temperature: From 0 to 2; the temperature of each of its roles that sets none.
        reason: Why this temperature, as half a sentence.
    """

    temperature: float = field(validator=IN_RANGE)
    reason: str = ""


@frozen(kw_only=True)
class Role:
    """How one agent's requests are asked.

    Attributes:
        name: The agent's name.
        group: The name of its group; empty for none.
        temperature: From 0 to 2.
        max_tokens: The most tokens of an answer, from 1.
        models: By a provider's kind, or by an instance's name, the models to ask it for: the role's own, then its
            backups.
        planned: By the same keys, the model that the role was planned with, where it is retired and ``models`` has its
            successor.
        prefers: The instance, or the kind of instance, that is asked first when the chain has it; None for the
            order of the settings.
        chain: The targets to ask, when they are not the settings' primary and fallback; None for these.
    """

    name: str
    group: str = ""
    temperature: float = field(default=0.3, validator=IN_RANGE)
    max_tokens: int = field(default=500, validator=ge(1))
    models: Mapping[str, tuple[str, ...]] = field(factory=dict)
    planned: Mapping[str, str] = field(factory=dict)
    prefers: str | None = None
    chain: tuple[Target, ...] | None = None


@frozen(kw_only=True)
class Catalogue:
    """Roles that are used together.

    Attributes:
        name: What ``[kickai] catalogue`` calls it.
        groups: Its groups by name.
        roles: Its roles by name.
        default: The role of everyone who has none here.
        successors: From the name of a retired model to the one to call instead.
    """

    name: str
    groups: Mapping[str, Group] = field(factory=dict)
    roles: Mapping[str, Role] = field(factory=dict)
    default: Role = field(factory=lambda: Role(name="default"))
    successors: Mapping[str, str] = field(factory=dict)


def living(successors: Mapping[str, str], model: str) -> str:
    """Return the model to call for a name that may be retired: the last of its successors."""
    seen = {model}
    while (successor := successors.get(model)) is not None and successor not in seen:
        seen.add(successor)
        model = successor
    return model


def revived(role: Role, successors: Mapping[str, str]) -> Role:
    """Return the role with the successor of every retired model, and with the name each was planned with."""
    models = {
        kind: tuple(dict.fromkeys(living(successors, name) for name in names)) for kind, names in role.models.items()
    }
    retired = {kind: names[0] for kind, names in role.models.items() if names and models[kind][0] != names[0]}
    return evolve(role, models=models, planned={**role.planned, **retired})


_QWEN_SMALL = "Qwen/Qwen2.5-1.5B-Instruct"
_QWEN_MEDIUM = "Qwen/Qwen2.5-3B-Instruct"
_GEMMA = "google/gemma-2-2b-it"
_GEMINI = "gemini-1.5-flash"

# Small models come and go on the free tier; these are served widely, and are asked before another provider is.
# The last answers with reasoning tokens of its own, which a limit of a few hundred would not leave room for: it backs
# up only the roles that may write at length.
_BACKUPS = {
    _QWEN_SMALL: ("Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    _QWEN_MEDIUM: ("Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    _GEMMA: ("meta-llama/Llama-3.1-8B-Instruct", "openai/gpt-oss-20b"),
}

_GROUPS = {
    "data-critical": Group(temperature=0.1, reason="names, dates and sums must be repeated, never invented"),
    "onboarding": Group(temperature=0.2, reason="fixed steps in a friendly voice"),
    "administrative": Group(temperature=0.3, reason="plain messages that may be worded freely but not loosely"),
    "creative": Group(temperature=0.7, reason="several ideas to choose from are worth more than one safe answer"),
}

_PLAN = (
    ("player_coordinator", "data-critical", 500, _QWEN_SMALL),
    ("message_processor", "data-critical", 300, _QWEN_SMALL),
    ("help_assistant", "data-critical", 800, _QWEN_SMALL),
    ("finance_manager", "data-critical", 400, _QWEN_SMALL),
    ("onboarding_agent", "onboarding", 700, _QWEN_MEDIUM),
    ("team_manager", "administrative", 600, _QWEN_MEDIUM),
    ("availability_manager", "administrative", 500, _QWEN_MEDIUM),
    ("performance_analyst", "creative", 1000, _GEMMA),
    ("learning_agent", "creative", 800, _GEMMA),
    ("squad_selector", "creative", 600, _GEMMA),
)

# Google's list of deprecations (https://ai.google.dev/gemini-api/docs/deprecations): the 1.0 and 1.5 models are gone,
# 2.0 was shut down on 2026-06-01. Successors are generally available, and of the same size as far as there is one.
_FLASH = (
    "gemini-1.5-flash",
    "gemini-1.5-flash-latest",
    "gemini-1.5-flash-001",
    "gemini-1.5-flash-002",
    "gemini-1.5-flash-8b",
    "gemini-2.0-flash",
    "gemini-2.0-flash-001",
    "gemini-2.0-flash-lite",
    "gemini-2.0-flash-lite-001",
)
_PRO = ("gemini-pro", "gemini-1.0-pro", "gemini-1.5-pro", "gemini-1.5-pro-latest", "gemini-1.5-pro-002")
_SUCCESSORS = {**dict.fromkeys(_FLASH, "gemini-3.5-flash-lite"), **dict.fromkeys(_PRO, "gemini-3.8-flash")}


def _planned(name: str, group: str, max_tokens: int, model: str) -> Role:
    models = {"huggingface": (model, *_BACKUPS[model]), "gemini": (_GEMINI,)}
    return Role(name=name, group=group, temperature=_GROUPS[group].temperature, max_tokens=max_tokens, models=models)


KICKAI = Catalogue(
    name="kickai",
    groups=_GROUPS,
    roles={row[0]: _planned(*row) for row in _PLAN},
    default=Role(name="default", temperature=0.3, max_tokens=500, models={"gemini": (_GEMINI,)}, prefers="gemini"),
    successors=_SUCCESSORS,
)
"""The shipped catalogue, with the models' names as they were planned."""
