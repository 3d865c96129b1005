"""Calls that an application makes without a chain: their outcome counts in the resolver's health and metrics."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from attrs import field, frozen

from kickai_providers_core.values.attempts import Attempt, Outcome
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.errors import ProviderError
from kickai_providers_core.values.events import AttemptEnded, BreakerChanged, RequestEnded
from kickai_providers_core.values.usage import Usage
from kickai_providers_core.values.validation import (
    InstanceOf,
    Number,
    Text,
    hide_constructor_arguments,
    quote_with_type,
    raise_argument_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core.plugin_api.registry import Registry
    from kickai_providers_core.resilience.health import Health
    from kickai_providers_core.values.events import Event

__all__ = ["OutsideCall", "OutsideCalls"]

NOT_NEGATIVE = Number(minimum=0)


@hide_constructor_arguments
@frozen(kw_only=True, eq=False, repr=False)
class OutsideCall(Value):
    """One request that an application has sent without a chain, for example with a vendor's own client.

    Attributes:
        provider: The instance's name, or any other name for a service that the settings do not have.
        model: The model; None when unknown.
        role: The agent's role, or None.
        latency_s: Seconds from the call to its end, from 0.
        usage: The tokens that the service has reported; None when it has not.
        error: What failed; None for an answer. Only the name of its class is kept, unless it is a `ProviderError`.
    """

    provider: str = field(validator=Text())
    model: str | None = field(default=None, validator=Text(optional=True))
    role: str | None = field(default=None, validator=Text(optional=True))
    latency_s: float = field(default=0.0, validator=NOT_NEGATIVE)
    usage: Usage | None = field(default=None, validator=InstanceOf(Usage, optional=True))
    error: BaseException | None = field(default=None, validator=InstanceOf(BaseException, optional=True))

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return Outcome.SUCCESS if self.error is None else Outcome.ERROR

    def build_attempt(self) -> Attempt:
        """Return the call as the only attempt of its request."""
        error = self.error
        if error is not None and not isinstance(error, ProviderError):
            error = ProviderError(f"{type(error).__name__} in a call without a chain", provider=self.provider)
        return Attempt(
            position=0,
            provider=self.provider,
            model=self.model,
            number=1,
            started_s=0.0,
            latency_s=self.latency_s,
            outcome=self.outcome,
            error=error,
        )


@frozen(kw_only=True, eq=False, repr=False)
class OutsideCalls:
    """Records calls that an application has made without a chain. Safe to use from any thread.

    `record_outcome` changes health and counts nothing; `record_call` counts and changes no health.
    """

    _registry: Registry
    _health: Health
    _emit: Callable[[Event], None]
    _renew: Callable[[], object]
    _request_numbers: Iterator[int]
    _clock: Callable[[], float] = monotonic

    def record_outcome(self, provider: str, *, ok: bool) -> None:
        """Record in the health of a provider as a whole how a call ended.

        A failure counts as one of the failures that open its circuit breaker. A success lowers the count, and closes
        an open breaker as a successful probe does. Neither changes anything during a delay that the service has stated.

        Args:
            provider: The instance's name, or a plugin's name or alias.
            ok: Whether the provider has answered.

        Raises:
            UnknownProviderError: The provider is not configured.
            ArgumentTypeError: An argument has the wrong type.
        """
        if not isinstance(ok, bool):
            raise_argument_error("ok", "True or False", quote_with_type(ok))
        if not isinstance(provider, str):
            raise_argument_error("provider", "a string", quote_with_type(provider))
        instance = self._registry.find(provider)
        if instance is None:
            raise self._registry.build_unknown_error(provider)
        self._renew()
        now = self._clock()
        state = self._health.get_target(instance.name, None, now).provider
        before = state.breaker.state
        permit = state.admit(now)
        if permit is None and ok:
            permit = state.force(now)
        if permit is None:
            return
        if ok:
            state.record_success(permit)
        else:
            state.record_failure(permit, now)
        after = state.breaker.state
        if after is not before:
            retry_in_s = max(0.0, state.get_available_at(now) - now)
            self._emit(BreakerChanged(0, None, instance.name, None, before, after, retry_in_s))

    def record_call(self, call: OutsideCall) -> None:
        """Count a call as a request with one attempt, in the store's metrics and for all observers."""
        self._renew()
        number, attempt = next(self._request_numbers), call.build_attempt()
        self._emit(AttemptEnded(number, call.role, attempt, call.usage))
        answered = call.error is None
        self._emit(
            RequestEnded(
                number,
                call.role,
                call.outcome.value,
                call.latency_s,
                1,
                error=None if call.error is None else type(call.error).__name__,
                provider=call.provider if answered else "",
                model=(call.model or "") if answered else "",
                usage=call.usage,
            )
        )
