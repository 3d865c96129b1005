"""The settings that every provider instance has; a plugin's settings class extends them."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt, optional

__all__ = ["ProviderSettings"]


@frozen(kw_only=True)
class ProviderSettings:
    """One ``[providers.NAME]`` table.

    A plugin subclasses this with ``@attrs.frozen(kw_only=True)`` and adds its own fields, each with a default,
    a type out of str, int, float, bool, `Secret`, an enum, ``Literal``, a tuple or a mapping of these, another
    attrs class, or None beside any of them, and an ``attrs`` validator where the type does not say it all.

    Attributes:
        kind: The plugin's name or alias; None when the instance is named after its plugin.
        model: The model asked for when a target names none; None when the plugin has no default.
        timeout_s: One attempt as a whole, connecting included.
        connect_timeout_s: Until the connection stands.
        first_token_timeout_s: From the request to the first chunk of a stream.
        idle_timeout_s: Between two chunks of a stream.
        retries: How often a failed target may be tried again within one request, from 0.
        max_concurrency: Calls under way at once, from 1; further requests wait in line. None for no limit.
        requests_per_minute: Calls that may begin within any minute, from 1, likewise.
        tokens_per_minute: Tokens that the calls which begin within any minute may take, likewise.
        context_window: Tokens that prompt and answer may have together, when the plugin does not know it.
        expose_service_messages: Whether errors carry the service's own words, at most 500 characters, without control
            characters and keys. They may repeat parts of the prompt. ``[kickai]`` sets the default of all instances.
    """

    kind: str | None = None
    model: str | None = None
    timeout_s: float = field(default=10.0, validator=gt(0))
    connect_timeout_s: float = field(default=5.0, validator=gt(0))
    first_token_timeout_s: float = field(default=10.0, validator=gt(0))
    idle_timeout_s: float = field(default=10.0, validator=gt(0))
    retries: int = field(default=2, validator=ge(0))
    max_concurrency: int | None = field(default=None, validator=optional(ge(1)))
    requests_per_minute: int | None = field(default=None, validator=optional(ge(1)))
    tokens_per_minute: int | None = field(default=None, validator=optional(ge(1)))
    context_window: int | None = field(default=None, validator=optional(gt(0)))
    expose_service_messages: bool = False
