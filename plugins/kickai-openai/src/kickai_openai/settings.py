"""The settings of one instance. Nothing here imports the HTTP client."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read when the settings are structured

from attrs import Factory, field, frozen
from attrs.validators import in_, optional
from kickai_providers_core import Capability, ProviderSettings, Secret
from kickai_providers_core.plugin_api.settings import service_address

from kickai_openai.presets import DEFAULT, OTHER, PRESETS, MaxTokensField, Service

__all__ = ["OpenAISettings"]


def _hide(headers: Mapping[str, Secret | str]) -> Mapping[str, Secret]:
    return {name: value if isinstance(value, Secret) else Secret(value) for name, value in headers.items()}


@frozen(kw_only=True)
class OpenAISettings(ProviderSettings):
    """One ``[providers.NAME]`` table of the kind ``openai``.

    Attributes:
        preset: The service, by its name in ``presets.json``; None for OpenAI, or with ``base_url`` for a service that
            needs nothing special.
        base_url: The address of the service; None for the preset's own. An address without a path gets ``/v1``.
        api_key: Sent as a bearer token. The preset's variable fills it, unless ``base_url`` is another address.
        model: As in `ProviderSettings`. The default is the preset's, if it has one.
        headers: Sent with each request. Their values are treated as secrets.
        allow_plain_http: Whether the key and the headers may go to another machine without TLS.
        max_tokens_field: The field with the token limit, if it is not the preset's.
        omit: Names of request fields that are never sent (``temperature``); replies name them in ``omitted``.
        capabilities: What this instance can do; None for everything that the preset does not exclude.
    """

    preset: str | None = field(default=None, validator=optional(in_(list(PRESETS))))
    base_url: str | None = field(default=None, metadata=service_address(PRESETS[DEFAULT].base_url))
    api_key: Secret | None = None
    model: str | None = field(default=Factory(lambda self: self.service.model, takes_self=True))
    headers: Mapping[str, Secret] = field(factory=dict, converter=_hide)
    allow_plain_http: bool = False
    max_tokens_field: MaxTokensField | None = None
    omit: tuple[str, ...] = ()
    capabilities: tuple[Capability, ...] | None = None

    @property
    def service(self) -> Service:
        """What is special about the service."""
        if self.preset is None:
            return OTHER if self.base_url else PRESETS[DEFAULT]
        return PRESETS.get(self.preset, OTHER)  # an unknown one is rejected after the defaults are made

    @property
    def address(self) -> str:
        """The address of the service."""
        return self.base_url or self.service.base_url
