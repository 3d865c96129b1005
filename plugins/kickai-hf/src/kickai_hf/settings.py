"""The settings of one Hugging Face instance. Nothing here imports the vendor's client."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read by whoever structures the settings
from typing import Literal

from attrs import Factory, field, frozen
from attrs.validators import matches_re
from kickai_providers_core import ProviderSettings, Secret
from kickai_providers_core.plugin_api.settings import service_address

__all__ = ["DEFAULT_MODEL", "HuggingFaceSettings", "SchemaForm", "Task", "Template"]

DEFAULT_MODEL = "Qwen/Qwen2.5-7B-Instruct"
"""Asked of the router when nobody names a model: of the models that the role catalogue backs its roles up with, the one
that takes system messages and tools and is served by several inference providers."""

Task = Literal["chat", "text_generation"]
Template = Literal["transcript", "chatml"]
SchemaForm = Literal["openai", "tgi", "none"]


def _hidden(headers: Mapping[str, Secret | str]) -> Mapping[str, Secret]:
    return {name: value if isinstance(value, Secret) else Secret(value) for name, value in headers.items()}


@frozen(kw_only=True)
class HuggingFaceSettings(ProviderSettings):
    """One ``[providers.NAME]`` table of the kind ``huggingface``.

    The tokens follow one rule: ``token`` goes to where the instance points, ``hub_token`` only ever to Hugging Face.
    The environment fills ``hub_token`` alone, so that a token that lies there never reaches a ``base_url``.

    Attributes:
        token: Sent to ``base_url`` when that is set, and to Hugging Face's router otherwise.
        hub_token: Sent to Hugging Face's router when there is neither ``token`` nor ``base_url``, and to ``hub_url``
            for online checks. ``HUGGINGFACE_API_TOKEN`` and ``HF_TOKEN`` fill it.
        base_url: The address of a TGI, vLLM or llama.cpp server or of an Inference Endpoint, with or without ``/v1``;
            None for Hugging Face's router. With ``task = "text_generation"`` the exact address to post to.
        model: As in `ProviderSettings`; `DEFAULT_MODEL` on the router, and the server's own at a ``base_url``. A suffix
            (``org/model:novita``, ``:cheapest``) chooses the inference provider.
        inference_provider: Which of the router's inference providers answers, for models without a suffix; ``auto``
            leaves it to the router.
        task: ``chat``, or ``text_generation`` for a server that only completes text; needs a ``base_url``.
        template: How ``text_generation`` renders the messages; see `kickai_hf.templates`.
        schema_form: How a ``base_url`` wants a JSON schema: as OpenAI's API, vLLM, llama.cpp and TGI from 3.3 do, or as
            an older ``tgi``; ``none`` for a server that ignores schemas, which then gets no request that has one. The
            router takes OpenAI's form always.
        bill_to: The organisation that the router bills.
        headers: Sent with each request to the router or the ``base_url``. Their values are taken for secrets.
        allow_plain_http: Whether tokens and headers may go to another machine without TLS.
        hub_url: The Hub that online checks ask.
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
    headers: Mapping[str, Secret] = field(factory=dict, converter=_hidden)
    allow_plain_http: bool = False
    hub_url: str = field(default="https://huggingface.co", metadata=service_address("https://huggingface.co"))
