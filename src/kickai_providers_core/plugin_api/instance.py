"""A provider instance: one configured provider, created on first use."""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Any

from kickai_providers_core.concurrency.flag import LONGEST_WAIT_S
from kickai_providers_core.plugin_api.instance_capabilities import InstanceCapabilities
from kickai_providers_core.plugin_api.provider_creation import ProviderCreation
from kickai_providers_core.plugin_api.request_options import narrow_options
from kickai_providers_core.plugin_api.settings_validation import SettingsValidation
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.values.errors import ProviderTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

    from kickai_providers_core.concurrency.single_flight import SingleFlight
    from kickai_providers_core.plugin_api.adapter import Adapter
    from kickai_providers_core.plugin_api.hookspecs import ModelInfo, ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.problems import Problem
    from kickai_providers_core.values.replies import Reply, ReplyChunk
    from kickai_providers_core.values.requests import Capability, ChatRequest

__all__ = ["Instance"]


class Instance:
    """One configured provider. Safe to share between threads, event loops and forked processes.

    The provider object is created once in each process, by the first call. A forked child never uses or closes its
    parent's.

    Args:
        name: Its name in the settings.
        info: The plugin's description of itself.
        settings: The instance's settings.
        adapter: The plugin's hooks.
        unusable: Known problems that prevent its use.
        clock: Returns the monotonic time in seconds.
        wall: Returns the time of day in seconds since 1970, for the limits per day.

    Attributes:
        name: As given.
        info: As given.
        settings: As given.
        adapter: As given.
        rate_limiter: Its rate limiter; None when its settings set no limits.
        validation: Validates the settings, once.
    """

    def __init__(
        self,
        name: str,
        info: ProviderInfo,
        settings: ProviderSettings,
        adapter: Adapter,
        unusable: tuple[Problem, ...] = (),
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self.name = name
        self.info = info
        self.settings = settings
        self.adapter = adapter
        limits = Limits(
            max_concurrency=settings.max_concurrency,
            max_queue=settings.max_queue,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            requests_per_day=settings.requests_per_day,
            tokens_per_day=settings.tokens_per_day,
        )
        self.rate_limiter = None if limits.is_unlimited else RateLimiter(limits, lambda now: now + (wall() - clock()))
        self.validation = SettingsValidation(adapter, settings, unusable)
        self._clock = clock
        self._creation = ProviderCreation(name, adapter, settings)
        self._capabilities = InstanceCapabilities(name, info, settings, adapter)

    # Calls

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the provider's validated answer, blocking the thread. The time limit includes creating the provider.

        Args:
            request: The request.
            timeout_s: The time limit in seconds, greater than 0.

        Raises:
            ProviderError: The call failed or exceeded the time limit.
            RuntimeError: The instance is closed.
        """
        provider = self._creation.provider
        if provider is None:
            provider, timeout_s = self._get_provider(timeout_s)
        return self.adapter.invoke(
            provider, narrow_options(request, self.info, self.name), min(timeout_s, LONGEST_WAIT_S)
        )

    def ainvoke(self, request: ChatRequest, timeout_s: float) -> Coroutine[Any, Any, Reply]:
        """Return a coroutine that returns the provider's answer without blocking the event loop; else as `invoke`."""
        provider = self._creation.provider
        if provider is None:
            return self._create_and_ainvoke(request, timeout_s)
        return self.adapter.ainvoke(
            provider, narrow_options(request, self.info, self.name), min(timeout_s, LONGEST_WAIT_S)
        )

    async def _create_and_ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        provider, left_s = await self._aget_provider(timeout_s)
        return await self.adapter.ainvoke(provider, narrow_options(request, self.info, self.name), left_s)

    def stream(self, request: ChatRequest, timeout_s: float) -> Generator[ReplyChunk, None, None]:
        """Return a generator of the provider's chunks, to be closed by the caller; otherwise as `invoke`."""
        provider, left_s = self._get_provider(timeout_s)
        return self.adapter.stream(provider, narrow_options(request, self.info, self.name), left_s, self.settings)

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncGenerator[ReplyChunk, None]:
        """Return an async generator of the provider's chunks, to be closed by the caller; otherwise as `invoke`."""
        provider, left_s = await self._aget_provider(timeout_s)
        return self.adapter.astream(provider, narrow_options(request, self.info, self.name), left_s, self.settings)

    def get_provider(self, timeout_s: float = float("inf")) -> object:
        """Return the provider object, created by the first call; block the thread until it exists.

        Args:
            timeout_s: Seconds to wait at most.

        Raises:
            ProviderError: It could not be created, or not in time; the next call tries again.
            RuntimeError: The instance is closed.
        """
        return self._creation.get(timeout_s)

    def _get_provider(self, timeout_s: float) -> tuple[object, float]:
        """Return the provider object, created if necessary, and the seconds that are left."""
        provider = self._creation.find()
        if provider is not None:
            return provider, min(timeout_s, LONGEST_WAIT_S)
        began = self._clock()
        # Creation may take as long as a whole answer, also for a stream.
        provider = self._creation.get(min(timeout_s, self.settings.timeout_s))
        return provider, self._require_left_s(began, timeout_s)

    async def _aget_provider(self, timeout_s: float) -> tuple[object, float]:
        provider = self._creation.find()
        if provider is not None:
            return provider, min(timeout_s, LONGEST_WAIT_S)
        began = self._clock()
        provider = await self._creation.aget(min(timeout_s, self.settings.timeout_s))
        return provider, self._require_left_s(began, timeout_s)

    def _require_left_s(self, began: float, timeout_s: float) -> float:
        left_s = timeout_s - (self._clock() - began)
        if left_s <= 0:
            raise ProviderTimeoutError("the provider was not created in time")
        return min(left_s, LONGEST_WAIT_S)

    # What it can do

    def find_model(self, name: str | None) -> ModelInfo | None:
        """Return what is known about a model, or None. The name None means the instance's own model."""
        name = name or self.settings.model
        return self.info.models.get(name) if name else None

    def get_capabilities(self, model: str | None) -> frozenset[Capability]:
        """Return the capabilities of the instance with a model, from the plugin's hook or its description."""
        return self._capabilities.get(model)

    def find_capability_problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with the plugin's statements about the instance's capabilities."""
        return self._capabilities.find_problems()

    # Lifetime

    @property
    def pending_calls(self) -> tuple[SingleFlight[object], SingleFlight[tuple[Problem, ...]]]:
        """The creation and the validation, for which a fork waits."""
        return self._creation.pending_call, self.validation.pending_call

    def renew_after_fork(self) -> None:
        """Forget the parent's provider object in a child, without finalizing it. The next call creates a new one."""
        self._creation.renew_after_fork()
        self.validation.renew_after_fork()
        self.adapter.renew_after_fork()
        if self.rate_limiter is not None:
            self.rate_limiter.renew_after_fork()

    def close(self) -> None:
        """Close the provider object if there is one. Raises what its plugin raises."""
        provider = self._creation.close()
        if provider is not None:
            self.adapter.close(provider)

    async def aclose(self) -> None:
        """Close the provider object if there is one, on the running event loop. Raises what its plugin raises."""
        provider = self._creation.close()
        if provider is not None:
            await self.adapter.aclose(provider)
