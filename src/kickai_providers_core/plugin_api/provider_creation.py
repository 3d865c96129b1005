"""Creates the provider object of an instance, once in each process."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NoReturn

from kickai_providers_core.concurrency.forking import never_finalize
from kickai_providers_core.concurrency.single_flight import SingleFlight
from kickai_providers_core.plugin_api.isolation import is_process_exit
from kickai_providers_core.values.errors import ProviderError, ProviderTimeoutError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.adapter import Adapter
    from kickai_providers_core.plugin_api.settings import ProviderSettings

__all__ = ["ProviderCreation"]


class ProviderCreation:
    """The provider object of one instance, created by the first call. Safe to use from any thread.

    Args:
        name: The instance's name.
        adapter: Its plugin's hooks.
        settings: Its settings.

    Attributes:
        pending_call: The creation, made once for all callers that wait.
    """

    def __init__(self, name: str, adapter: Adapter, settings: ProviderSettings) -> None:
        self._name = name
        self._adapter = adapter
        self._settings = settings
        self._lock = Lock()
        self.provider: object | None = None
        self._is_closed = False
        self.pending_call: SingleFlight[object] = SingleFlight(self._create)

    def get(self, timeout_s: float) -> object:
        """Return the provider object, blocking the thread until it exists.

        An object that is created too late for this call serves the next one.

        Args:
            timeout_s: Seconds to wait at most.

        Raises:
            ProviderTimeoutError: It does not exist after ``timeout_s`` seconds.
            ProviderError: It could not be created; the next call tries again.
            RuntimeError: The instance is closed.
        """
        provider = self.find()
        if provider is not None:
            return provider
        try:
            return self.pending_call.wait(timeout_s)
        except TimeoutError as exc:
            _raise_timeout(exc)

    async def aget(self, timeout_s: float) -> object:
        """Return the provider object without blocking the event loop; otherwise as `get`."""
        provider = self.find()
        if provider is not None:
            return provider
        try:
            return await self.pending_call.await_(timeout_s)
        except TimeoutError as exc:
            _raise_timeout(exc)

    def close(self) -> object | None:
        """Reject all further calls, and return the provider object for the plugin to close, or None."""
        with self._lock:
            self._is_closed = True
            provider, self.provider = self.provider, None
            return provider

    def renew_after_fork(self) -> None:
        """Forget the parent's provider object in a child, without finalizing it."""
        self._lock = Lock()
        provider, self.provider = self.provider, None
        if provider is not None:
            never_finalize(provider)
        self.pending_call = SingleFlight(self._create)

    def find(self) -> object | None:
        """Return the provider object if it exists.

        Raises:
            RuntimeError: The instance is closed.
        """
        if self._is_closed:
            raise self._build_closed_error()
        return self.provider

    def _create(self) -> object:
        provider = self._adapter.create(self._settings)
        with self._lock:
            if not self._is_closed:
                self.provider = provider
                return provider
        try:
            self._adapter.close(provider)  # the instance was closed during the creation, and no one else has the object
        except BaseException as exc:
            if is_process_exit(exc):
                raise
        raise self._build_closed_error()

    def _build_closed_error(self) -> RuntimeError:
        return RuntimeError(f"the resolver of {self._name} is closed")


def _raise_timeout(error: TimeoutError) -> NoReturn:
    if isinstance(error, ProviderError):  # the plugin's own
        raise error
    raise ProviderTimeoutError("the provider was not created in time") from error
