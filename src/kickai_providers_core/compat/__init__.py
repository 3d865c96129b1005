"""The names of the migration plan from Gemini to Hugging Face, each a view of the real thing.

>>> from kickai_providers_core.compat import AgentRole, ResilientLLM
>>> ResilientLLM(AgentRole.PLAYER_COORDINATOR)
ResilientLLM('player_coordinator')

Everything here uses one resolver, which is created from the settings on first use and closed at exit; `use` replaces
it. New code should create a `Resolver` of its own. docs/migrating.md says where the plan is followed, and where not.
"""

from kickai_providers_core.compat.llms import (
    ConfiguredLLM,
    LLMFactory,
    ResilientLLM,
    TextKeywords,
    TextLLM,
    get_agent_llm,
)
from kickai_providers_core.compat.migration_monitor import (
    AgentReport,
    MigrationMonitor,
    MigrationReport,
    ProviderReport,
    get_migration_monitor,
)
from kickai_providers_core.compat.model_configs import LLMConfig, get_agent_model_config, get_fallback_config
from kickai_providers_core.compat.names import AgentRole, AIProvider
from kickai_providers_core.compat.process_default import get_resolver, use
from kickai_providers_core.compat.settings_view import SettingsView, get_settings
from kickai_providers_core.compat.smart_provider import SmartProvider, get_smart_provider

__all__ = [
    "AIProvider",
    "AgentReport",
    "AgentRole",
    "ConfiguredLLM",
    "LLMConfig",
    "LLMFactory",
    "MigrationMonitor",
    "MigrationReport",
    "ProviderReport",
    "ResilientLLM",
    "SettingsView",
    "SmartProvider",
    "TextKeywords",
    "TextLLM",
    "get_agent_llm",
    "get_agent_model_config",
    "get_fallback_config",
    "get_migration_monitor",
    "get_resolver",
    "get_settings",
    "get_smart_provider",
    "use",
]
