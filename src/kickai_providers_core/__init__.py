"""Finds language-model provider plugins, and resolves each request to the provider that can answer it now.

>>> from kickai_providers_core import Resolver
>>> with Resolver.from_settings() as resolver:  # doctest: +SKIP
...     print(resolver.for_role("player_coordinator").invoke("Who can play on Saturday?"))
"""

from loguru import logger

from kickai_providers_core.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.breaker import BreakerSettings
from kickai_providers_core.chain import AsyncReplyStream, Chain, ReplyStream
from kickai_providers_core.drivers import Clockwork, StreamMode
from kickai_providers_core.errors import (
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
    UnusableProviderError,
)
from kickai_providers_core.hookspecs import ModelInfo, Progress, ProviderInfo, hookimpl
from kickai_providers_core.messages import (
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
from kickai_providers_core.policy import Policy, Rule
from kickai_providers_core.provider_settings import ProviderSettings
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.roles import Role
from kickai_providers_core.secret import Secret
from kickai_providers_core.settings import KickaiSettings, Settings
from kickai_providers_core.targets import Target

__all__ = [
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
    "UnusableProviderError",
    "Usage",
    "hookimpl",
]

logger.disable(__name__)
del logger
