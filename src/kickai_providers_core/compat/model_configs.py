"""Which model each agent calls, and how, read from the roles of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import asdict, field, frozen

from kickai_providers_core.compat.names import to_ai_provider, to_name
from kickai_providers_core.compat.process_default import get_resolver
from kickai_providers_core.config.roles import MAX_TEMPERATURE
from kickai_providers_core.values.validation import Number, Text, hide_constructor_arguments, require_text

if TYPE_CHECKING:
    from kickai_providers_core.config.roles import Role
    from kickai_providers_core.values.targets import Target

__all__ = ["LLMConfig", "get_agent_model_config", "get_fallback_config"]


def _convert_provider(value: str) -> str:
    return to_ai_provider(require_text("LLMConfig.provider", value))


@hide_constructor_arguments
@frozen(kw_only=True)
class LLMConfig(Mapping[str, object]):
    """One model and how it is called.

    It can also be read like a dict: ``config["model"]``, ``"model" in config``, ``dict(config)``. Keys belong to the
    settings, so it has none.

    Attributes:
        provider: An `AIProvider`, or another instance of the settings.
        model: The model; None for the instance's own.
        temperature: From 0 to 2; None leaves it to the provider.
        max_tokens: The token limit of an answer, from 1; None leaves it to the provider.
    """

    provider: str = field(converter=_convert_provider)
    model: str | None = field(default=None, validator=Text(optional=True))
    temperature: float | None = field(default=None, validator=Number(minimum=0, maximum=MAX_TEMPERATURE, optional=True))
    max_tokens: int | None = field(default=None, validator=Number(integer=True, minimum=1, optional=True))

    def __getitem__(self, key: str) -> object:
        return asdict(self)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(asdict(self))

    def __len__(self) -> int:
        return len(asdict(self))


def get_agent_model_config(role: str, provider: str | None = None) -> LLMConfig:
    """Return what an agent calls first, or what it calls at one provider.

    It is what the settings say now: a retired model of the plan is replaced by its successor, and ``AI_PROVIDER`` and
    the role's own table in ``kickai.toml`` apply. A rollout is not reflected: it decides for each request.

    Args:
        role: An `AgentRole`, or another role of the settings; an unknown name gets the default role.
        provider: An `AIProvider` or another instance; None for the first target of the role's chain.

    Raises:
        ConfigError: The settings are invalid.
        ArgumentValueError: The role or the provider is empty.
    """
    settings = get_resolver().settings
    found = settings.role(to_name("role", role))
    if provider is None:
        return _build(found, settings.targets_for(found)[0])
    targets, _ = settings.split_for_rollout(found, to_name("provider", provider))
    return _build(found, targets[0])


def get_fallback_config(role: str) -> LLMConfig | None:
    """Return what an agent calls when its first provider fails; None when the chain has no other provider.

    Args:
        role: An `AgentRole`, or another role of the settings; an unknown name gets the default role.

    Raises:
        ConfigError: The settings are invalid.
    """
    settings = get_resolver().settings
    found = settings.role(to_name("role", role))
    first, *others = settings.targets_for(found)
    target = next((each for each in others if each.provider != first.provider), None)
    return None if target is None else _build(found, target)


def _build(role: Role, target: Target) -> LLMConfig:
    return LLMConfig(
        provider=target.provider, model=target.model, temperature=role.temperature, max_tokens=role.max_tokens
    )
