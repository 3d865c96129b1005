"""The settings that every provider instance has; a plugin's settings class extends them.

A plugin whose settings have a key and an address declares the address with `service_address`::

    @frozen(kw_only=True)
    class ExampleSettings(ProviderSettings):
        api_key: Secret | None = None
        base_url: str = field(
            default="https://api.example.com", metadata=service_address("https://api.example.com")
        )

A key that comes from the plugin's own environment variable (``ProviderInfo.environment``) then goes to the vendor's
own address only. When a file changes the address, the variable is not read, and a warning says how to name the key in
the file. The plugin has nothing to check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_type_hints

from attrs import field, frozen

from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.validation import Boolean, Number, Text

__all__ = ["LONGEST_S", "SERVICE_ADDRESS", "ProviderSettings", "resolve_type_hints", "service_address"]

_NAMES = {"Any": Any, "Mapping": Mapping, "Secret": Secret, "Sequence": Sequence, "Target": Target}
"""What an annotation may name although its module imports it for type checkers only."""

LONGEST_S: Final = 9_200_000_000
"""The longest time that a setting may give, in seconds (292 years): no lock, event loop or socket waits longer."""

SERVICE_ADDRESS: Final = "kickai_service_address"
"""The key of a field's metadata under which `service_address` keeps the vendor's addresses."""


def service_address(*vendor: str) -> Mapping[str, tuple[str, ...]]:
    """Return the metadata of a settings field that holds the address to which the plugin sends its key.

    Use it for each such field: ``field(default=…, metadata=service_address("https://api.example.com"))``. A field to
    which the plugin never sends a key from its own variable needs no declaration. The field's default always counts as
    the vendor's. A class that declares no field is treated as if it declared those named ``base_url``, ``host``,
    ``url``, ``endpoint``, ``api_base`` and ``address``.

    Args:
        vendor: The vendor's own addresses, as URLs. Addresses are the same when scheme, host and port are.
    """
    return {SERVICE_ADDRESS: vendor}


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
        max_queue: Requests that may wait in line at once, from 0; further ones skip the target. None for no limit.
        requests_per_minute: Calls that may begin within any minute, from 1, likewise.
        tokens_per_minute: Tokens that the calls which begin within any minute may take, likewise.
        context_window: Tokens that prompt and answer may have together, when the plugin does not know it.
        expose_service_messages: Whether errors carry the service's own words, at most 500 characters, without control
            characters and keys. They may repeat parts of the prompt. ``[kickai]`` sets the default of all instances.
    """

    kind: str | None = field(default=None, validator=Text(optional=True))
    model: str | None = field(default=None, validator=Text(optional=True))
    timeout_s: float = field(default=10.0, validator=Number(above=0))
    connect_timeout_s: float = field(default=5.0, validator=Number(above=0))
    first_token_timeout_s: float = field(default=10.0, validator=Number(above=0))
    idle_timeout_s: float = field(default=10.0, validator=Number(above=0))
    retries: int = field(default=2, validator=Number(integer=True, minimum=0))
    max_concurrency: int | None = field(default=None, validator=Number(integer=True, minimum=1, optional=True))
    max_queue: int | None = field(default=None, validator=Number(integer=True, minimum=0, optional=True))
    requests_per_minute: int | None = field(default=None, validator=Number(integer=True, minimum=1, optional=True))
    tokens_per_minute: int | None = field(default=None, validator=Number(integer=True, minimum=1, optional=True))
    context_window: int | None = field(default=None, validator=Number(integer=True, above=0, optional=True))
    expose_service_messages: bool = field(default=False, validator=Boolean())

    def __attrs_post_init__(self) -> None:
        for name in ("timeout_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s"):
            seconds = getattr(self, name)
            if not seconds <= LONGEST_S:
                message = f"{name} must be at most {LONGEST_S} seconds, got {seconds!r}"
                raise ValueError(message)


def resolve_type_hints(cls: type) -> dict[str, Any]:
    """Return the types of a class's fields.

    Raises:
        Exception: An annotation names what there is not, or is no type: whatever evaluating it raises.
    """
    try:
        return get_type_hints(cls)
    except NameError:
        return get_type_hints(cls, localns=_NAMES)
