"""The settings of one Hugging Face instance. Nothing here imports the HTTP client."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read when the settings are structured
from typing import Literal

from attrs import Factory, field, frozen
from attrs.validators import matches_re
from kickai_providers_core import ProviderSettings, Secret
from kickai_providers_core.plugin_api.settings import service_address

from kickai_hf.capabilities import DEFAULT_MODEL

__all__ = ["HuggingFaceSettings", "SchemaForm", "Task", "Template"]

Task = Literal["chat", "text_generation"]
Template = Literal["transcript", "chatml"]
SchemaForm = Literal["openai", "tgi", "none"]


def _hide(headers: Mapping[str, Secret | str]) -> Mapping[str, Secret]:
    return {name: value if isinstance(value, Secret) else Secret(value) for name, value in headers.items()}


@frozen(kw_only=True)
class HuggingFaceSettings(ProviderSettings):
    """One ``[providers.NAME]`` table of the kind ``huggingface``.

    ``token`` goes to the address of the instance; ``hub_token`` goes to Hugging Face only. The environment fills
    ``hub_token`` alone, so that a token from the environment never reaches a ``base_url``.

    Attributes:
        token: Sent to ``base_url`` if that is set, and to Hugging Face's router otherwise.
        hub_token: Sent to Hugging Face's router if there is neither ``token`` nor ``base_url``, and to ``hub_url`` for
            online checks. ``HUGGINGFACE_API_TOKEN`` and ``HF_TOKEN`` fill it.
        base_url: The address of a TGI, vLLM or llama.cpp server or of an Inference Endpoint, with or without ``/v1``;
            None for Hugging Face's router. With ``task = "text_generation"`` the exact address to post to.
        model: As in `ProviderSettings`. The default is `DEFAULT_MODEL` on the router, and the server's own model at a
            ``base_url``. A suffix (``org/model:novita``, ``:cheapest``) selects the inference provider.
        inference_provider: The router's inference provider for models without a suffix; ``auto`` leaves the choice to
            the router.
        task: ``chat``, or ``text_generation`` for a server that only completes text; the latter needs a ``base_url``.
        template: How ``text_generation`` renders the messages; see `kickai_hf.templates`.
        schema_form: The form of a JSON schema at a ``base_url``: ``openai`` for OpenAI's API, vLLM, llama.cpp and TGI
            from 3.3, ``tgi`` for older TGI, ``none`` for a server that ignores schemas and therefore gets no request
            with one. The router always gets OpenAI's form.
        bill_to: The organisation that the router bills.
        headers: Sent with each request to the router or the ``base_url``. Their values are treated as secrets.
        allow_plain_http: Whether tokens and headers may go to another machine without TLS.
        hub_url: The Hub that online checks use.
    """

    token: Secret | None = None
    hub_token: Secret | None = None
    base_url: str | None = None
    model: str | None = field(
        default=Factory(lambda self: None if self.base_url else DEFAULT_MODEL, takes_self=True),
    )
    inference_provider: str = field(default="auto", validator=matches_re(r"[a-z0-9][a-z0-9-]*"))
    task: Task = "chat"
    template: Template = "transcript"
    schema_form: SchemaForm = "openai"
    bill_to: str | None = None
    headers: Mapping[str, Secret] = field(factory=dict, converter=_hide)
    allow_plain_http: bool = False
    hub_url: str = field(default="https://huggingface.co", metadata=service_address("https://huggingface.co"))
