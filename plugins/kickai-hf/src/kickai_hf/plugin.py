"""The hooks of the provider ``huggingface``. The HTTP client is imported when a provider is created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import Capability, ProviderInfo, UnusableProviderError, hookimpl

from kickai_hf import checks
from kickai_hf.capabilities import MODELS, find_capabilities
from kickai_hf.options import OPTIONS
from kickai_hf.settings import HuggingFaceSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from kickai_providers_core import ChatRequest, Problem, Reply, ReplyChunk

    from kickai_hf.client import HuggingFace


@hookimpl
def kickai_provider_info() -> ProviderInfo:
    """Describe the provider."""
    return ProviderInfo(
        name="huggingface",
        aliases=("hf",),
        summary="Hugging Face Inference: the router, Inference Endpoints, TGI, vLLM and llama.cpp servers",
        settings_class=HuggingFaceSettings,
        capabilities=frozenset(Capability),
        environment={"HUGGINGFACE_API_TOKEN": "hub_token", "HF_TOKEN": "hub_token"},
        models=MODELS,
        options=OPTIONS,
        holds_timeouts=True,
    )


@hookimpl
def kickai_validate_provider(settings: HuggingFaceSettings, online: bool) -> Sequence[Problem]:
    """Return the problems with the settings, and online those that the service reports."""
    problems = list(checks.find_settings_problems(settings))
    if not checks.has_errors(problems):
        problems += checks.find_environment_problems(settings)
    if online and not checks.has_errors(problems):
        from kickai_hf import hub  # noqa: PLC0415 - imports the HTTP client

        problems += hub.find_online_problems(settings)
    return problems


@hookimpl(optionalhook=True)  # cores before this hook do not call it
def kickai_provider_capabilities(settings: HuggingFaceSettings, model: str | None) -> frozenset[Capability] | None:
    """Return what this instance can do with a model; None for everything that the plugin and the model can do."""
    return find_capabilities(settings, model)


@hookimpl
def kickai_create_provider(settings: HuggingFaceSettings) -> HuggingFace:
    """Return a provider for an instance; imports the HTTP client."""
    try:
        from kickai_hf.client import HuggingFace  # noqa: PLC0415 - takes a while
    except ImportError as exc:
        message = f"{exc.name or 'a module'} cannot be imported: reinstall kickai-hf and its dependencies"
        raise UnusableProviderError(message) from exc
    return HuggingFace(settings)


@hookimpl
def kickai_invoke_provider(provider: HuggingFace, request: ChatRequest, timeout_s: float) -> Reply:
    """Return the reply to a request."""
    return provider.invoke(request, timeout_s)


@hookimpl
async def kickai_ainvoke_provider(provider: HuggingFace, request: ChatRequest, timeout_s: float) -> Reply:
    """Return the reply to a request on the running loop."""
    return await provider.ainvoke(request, timeout_s)


@hookimpl
def kickai_stream_provider(provider: HuggingFace, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
    """Yield the reply to a request in chunks."""
    return provider.stream(request, timeout_s)


@hookimpl
def kickai_astream_provider(provider: HuggingFace, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
    """Yield the reply to a request in chunks on the running loop."""
    return provider.astream(request, timeout_s)


@hookimpl
def kickai_close_provider(provider: HuggingFace) -> None:
    """Close all connections."""
    provider.close()


@hookimpl
async def kickai_aclose_provider(provider: HuggingFace) -> None:
    """Close all connections on a running loop."""
    await provider.aclose()
