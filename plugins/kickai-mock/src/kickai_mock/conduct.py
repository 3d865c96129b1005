"""What a model does at each of its calls: decided from settings, seed and the call's number, without any effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from attrs import field, frozen
from kickai_providers_core import ModelNotFoundError

from kickai_mock.draws import lognormal, shares
from kickai_mock.faults import KINDS, OK, Fault
from kickai_mock.settings import drill_scripts

if TYPE_CHECKING:
    from kickai_mock.settings import MockSettings

__all__ = ["Conduct"]


@frozen(kw_only=True)
class Conduct:
    """How one model behaves, with every entry read and every default filled in.

    Attributes:
        model: Its name.
        seed: Where its draws come from.
        texts: What it answers in turn; nothing when it echoes.
        latency_s: The latency, or the least when it is drawn evenly, or the median of a lognormal.
        latency_max_s: The most, when it is drawn evenly.
        latency_sigma: Above 0 when it is drawn from a lognormal.
        pause_s: Seconds between two pieces of a stream.
        script: What its first calls do, or all of them in turn when it repeats.
        repeat: Whether the script goes round.
        rates: The shares of its calls that do each fault, when no script speaks.
        steady: Whether all its calls are alike, so that nothing needs to be drawn.
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
    steady: bool = field(init=False)

    @steady.default
    def _all_alike(self) -> bool:
        return not (self.script or self.rates or self.latency_sigma or self.latency_max_s is not None)

    @classmethod
    def of(cls, settings: MockSettings, model: str) -> Self:
        """Return how a model of these settings behaves.

        Raises:
            ModelNotFoundError: The model's name begins as an entry of the fault grammar, but is none.
        """
        own = settings.behaviour_of(model)
        imposed = _imposed(settings, model)
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

    def at(self, number: int) -> tuple[Fault, float]:
        """Return what the model's call does, and its latency in seconds.

        Args:
            number: Of the call, from 0.
        """
        if self.steady:
            return OK, self.latency_s
        for_fault, *for_latency = shares(self.seed, self.model, number)
        return self._fault(number, for_fault), self._latency(*for_latency)

    def _fault(self, number: int, share: float) -> Fault:
        if self.script and (self.repeat or number < len(self.script)):
            return self.script[number % len(self.script)]
        for fault, rate in self.rates:
            if share < rate:
                return fault
            share -= rate
        return OK

    def _latency(self, one: float, other: float) -> float:
        if self.latency_max_s is not None:
            return self.latency_s + one * (self.latency_max_s - self.latency_s)
        if self.latency_sigma:
            return lognormal(one, other, self.latency_s, self.latency_sigma)
        return self.latency_s


def _imposed(settings: MockSettings, model: str) -> tuple[Fault, ...]:
    """Return the script that a drill, or its own name, imposes on a model; empty when none does."""
    drill = drill_scripts(settings.drill)
    script = drill.get(model, drill.get(""))
    if script is not None:
        return script
    if model in settings.models or model.partition(":")[0].strip() not in KINDS:
        return ()
    try:
        return (Fault.parse(model),)
    except ValueError as exc:
        raise ModelNotFoundError(str(exc)) from None
