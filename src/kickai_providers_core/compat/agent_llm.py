"""Replaces the language model of an agent by the chain of its role, where that can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kickai_providers_core.compat.llms import ResilientLLM
from kickai_providers_core.compat.process_default import get_resolver, warn_once
from kickai_providers_core.values.errors import ConfigError, UnknownProviderError

if TYPE_CHECKING:
    from kickai_providers_core.resolver import Resolver

__all__ = ["get_agent_llm", "is_usable"]

L = TypeVar("L")


def get_agent_llm(base_llm: L, role: str) -> L | ResilientLLM:
    """Return the language model of an agent: its role's chain, or ``base_llm`` when that chain cannot answer.

    The chain cannot answer when the settings are invalid, or when no provider in it is installed and configured. Then
    one warning says so. A provider that fails at present does not matter: the chain handles that.

    Args:
        base_llm: What the agent has used so far.
        role: An `AgentRole`, or another role of the settings; an unknown name gets the default role.
    """
    try:
        resolver = get_resolver()
        llm = ResilientLLM(role)
        targets = llm.chain.targets
    except (ConfigError, UnknownProviderError) as error:
        warn_once(f"agents keep their own language model, since the settings cannot be used: {error}")
        return base_llm
    providers = {target.partition(":")[0] for target in targets}
    if any(is_usable(resolver, provider) for provider in providers):
        return llm
    warn_once("agents keep their own language model, since no provider is configured; kickai doctor says what to do")
    return base_llm


def is_usable(resolver: Resolver, provider: str) -> bool:
    """Return whether a provider is installed and configured. Its plugin may take a moment to validate its settings."""
    instance = resolver.registry.find(provider)
    return instance is not None and not instance.validation.problems()
