"""The settings that every provider instance has. A plugin's settings class extends `ProviderSettings`.

A plugin whose settings contain a key and an address declares the address with `service_address`::

    @frozen(kw_only=True)
    class ExampleSettings(ProviderSettings):
        api_key: Secret | None = None
        base_url: str = field(
            default="https://api.example.com", metadata=service_address("https://api.example.com")
        )

A key from the plugin's own environment variable (``ProviderInfo.environment``) is then only sent to the vendor's own
address. If a file changes the address, the variable is ignored, and a warning explains how to set the key in the file.
The plugin itself does not need to check anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_type_hints

from attrs import Attribute, field, fields, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.validation import Boolean, Number, Text

__all__ = [
    "LONGEST_S",
    "MOST_PERMITS",
    "PERMITS",
    "SERVICE_ADDRESS",
    "ProviderSettings",
    "find_address_fields",
    "resolve_type_hints",
    "service_address",
]

_NAMES = {"Any": Any, "Mapping": Mapping, "Secret": Secret, "Sequence": Sequence, "Target": Target}
"""Names that annotations may use although their module imports them only for type checkers."""

LONGEST_S: Final = 9_200_000_000
"""The maximum duration of a setting in seconds (292 years): no lock, event loop or socket can wait longer."""

MOST_PERMITS: Final = 10**15
"""The highest limit of requests or tokens: every store counts such numbers exactly."""

PERMITS = Number(integer=True, minimum=1, maximum=MOST_PERMITS, optional=True)
"""Validates a limit of requests or tokens."""

SERVICE_ADDRESS: Final = "kickai_service_address"
"""The metadata key under which `service_address` stores the vendor's addresses."""

ADDRESS_NAMES = frozenset({"base_url", "host", "url", "endpoint", "api_base", "address"})
"""The fields that hold an address in a settings class that declares none."""


def find_address_fields(settings_class: Any) -> tuple[Attribute[Any], ...]:
    """Return the fields of a settings class that say where its key is sent."""
    own = fields(settings_class)
    declared = tuple(each for each in own if SERVICE_ADDRESS in each.metadata)
    return declared or tuple(each for each in own if each.alias in ADDRESS_NAMES)


def service_address(*vendor: str) -> Mapping[str, tuple[str, ...]]:
    """Return the metadata of a settings field with an address to which the plugin sends its key.

    Use it for each such field: ``field(default=…, metadata=service_address("https://api.example.com"))``. Other address
    fields need no declaration. The field's default is always one of the vendor's addresses. If a class declares no
    field, its fields named ``base_url``, ``host``, ``url``, ``endpoint``, ``api_base`` and ``address`` are treated as
    declared.

    Args:
        vendor: The vendor's own addresses, as URLs. Two addresses are the same if their scheme, host and port are.
    """
    return {SERVICE_ADDRESS: vendor}


@frozen(kw_only=True, eq=False, repr=False)
class ProviderSettings(Value):
    """One ``[providers.NAME]`` table.

    A plugin subclasses this with ``@attrs.frozen(kw_only=True)`` and adds its own fields. Each field needs a default
    and a type: str, int, float, bool, `Secret`, an enum, a ``Literal``, a tuple or mapping of these, another attrs
    class, or a union of one of them with None. An attrs validator can restrict the values further.

    Attributes:
        kind: The plugin's name or alias; None if the instance has the plugin's name.
        model: The model for targets that name none; None for the plugin's default.
        timeout_s: The time limit of one attempt as a whole, in seconds, including the connection.
        connect_timeout_s: The time limit for the connection, in seconds.
        first_token_timeout_s: The time limit from the request to the first chunk of a stream, in seconds.
        idle_timeout_s: The time limit between two chunks of a stream, in seconds.
        retries: The maximum number of retries of a failed target within one request, from 0.
        max_concurrency: The maximum number of calls at the same time, from 1; further requests are queued. None for no
            limit.
        max_queue: The maximum number of queued requests, from 0; further requests skip the target. None for no limit.
        requests_per_minute: The maximum number of calls that start within one minute, from 1. None for no limit.
        tokens_per_minute: The maximum number of tokens for the calls that start within one minute, from 1. None for no
            limit.
        requests_per_day: The maximum number of calls that start on one day, from 1. The day ends at 00:00 UTC. Further
            requests skip the target. None for no limit.
        tokens_per_day: The maximum number of tokens for the calls that start on one day, from 1. None for no limit.
        context_window: The maximum number of tokens of prompt and answer together, for models that the plugin does not
            know.
        expose_service_messages: Whether errors contain the service's own message, at most 500 characters, without
            control characters and keys. It may repeat parts of the prompt. ``[kickai]`` sets the default for all
            instances.
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
    requests_per_minute: int | None = field(default=None, validator=PERMITS)
    tokens_per_minute: int | None = field(default=None, validator=PERMITS)
    requests_per_day: int | None = field(default=None, validator=PERMITS)
    tokens_per_day: int | None = field(default=None, validator=PERMITS)
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
        Exception: Any exception that the evaluation of an annotation raises.
    """
    try:
        return get_type_hints(cls)
    except NameError:
        return get_type_hints(cls, localns=_NAMES)
