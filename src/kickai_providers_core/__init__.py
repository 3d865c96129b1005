"""Routes each LLM request to an installed provider that can answer it, and falls back when one fails.

>>> from kickai_providers_core import Resolver
>>> with Resolver.from_settings() as resolver:  # doctest: +SKIP
...     print(resolver.for_role("player_coordinator").invoke("Who can play on Saturday?"))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loguru import logger

from kickai_providers_core import _moved
from kickai_providers_core.chain import Chain
from kickai_providers_core.concurrency.clock import Clockwork
from kickai_providers_core.plugin_api.hookspecs import ModelInfo, Preset, Progress, ProviderInfo, hookimpl
from kickai_providers_core.plugin_api.settings import ProviderSettings
from kickai_providers_core.reply_streams import AsyncReplyStream, ReplyStream
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy, Rule
from kickai_providers_core.resolver import Resolver
from kickai_providers_core.runtime.streaming import StreamMode
from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.values.call_options import CallKeywords, TurnKeywords
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
    TurnLimitError,
    UnknownProviderError,
    UnsupportedRequestError,
    UnusableProviderError,
)
from kickai_providers_core.values.images import Image
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.replies import FinishReason, ParsedReply, Reply, ReplyChunk
from kickai_providers_core.values.requests import Capability, ChatRequest, Prompt
from kickai_providers_core.values.retry_after import retry_after_s
from kickai_providers_core.values.rollout_key import use_key
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.tools import Tool, ToolCall
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from kickai_providers_core.batching import BatchItem, BatchProgress
    from kickai_providers_core.config.roles import Role
    from kickai_providers_core.config.settings import KickaiSettings, Settings
    from kickai_providers_core.tool_loop import ToolError, ToolResult, ToolRun

__version__: str

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "AsyncReplyStream",
    "Attempt",
    "AuthenticationError",
    "BatchItem",
    "BatchProgress",
    "BreakerSettings",
    "CallKeywords",
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
    "ParsedReply",
    "PluginError",
    "PluginLoadError",
    "Policy",
    "Preset",
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
    "ToolError",
    "ToolResult",
    "ToolRun",
    "TransientError",
    "TurnKeywords",
    "TurnLimitError",
    "UnknownProviderError",
    "UnsupportedRequestError",
    "UnusableProviderError",
    "Usage",
    "hookimpl",
    "retry_after_s",
    "use_key",
]


_IMPORTED_WHEN_USED = {
    "BatchItem": "batching",
    "BatchProgress": "batching",
    "KickaiSettings": "config.settings",
    "Role": "config.roles",
    "Settings": "config.settings",
    "ToolError": "tool_loop",
    "ToolResult": "tool_loop",
    "ToolRun": "tool_loop",
}
"""The module of each name that is imported when it is first used. All of them take a quarter of the import."""


def __getattr__(name: str) -> Any:
    if name in _IMPORTED_WHEN_USED:
        value = globals()[name] = getattr(import_module(f"{__name__}.{_IMPORTED_WHEN_USED[name]}"), name)
        return value
    if name == "__version__":  # reading a distribution's metadata takes a millisecond, and few need it
        from importlib.metadata import version  # noqa: PLC0415

        return version("kickai-providers-core")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Silent until an application enables it.
logger.disable(__name__)
_moved.install()
del logger
