"""The settings of an Ollama instance."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen
from attrs.validators import gt
from kickai_providers_core import Capability, ProviderSettings
from kickai_providers_core.plugin_api.settings import service_address

from kickai_ollama.address import Address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attrs import Attribute
    from kickai_providers_core import Secret

__all__ = ["OllamaSettings", "Think"]

Think = Literal["off", "on", "low", "medium", "high", "max"]
"""Whether, and how hard, a model thinks before it answers."""

DURATION = re.compile(r"-?(\d+(\.\d+)?|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)")
"""Seconds, or a duration for Go's ``time.ParseDuration``, which Ollama uses."""


def _validate_duration(_: object, __: Attribute[str | None], value: str | None) -> None:
    if value is not None and not DURATION.fullmatch(value):
        message = f"keep_alive must be a number of seconds or a duration such as '5m' or '1h30m', got {value!r}"
        raise ValueError(message)


def _validate_options(_: object, __: Attribute[Mapping[str, float]], value: Mapping[str, float]) -> None:
    for name, number in value.items():
        if not math.isfinite(number):
            message = f"options.{name} must be a finite number, got {number!r}"
            raise ValueError(message)


def _validate_address(_: object, __: Attribute[str | None], value: str | None) -> None:
    Address.parse(value)


def _validate_key(_: object, __: Attribute[Secret | None], value: Secret | None) -> None:
    if value is not None and not re.fullmatch(r"[\x21-\x7e]*", value.reveal()):
        message = "api_key must contain only visible ASCII characters: no space and no line break"
        raise ValueError(message)


@frozen(kw_only=True)
class OllamaSettings(ProviderSettings):
    """One ``[providers.NAME]`` table of an Ollama server.

    The first call loads the model, so the timeouts of an answer are long. A running server accepts connections within
    milliseconds, so the timeout of connecting is short.

    Attributes:
        host: The server: a host, ``host:port`` or a URL; None for this machine. From ``OLLAMA_HOST``.
        api_key: Sent as a bearer token, but never over plain HTTP to another machine. From ``OLLAMA_API_KEY``.
        keep_alive: How long the server keeps the model in memory after a call: seconds or ``"5m"``; ``"-1"`` for ever,
            ``"0"`` not at all; None for the server's default.
        context_window: Tokens of prompt and answer together. Sent as ``num_ctx``, so that the server opens a window of
            that size; None for the server's default, which the core does not know.
        truncate: Whether the server may silently drop the oldest messages of a conversation that does not fit the
            window. When False the server refuses it (`ContextLengthExceededError`); servers older than about the
            end of 2025 ignore this and drop messages anyway.
        think: Whether, and how hard, the model thinks; None for the model's default.
        options: Further options of the model by Ollama's names: ``top_k``, ``num_gpu``, ``repeat_penalty``, …
        capabilities: Which of ``tools``, ``json_schema``, ``images`` and ``seed`` the server and its model support; a
            request that needs another one is not sent. None: what is known of the model, otherwise everything.
        pull: Whether to pull a model that the server does not have, in the background while the chain continues.
    """

    timeout_s: float = field(default=120.0, validator=gt(0))
    connect_timeout_s: float = field(default=2.0, validator=gt(0))
    first_token_timeout_s: float = field(default=120.0, validator=gt(0))
    idle_timeout_s: float = field(default=30.0, validator=gt(0))
    host: str | None = field(
        default=None,
        validator=_validate_address,
        metadata=service_address("https://ollama.com", "https://api.ollama.com"),
    )
    api_key: Secret | None = field(default=None, validator=_validate_key)
    keep_alive: str | None = field(default=None, validator=_validate_duration)
    truncate: bool = False
    think: Think | None = None
    options: Mapping[str, float] = field(factory=dict, validator=_validate_options)
    capabilities: tuple[Capability, ...] | None = None
    pull: bool = False

    @property
    def address(self) -> Address:
        """The address of the server."""
        return Address.parse(self.host)

    @property
    def sendable_key(self) -> Secret | None:
        """The key if it may be sent to the host, otherwise None."""
        return self.api_key if self.api_key and not self.address.is_readable_by_others else None

    def build_options(self) -> dict[str, Any]:
        """Return the options of every request; whole numbers are integers."""
        options = {name: int(value) if value == int(value) else value for name, value in self.options.items()}
        return {"num_ctx": self.context_window, **options} if self.context_window else options
