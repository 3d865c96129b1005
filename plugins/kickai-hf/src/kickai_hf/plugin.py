"""The hooks of the provider ``huggingface``. What they need of the vendor is imported when a provider is created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import Capability, ModelInfo, ProviderInfo, UnusableProviderError, hookimpl

from kickai_hf import network, routes
from kickai_hf.settings import HuggingFaceSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from kickai_providers_core import ChatRequest, Problem, Reply, ReplyChunk

    from kickai_hf.client import HuggingFace

_ALL = frozenset(Capability)
_TEXT = frozenset({Capability.JSON_SCHEMA, Capability.SEED})
_CHAT = _TEXT | {Capability.TOOLS}

# From the models' cards on the Hub. Inference providers may offer less; then they say so, and are believed.
_MODELS = {
    "Qwen/Qwen2.5-1.5B-Instruct": ModelInfo(context_window=32_768, capabilities=_CHAT),
    "Qwen/Qwen2.5-3B-Instruct": ModelInfo(context_window=32_768, capabilities=_CHAT),
    "Qwen/Qwen2.5-7B-Instruct": ModelInfo(context_window=32_768, capabilities=_CHAT),
    "google/gemma-2-2b-it": ModelInfo(context_window=8_192, capabilities=_TEXT),
    "meta-llama/Llama-3.1-8B-Instruct": ModelInfo(context_window=131_072, capabilities=_CHAT),
    "openai/gpt-oss-20b": ModelInfo(context_window=131_072, capabilities=_CHAT),
}


@hookimpl
def kickai_provider_info() -> ProviderInfo:
    """Describe the provider."""
    return ProviderInfo(
        name="huggingface",
        aliases=("hf",),
        summary="Hugging Face Inference: the router, Inference Endpoints, TGI, vLLM and llama.cpp servers",
        settings_class=HuggingFaceSettings,
        capabilities=_ALL,
        environment={"HUGGINGFACE_API_TOKEN": "hub_token", "HF_TOKEN": "hub_token"},
        models=_MODELS,
        holds_timeouts=True,
    )


@hookimpl
def kickai_validate_provider(settings: HuggingFaceSettings, online: bool) -> Sequence[Problem]:
    """Say what keeps these settings from being used; online, what the service says to them."""
    found = list(routes.problems(settings))
    if all(problem.severity == "warning" for problem in found):
        found += network.problems(routes.route(settings).url)
        if settings.base_url is None:
            found += network.offline_problems()
    if online and all(problem.severity == "warning" for problem in found):
        from kickai_hf import hub  # noqa: PLC0415 - brings the HTTP client

        found += hub.problems(settings)
    return found


@hookimpl(optionalhook=True)  # cores before this hook do not call it
def kickai_provider_capabilities(settings: HuggingFaceSettings, model: str | None) -> frozenset[Capability] | None:
    """Say what this instance can do; None for all that the plugin and its models can."""
    if settings.base_url is None:
        return None
    lacking = {Capability.TOOLS, Capability.IMAGES} if settings.task == "text_generation" else set()
    if settings.schema_form == "none":
        lacking.add(Capability.JSON_SCHEMA)
    if not lacking:
        return None
    named = _MODELS.get(model or settings.model or "")
    return ((named and named.capabilities) or _ALL) - lacking


@hookimpl
def kickai_create_provider(settings: HuggingFaceSettings) -> HuggingFace:
    """Create the provider; imports the vendor's client."""
    try:
        from kickai_hf.client import HuggingFace  # noqa: PLC0415 - takes a while, and only for those who use it
    except ImportError as exc:
        message = f"{exc.name or 'a module'} cannot be imported: reinstall kickai-hf and what it needs"
        raise UnusableProviderError(message) from exc
    return HuggingFace(settings)


@hookimpl
def kickai_invoke_provider(provider: HuggingFace, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer a request."""
    return provider.invoke(request, timeout_s)


@hookimpl
async def kickai_ainvoke_provider(provider: HuggingFace, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer a request on the running loop."""
    return await provider.ainvoke(request, timeout_s)


@hookimpl
def kickai_stream_provider(provider: HuggingFace, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
    """Answer a request piece by piece."""
    return provider.stream(request, timeout_s)


@hookimpl
def kickai_astream_provider(provider: HuggingFace, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
    """Answer a request piece by piece on the running loop."""
    return provider.astream(request, timeout_s)


@hookimpl
def kickai_close_provider(provider: HuggingFace) -> None:
    """Close all connections."""
    provider.close()


@hookimpl
async def kickai_aclose_provider(provider: HuggingFace) -> None:
    """Close all connections, on a running loop."""
    await provider.aclose()
