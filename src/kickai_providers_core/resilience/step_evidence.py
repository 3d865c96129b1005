"""What the guard knows about one step of a ramp: the counts of both arms and the state of the tests, as a value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from attrs import Factory, asdict, evolve, field, frozen

from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.evidence import (
    WORSE_ODDS,
    Block,
    RestartingTest,
    Tally,
    compute_log_block_ratios,
    compute_log_excess_ratios,
    compute_log_proof,
    read_objects,
    require_fields,
)
from kickai_providers_core.resilience.guard_settings import SIGNALS, GuardSettings, SignalName
from kickai_providers_core.values.validation import Boolean, InstanceOf, Number, OneOf, raise_value_error

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Arm", "SignalEvidence", "StepEvidence", "StepPhase"]

Arm = Literal["candidate", "control"]
StepPhase = Literal["serving", "suspended"]

COUNT = Number(integer=True, minimum=0)


@frozen(kw_only=True)
class SignalEvidence:
    """The tests of one signal.

    Attributes:
        candidate_floor: The floor test of the candidate, since the step began or the last outage ended.
        control_floor: The floor test of the control arm. When it trips, both arms suffer from an outage.
        gap: The two-arm test, since the step began. An outage never restarts it.
        block: Traffic since the last closed block.
        candidate_proof: The candidate's bad events for the evidence test.
        control_proof: Those of the control arm, since the suspension began or the outage was last seen.
        is_shared_outage: Whether the control arm is below the limit too, so that the candidate's floor test waits.
        restarts: How often the candidate's floor test has been restarted in this step.
        trials: How often the candidate was tried again after a suspension, in this step.
        is_on_trial: Whether the candidate has been tried again and has not been proven good since.
    """

    candidate_floor: RestartingTest = field(factory=RestartingTest, validator=InstanceOf(RestartingTest))
    control_floor: RestartingTest = field(factory=RestartingTest, validator=InstanceOf(RestartingTest))
    gap: RestartingTest = field(factory=RestartingTest, validator=InstanceOf(RestartingTest))
    block: Block = field(factory=Block, validator=InstanceOf(Block))
    candidate_proof: Tally = field(factory=Tally, validator=InstanceOf(Tally))
    control_proof: Tally = field(factory=Tally, validator=InstanceOf(Tally))
    is_shared_outage: bool = field(default=False, validator=Boolean())
    restarts: int = field(default=0, validator=COUNT)
    trials: int = field(default=0, validator=COUNT)
    is_on_trial: bool = field(default=False, validator=Boolean())

    def add(self, candidate: Tally, control: Tally, limit: float, settings: GuardSettings) -> SignalEvidence:
        """Return the evidence with one batch more."""
        block, gap = self.block.add(candidate, control), self.gap
        if block.is_closed:
            gap, block = gap.add(compute_log_block_ratios(block, limit), block.candidate.total), Block()
        after = evolve(
            self,
            candidate_floor=_add_to_floor(self.candidate_floor, candidate, limit),
            control_floor=_add_to_floor(self.control_floor, control, limit),
            gap=gap,
            block=block,
            candidate_proof=self.candidate_proof + candidate,
            control_proof=self.control_proof + control,
        )
        proven, good_enough = math.log(1 / settings.advance_alpha), limit + settings.margin
        if after.is_on_trial and compute_log_proof(after.candidate_proof, good_enough) >= proven:
            after = evolve(after, is_on_trial=False)
        if after.control_floor.log_e >= math.log(1 / settings.outage_alpha):
            return evolve(after, is_shared_outage=True, control_floor=RestartingTest(), control_proof=Tally())
        if after.is_shared_outage and compute_log_proof(after.control_proof, good_enough) >= proven:
            return evolve(after.judge_afresh(), is_shared_outage=False)
        return after

    def begin_trial(self) -> SignalEvidence:
        """Return the evidence with which a suspended candidate is tried again."""
        return evolve(self.judge_afresh(), trials=self.trials + 1, is_on_trial=True)

    def judge_afresh(self) -> SignalEvidence:
        """Return the evidence after the control arm has recovered: the candidate is judged from here on."""
        return evolve(
            self,
            restarts=self.restarts + 1,
            candidate_floor=RestartingTest(),
            candidate_proof=Tally(),
        )

    def change_phase(self) -> SignalEvidence:
        """Return the evidence after a change of the traffic: no block spans it, and the control is proven again."""
        return evolve(self, block=Block(), control_proof=Tally())

    @classmethod
    def from_dict(cls, data: object, where: str = "signal") -> SignalEvidence:
        """Return evidence from what `attrs.asdict` made of it. Raises TypeError and ValueError."""
        values = require_fields(cls, data, where)
        for name, kind in _PARTS.items():
            values[name] = kind.from_dict(values[name], f"{where}.{name}")
        return cls(**values)


_PARTS: dict[str, type[RestartingTest | Block | Tally]] = {
    "candidate_floor": RestartingTest,
    "control_floor": RestartingTest,
    "gap": RestartingTest,
    "block": Block,
    "candidate_proof": Tally,
    "control_proof": Tally,
}


def _add_to_floor(test: RestartingTest, tally: Tally, limit: float) -> RestartingTest:
    return test.add(compute_log_excess_ratios(tally, limit, WORSE_ODDS), tally.total) if tally.total else test


@frozen(kw_only=True)
class StepEvidence:
    """All evidence of one step of a ramp. ``StepEvidence()`` begins a step.

    Attributes:
        phase: ``serving``, or ``suspended`` while the candidate's share is provisionally 0.
        cause: The signal that suspended the candidate; None while serving.
        candidate: Counts of the candidate since the phase began.
        control: Counts of the control arm since the phase began.
        signals: The tests of each judged signal.
    """

    phase: StepPhase = field(default="serving", validator=OneOf(("serving", "suspended")))
    cause: SignalName | None = None
    candidate: ArmCounts = field(default=ArmCounts(), validator=InstanceOf(ArmCounts))
    control: ArmCounts = field(default=ArmCounts(), validator=InstanceOf(ArmCounts))
    signals: dict[SignalName, SignalEvidence] = Factory(dict)

    def __attrs_post_init__(self) -> None:
        """Check that a cause belongs to a suspension."""
        if self.cause not in (SIGNALS if self.phase == "suspended" else (None,)):
            raise_value_error("StepEvidence.cause", f"a signal if, and only if, suspended: {SIGNALS}", repr(self.cause))

    def add(self, counts: Mapping[Arm, ArmCounts], settings: GuardSettings) -> StepEvidence:
        """Return the evidence with one batch more.

        While suspended, late answers of the candidate are counted but not tested.

        Args:
            counts: The new counts of each arm; a missing arm has no traffic.
            settings: The limits.
        """
        mine, other = counts.get("candidate", ArmCounts()), counts.get("control", ArmCounts())
        tests = dict(self.signals)
        for signal in settings.signals:
            tally = Tally() if self.phase == "suspended" else mine.tally(signal.name)
            test = tests.get(signal.name, SignalEvidence())
            tests[signal.name] = test.add(tally, other.tally(signal.name), signal.limit, settings)
        return evolve(self, candidate=self.candidate + mine, control=self.control + other, signals=tests)

    def get(self, signal: SignalName) -> SignalEvidence:
        """Return the tests of a signal; new ones when nothing was counted."""
        return self.signals.get(signal, SignalEvidence())

    def suspend(self, cause: SignalName) -> StepEvidence:
        """Return the evidence with which a suspension begins."""
        return StepEvidence(phase="suspended", cause=cause, signals=self._change_phase())

    def restore(self) -> StepEvidence:
        """Return the evidence with which the step goes on after a suspension."""
        return StepEvidence(signals=self._change_phase())

    def begin_trial(self, cause: SignalName) -> StepEvidence:
        """Return the evidence with which the candidate is tried again after a suspension."""
        tests = self._change_phase()
        return StepEvidence(signals=tests | {cause: tests[cause].begin_trial()})

    def _change_phase(self) -> dict[SignalName, SignalEvidence]:
        return {name: test.change_phase() for name, test in self.signals.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return the evidence as JSON."""
        return asdict(self, value_serializer=lambda _, __, value: list(value) if isinstance(value, tuple) else value)

    @classmethod
    def from_dict(cls, data: object) -> StepEvidence:
        """Return evidence from `as_dict`, also after a round trip through JSON.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A field is missing, unknown or out of its range. The message names it.
        """
        values = require_fields(cls, data, "evidence")
        for arm in ("candidate", "control"):
            values[arm] = ArmCounts.from_dict(values[arm], f"evidence.{arm}")
        tests = read_objects(values["signals"], "evidence.signals")
        for name in tests:
            OneOf(SIGNALS).check("evidence.signals", name)
        values["signals"] = {
            name: SignalEvidence.from_dict(test, f"evidence.signals.{name}") for name, test in tests.items()
        }
        return cls(**values)
