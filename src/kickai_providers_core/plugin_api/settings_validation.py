"""The offline validation of one instance's settings by its plugin: made once, in a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.single_flight import SingleFlight

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.adapter import Adapter
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.problems import Problem

__all__ = ["SettingsValidation"]

SLOW_S = 1.0
"""After a request has waited this long, in seconds, no other request waits for the validation until it ends."""


class SettingsValidation:
    """Validates the settings of one instance, once. Safe to use from any thread.

    Args:
        adapter: The plugin's hooks.
        settings: The settings.
        problems: Problems that are already known; then the plugin is not called.

    Attributes:
        found: What prevents the use of the settings; None while that is unknown.
        pending_call: The validation, made once for all requests that wait.
        is_slow: Whether a request has waited `SLOW_S` without a result. Then no other request waits.
    """

    def __init__(self, adapter: Adapter, settings: ProviderSettings, problems: tuple[Problem, ...] = ()) -> None:
        self._adapter = adapter
        self._settings = settings
        self.found: tuple[Problem, ...] | None = problems or (None if adapter.validates else ())
        self.pending_call: SingleFlight[tuple[Problem, ...]] = SingleFlight(self._validate)
        self.is_slow = False

    def find_problems(self) -> tuple[Problem, ...]:
        """Return what prevents the use of the settings. The first call waits for the plugin."""
        self.wait(float("inf"))
        return self.find_known_problems() or ()

    def find_known_problems(self) -> tuple[Problem, ...] | None:
        """Return what prevents the use of the settings, without waiting; None while that is unknown."""
        if self.found is None and self.pending_call.is_done:
            self.wait(0.0)
        return self.found

    def wait(self, timeout_s: float) -> None:
        """Validate the settings unless that is done, and wait for at most ``timeout_s`` seconds."""
        if self.found is None:
            try:
                self._keep_errors(self.pending_call.wait(timeout_s))
            except TimeoutError:
                self._note_slowness(timeout_s)

    async def await_(self, timeout_s: float) -> None:
        """Wait without blocking the event loop; otherwise as `wait`."""
        if self.found is None:
            try:
                self._keep_errors(await self.pending_call.await_(timeout_s))
            except TimeoutError:
                self._note_slowness(timeout_s)

    def begin(self) -> None:
        """Begin to validate the settings unless that is done, without waiting."""
        if self.found is None:
            self.pending_call.begin()

    def renew_after_fork(self) -> None:
        """Forget a validation that is running in the parent."""
        self.pending_call = SingleFlight(self._validate)
        self.is_slow = False

    def _validate(self) -> tuple[Problem, ...]:
        return self._adapter.validate(self._settings)

    def _keep_errors(self, found: tuple[Problem, ...]) -> None:
        self.found = tuple(problem for problem in found if problem.severity == "error")

    def _note_slowness(self, waited_s: float) -> None:
        self.is_slow = self.is_slow or waited_s >= SLOW_S
