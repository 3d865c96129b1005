"""The names of the migration plan: providers and agent roles."""

from __future__ import annotations

from enum import StrEnum

from kickai_providers_core.values.validation import hide_arguments, require_text

__all__ = ["AIProvider", "AgentRole", "to_ai_provider", "to_name"]


class AIProvider(StrEnum):
    """The providers that the migration plan names. Each member is the name of an instance in the settings.

    Other instances are plain text: wherever a function takes an `AIProvider`, it takes any name of the settings.
    """

    HUGGINGFACE = "huggingface"
    GEMINI = "gemini"
    OLLAMA = "ollama"
    MOCK = "mock"


class AgentRole(StrEnum):
    """The ten agents, in the order of the migration plan. Each member is the name of a role in the settings."""

    PLAYER_COORDINATOR = "player_coordinator"
    MESSAGE_PROCESSOR = "message_processor"
    HELP_ASSISTANT = "help_assistant"
    FINANCE_MANAGER = "finance_manager"
    ONBOARDING_AGENT = "onboarding_agent"
    TEAM_MANAGER = "team_manager"
    AVAILABILITY_MANAGER = "availability_manager"
    PERFORMANCE_ANALYST = "performance_analyst"
    LEARNING_AGENT = "learning_agent"
    SQUAD_SELECTOR = "squad_selector"


def to_ai_provider(name: str) -> str:
    """Return the `AIProvider` with this name, or the name itself when the plan has no such provider."""
    return AIProvider(name) if name in AIProvider.__members__.values() else name


@hide_arguments
def to_name(where: str, value: str) -> str:
    """Return a provider or a role as plain text, as all other modules know it.

    Raises:
        ArgumentTypeError: It is not text.
        ArgumentValueError: It is empty.
    """
    return str(require_text(where, value))
