"""What a model does at each of its calls: decided from settings, seed and the call's number, without any effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from attrs import field, frozen
from kickai_providers_core.errors import ModelNotFoundError

from kickai_mock.draws import lognormal, shares
from kickai_mock.faults import KINDS, OK, Fault
from kickai_mock.settings import drill_scripts

if TYPE_CHECKING:
    from kickai_mock.settings import Behaviour, MockSettings

__all__ = ["Conduct"]


@frozen(kw_only=True)
class Conduct:
    """How one model behaves, with every entry read and every default filled in.

    Attributes:
        model: Its name.
        seed: Where its draws come from.
        behaviour: What the settings say of it.
        script: What its first calls do, or all of them in turn when it repeats.
        repeat: Whether the script goes round.
        rates: The shares of its calls that do each fault.
        texts: What it answers in turn; nothing when it echoes.
        latency_s: The latency, or the least, or the median, as the behaviour says.
        pause_s: Seconds between two pieces of a stream.
        steady: Whether all its calls are alike, so that nothing needs to be drawn.
    """

    model: str
    seed: int
    behaviour: Behaviour
    script: tuple[Fault, ...]
    repeat: bool
    rates: tuple[tuple[Fault, float], ...]
    texts: tuple[str, ...] = field(init=False)
    latency_s: float = field(init=False)
    pause_s: float = field(init=False)
    steady: bool = field(init=False)

    @texts.default
    def _texts(self) -> tuple[str, ...]:
        reply = self.behaviour.reply
        return (self.behaviour.cycle or ()) if reply is None else (reply,)

    @latency_s.default
    def _latency_s(self) -> float:
        return self.behaviour.latency_s or 0.0

    @pause_s.default
    def _pause_s(self) -> float:
        return self.behaviour.pause_s or 0.0

    @steady.default
    def _steady(self) -> bool:
        behaviour = self.behaviour
        drawn = behaviour.latency_max_s is not None or behaviour.latency_sigma
        return not (self.script or self.rates or drawn)

    @classmethod
    def of(cls, settings: MockSettings, model: str) -> Self:
        """Return how a model of these settings behaves.

        Raises:
            ModelNotFoundError: The model's name begins as an entry of the fault grammar, but is none.
        """
        behaviour = settings.behaviour_of(model)
        imposed = _imposed(settings, model)
        own = imposed or tuple(map(Fault.parse, behaviour.script or ()))
        rates = (
            () if imposed else tuple((Fault.parse(entry), share) for entry, share in (behaviour.rates or {}).items())
        )
        return cls(
            model=model,
            seed=settings.seed,
            behaviour=behaviour,
            script=own,
            repeat=bool(imposed or behaviour.repeat),
            rates=rates,
        )

    def at(self, number: int) -> tuple[Fault, float]:
        """Return what the model's call does, and its latency in seconds.

        Args:
            number: Of the call, from 0.
        """
        if self.steady:
            return OK, self.latency_s
        for_fault, for_latency = shares(self.seed, self.model, number)
        return self._fault(number, for_fault), self._latency(for_latency)

    def _fault(self, number: int, share: float) -> Fault:
        if self.script and (self.repeat or number < len(self.script)):
            return self.script[number % len(self.script)]
        for fault, rate in self.rates:
            if share < rate:
                return fault
            share -= rate
        return OK

    def _latency(self, share: float) -> float:
        behaviour = self.behaviour
        if behaviour.latency_max_s is not None:
            return self.latency_s + share * (behaviour.latency_max_s - self.latency_s)
        if behaviour.latency_sigma:
            return lognormal(share, self.latency_s, behaviour.latency_sigma)
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
