"""Finds language-model provider plugins, and resolves each request to the provider that can answer it now.

>>> from kickai_providers_core import Resolver
>>> with Resolver.from_settings() as resolver:  # doctest: +SKIP
...     print(resolver.for_role("player_coordinator").invoke("Who can play on Saturday?"))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loguru import logger

if TYPE_CHECKING:
    from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
    from kickai_providers_core.resilience.breaker import BreakerSettings
    from kickai_providers_core.chain import AsyncReplyStream, Chain, ReplyStream
    from kickai_providers_core.values.retry_after import retry_after_s
    from kickai_providers_core.runtime.drivers import Clockwork, StreamMode
    from kickai_providers_core.values.errors import (
        ArgumentTypeError,
        ArgumentValueError,
        AuthenticationError,
        ChainExhaustedError,
        ConfigError,
        ContentFilteredError,
        ContextLengthExceededError,
        DeadlineExceededError,
        DuplicateProviderError,
        InvalidReplyError,
        InvalidRequestError,
        KickaiError,
        ModelNotFoundError,
        PluginError,
        PluginLoadError,
        Problem,
        ProviderError,
        ProviderTimeoutError,
        ProviderUnavailableError,
        QuotaExhaustedError,
        RateLimitedError,
        RejectedRequestError,
        TransientError,
        UnknownProviderError,
        UnsupportedRequestError,
        UnusableProviderError,
    )
    from kickai_providers_core.plugin_api.hookspecs import ModelInfo, Progress, ProviderInfo, hookimpl
    from kickai_providers_core.values.requests import (
        Capability,
        ChatRequest,
        FinishReason,
        Image,
        Message,
        Prompt,
        Reply,
        ReplyChunk,
        Tool,
        ToolCall,
        Usage,
    )
    from kickai_providers_core.resilience.policy import Policy, Rule
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.resolver import Resolver
    from kickai_providers_core.config.role_targets import Role
    from kickai_providers_core.values.secrets import Secret
    from kickai_providers_core.config.settings import KickaiSettings, Settings
    from kickai_providers_core.values.targets import Target

__version__: str

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "AsyncReplyStream",
    "Attempt",
    "AuthenticationError",
    "BreakerSettings",
    "Capability",
    "Chain",
    "ChainExhaustedError",
    "ChatRequest",
    "Clockwork",
    "ConfigError",
    "ContentFilteredError",
    "ContextLengthExceededError",
    "DeadlineExceededError",
    "DuplicateProviderError",
    "FinishReason",
    "Image",
    "InvalidReplyError",
    "InvalidRequestError",
    "KickaiError",
    "KickaiSettings",
    "Message",
    "ModelInfo",
    "ModelNotFoundError",
    "Outcome",
    "PluginError",
    "PluginLoadError",
    "Policy",
    "Problem",
    "Progress",
    "Prompt",
    "ProviderError",
    "ProviderInfo",
    "ProviderSettings",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "QuotaExhaustedError",
    "RateLimitedError",
    "RejectedRequestError",
    "Reply",
    "ReplyChunk",
    "ReplyStream",
    "Resolver",
    "Role",
    "Rule",
    "Secret",
    "Settings",
    "Skip",
    "SkipReason",
    "StreamMode",
    "Target",
    "Tool",
    "ToolCall",
    "TransientError",
    "UnknownProviderError",
    "UnsupportedRequestError",
    "UnusableProviderError",
    "Usage",
    "hookimpl",
    "retry_after_s",
]

_HOMES = {
    "attempts": ("Attempt", "Outcome", "Skip", "SkipReason"),
    "breaker": ("BreakerSettings",),
    "chain": ("AsyncReplyStream", "Chain", "ReplyStream"),
    "delays": ("retry_after_s",),
    "drivers": ("Clockwork", "StreamMode"),
    "errors": ("Problem", *(name for name in __all__ if name.endswith("Error"))),
    "hookspecs": ("ModelInfo", "Progress", "ProviderInfo", "hookimpl"),
    "policy": ("Policy", "Rule"),
    "provider_settings": ("ProviderSettings",),
    "resolver": ("Resolver",),
    "roles": ("Role",),
    "secret": ("Secret",),
    "settings": ("KickaiSettings", "Settings"),
    "targets": ("Target",),
}
"""Where the public names are from, but for those of `messages`; a module is imported when one of its is needed."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":  # read when it is needed: the metadata of a distribution takes a millisecond
        from importlib.metadata import version  # noqa: PLC0415

        value = globals()[name] = version("kickai-providers-core")
        return value
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    home = import_module(f"{__name__}.{_HOME_OF.get(name, 'messages')}")
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


logger.disable(__name__)
del logger
