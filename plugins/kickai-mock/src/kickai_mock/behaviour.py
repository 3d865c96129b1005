"""What each call of a model does: decided from the settings, the seed and the number of the call. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from attrs import field, frozen
from kickai_providers_core import ModelNotFoundError

from kickai_mock.draws import draw_lognormal, draw_shares
from kickai_mock.faults import KINDS, OK, Fault
from kickai_mock.settings import parse_drill

if TYPE_CHECKING:
    from kickai_mock.settings import MockSettings

__all__ = ["ModelBehaviour"]


@frozen(kw_only=True)
class ModelBehaviour:
    """The behaviour of one model, with every entry parsed and every default filled in.

    Attributes:
        model: Its name.
        seed: The seed of its draws.
        texts: Its answers, in turn; empty when it echoes.
        latency_s: The latency; the minimum of a uniform one, the median of a lognormal one.
        latency_max_s: The maximum of a uniform latency.
        latency_sigma: Above 0 for a lognormal latency.
        pause_s: Seconds between two pieces of a stream.
        script: What its first calls do, or all of them in turn when it repeats.
        repeat: Whether the script starts over.
        rates: The share of calls for each fault, when the script is over.
        is_constant: Whether all calls are the same, so that nothing is drawn.
    """

    model: str
    seed: int
    texts: tuple[str, ...]
    latency_s: float
    latency_max_s: float | None
    latency_sigma: float
    pause_s: float
    script: tuple[Fault, ...]
    repeat: bool
    rates: tuple[tuple[Fault, float], ...]
    is_constant: bool = field(init=False)

    @is_constant.default
    def _draws_nothing(self) -> bool:
        return not (self.script or self.rates or self.latency_sigma or self.latency_max_s is not None)

    @classmethod
    def from_settings(cls, settings: MockSettings, model: str) -> Self:
        """Return the behaviour of a model.

        Raises:
            ModelNotFoundError: The model's name begins as a fault, but is not a valid one.
        """
        own = settings.get_behaviour(model)
        imposed = _find_imposed_script(settings, model)
        rates = {} if imposed else own.rates or {}
        return cls(
            model=model,
            seed=settings.seed,
            texts=(own.cycle or ()) if own.reply is None else (own.reply,),
            latency_s=own.latency_s or 0.0,
            latency_max_s=own.latency_max_s,
            latency_sigma=own.latency_sigma or 0.0,
            pause_s=own.pause_s or 0.0,
            script=imposed or tuple(map(Fault.parse, own.script or ())),
            repeat=bool(imposed or own.repeat),
            rates=tuple((Fault.parse(entry), share) for entry, share in rates.items()),
        )

    def plan_call(self, number: int) -> tuple[Fault, float]:
        """Return what a call does, and its latency in seconds.

        Args:
            number: The number of the call, from 0.
        """
        if self.is_constant:
            return OK, self.latency_s
        for_fault, *for_latency = draw_shares(self.seed, self.model, number)
        return self._choose_fault(number, for_fault), self._choose_latency_s(*for_latency)

    def _choose_fault(self, number: int, share: float) -> Fault:
        if self.script and (self.repeat or number < len(self.script)):
            return self.script[number % len(self.script)]
        for fault, rate in self.rates:
            if share < rate:
                return fault
            share -= rate
        return OK

    def _choose_latency_s(self, one: float, other: float) -> float:
        if self.latency_max_s is not None:
            return self.latency_s + one * (self.latency_max_s - self.latency_s)
        if self.latency_sigma:
            return draw_lognormal(one, other, self.latency_s, self.latency_sigma)
        return self.latency_s


def _find_imposed_script(settings: MockSettings, model: str) -> tuple[Fault, ...]:
    """Return the script that a drill or the model's own name imposes; empty without one."""
    drill = parse_drill(settings.drill)
    script = drill.get(model, drill.get(""))
    if script is not None:
        return script
    if model in settings.models or model.partition(":")[0].strip() not in KINDS:
        return ()
    try:
        return (Fault.parse(model),)
    except ValueError as exc:
        raise ModelNotFoundError(str(exc)) from None
