"""What an instance of Ollama can be told in ``kickai.toml``."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen
from attrs.validators import gt
from kickai_providers_core import (
    Capability,
    ProviderSettings,
)
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
"""Seconds, or a duration as Go's ``time.ParseDuration`` reads it, which is what Ollama uses."""


def _is_a_duration(_: object, __: Attribute[str | None], value: str | None) -> None:
    if value is not None and not DURATION.fullmatch(value):
        message = f"keep_alive is a number of seconds or a duration such as '5m' or '1h30m', not {value!r}"
        raise ValueError(message)


def _are_finite(_: object, __: Attribute[Mapping[str, float]], value: Mapping[str, float]) -> None:
    for name, number in value.items():
        if not math.isfinite(number):
            message = f"options.{name} must be a finite number, got {number!r}"
            raise ValueError(message)


def _is_an_address(_: object, __: Attribute[str | None], value: str | None) -> None:
    Address.parse(value)


def _fits_a_header(_: object, __: Attribute[Secret | None], value: Secret | None) -> None:
    if value is not None and not re.fullmatch(r"[\x21-\x7e]*", value.reveal()):
        message = "api_key has a character in it that no key has: a space, a line break, or one beyond ASCII"
        raise ValueError(message)


@frozen(kw_only=True)
class OllamaSettings(ProviderSettings):
    """One ``[providers.NAME]`` table of an Ollama server.

    The first call loads the model, which takes long, so the times for an answer are long; connecting is a
    matter of milliseconds where a server runs at all, so that time is short.

    Attributes:
        host: Where the server is: a host, ``host:port`` or a URL; None for this machine. From ``OLLAMA_HOST``.
        api_key: Sent as a bearer token; from ``OLLAMA_API_KEY``. Never sent over plain HTTP beyond this machine.
        keep_alive: How long the server keeps the model in memory afterwards: seconds or ``"5m"``; ``"-1"`` for ever,
            ``"0"`` not at all; None leaves it to the server.
        context_window: Tokens that prompt and answer may have together. It is sent as ``num_ctx``, so that the
            server opens a window of that size; None leaves it to the server, and then the core does not know it.
        truncate: Whether the server may silently drop the oldest messages of a conversation that does not fit the
            window. When False the server refuses it (`ContextLengthExceededError`); servers older than about the
            end of 2025 do not know the wish and drop them all the same.
        think: Whether a model that can think does; None leaves it to the model.
        options: Further options of the model by Ollama's names: ``top_k``, ``num_gpu``, ``repeat_penalty``, …
        capabilities: What the server and its model can do: of ``tools``, ``json_schema``, ``images`` and ``seed``; None
            when unknown, and then everything is tried. A request that needs more is not sent there.
        pull: Whether a model that the server does not have is pulled: in the background, while the chain goes on.
    """

    timeout_s: float = field(default=120.0, validator=gt(0))
    connect_timeout_s: float = field(default=2.0, validator=gt(0))
    first_token_timeout_s: float = field(default=120.0, validator=gt(0))
    idle_timeout_s: float = field(default=30.0, validator=gt(0))
    host: str | None = field(
        default=None, validator=_is_an_address, metadata=service_address("https://ollama.com", "https://api.ollama.com")
    )
    api_key: Secret | None = field(default=None, validator=_fits_a_header)
    keep_alive: str | None = field(default=None, validator=_is_a_duration)
    truncate: bool = False
    think: Think | None = None
    options: Mapping[str, float] = field(factory=dict, validator=_are_finite)
    capabilities: tuple[Capability, ...] | None = None
    pull: bool = False

    @property
    def address(self) -> Address:
        """Where the server is."""
        return Address.parse(self.host)

    @property
    def sendable_key(self) -> Secret | None:
        """The key, when it may be sent to the host at all."""
        return self.api_key if self.api_key and not self.address.in_the_clear else None

    def extras(self) -> dict[str, Any]:
        """Return the options that every request carries, whole numbers as such."""
        options = {name: int(value) if value == int(value) else value for name, value in self.options.items()}
        return {"num_ctx": self.context_window, **options} if self.context_window else options
