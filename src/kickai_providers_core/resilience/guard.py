"""The rollout guard: what the evidence of a step says about its candidate.

`judge` decides and does nothing else. Its caller counts first attempts, adds them to a `StepEvidence`, carries out the
`Verdict` and goes on with ``verdict.next_evidence``. Only ``restore`` and ``advance`` raise a share: the first returns
to a share that a person or a ramp had set, and the second is meant for a ramp that a person started.
"""

from __future__ import annotations

import math
from typing import Literal

from attrs import Factory, field, frozen

from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.evidence import (
    Tally,
    compute_log_proof,
    compute_log_split_mismatch,
    count_more_needed,
    split_alpha,
)
from kickai_providers_core.resilience.guard_settings import GuardSettings, Signal, SignalName
from kickai_providers_core.resilience.step_evidence import Arm, StepEvidence
from kickai_providers_core.values.validation import Number

__all__ = ["Arm", "ArmCounts", "GuardAction", "GuardSettings", "Reason", "StepEvidence", "Verdict", "judge"]

GuardAction = Literal["hold", "advance", "suspend", "restore", "finalize", "roll_back"]
Reason = Literal[
    "no_traffic",
    "inconclusive",
    "split_mismatch",
    "shared_outage",
    "proven",
    "below_floor",
    "worse_than_control",
    "control_is_good",
    "control_has_recovered",
    "control_unproven",
    "no_longer_judged",
]

SPLIT_ALPHA = 1e-3
"""The error rate of the check of the split."""

TESTS_PER_SIGNAL = 2
"""Tests that can roll back: the floor test and the two-arm test."""

FIRST_RUN = 0.8
"""The part of its error rate that the floor test uses until the first shared outage; its restarts share the rest."""

MAX_TRIALS = 5
"""How often a candidate is tried again in a step, at most, even if it is proven good after each time."""

MAX_LOG_E = 700.0
"""The largest logarithm of an e-value that is reported; a float cannot hold its exponential far beyond."""


@frozen(kw_only=True)
class Verdict:
    """What the guard decides, and why.

    Attributes:
        action: ``hold``: change nothing. ``advance``: the step has passed. ``suspend``: set the share to 0
            provisionally. ``restore``: return to the share before the suspension, after a shared outage or to try the
            candidate again. ``finalize``: the suspension becomes a rollback. ``roll_back``: set the share to 0 for
            good.
        reason: Why, for programs.
        message: Why, for people, with the figures.
        signal: The signal that decided; None when none did.
        numbers: The evidence: counts of the arms, limits and e-values.
        requests_needed: For ``hold``: an estimate of how many more requests of the candidate (while suspended: of the
            control arm) the decision needs. None when unknown, and when the present rate would never suffice.
        next_evidence: The evidence with which counting goes on.
    """

    action: GuardAction
    reason: Reason
    message: str
    next_evidence: StepEvidence
    signal: SignalName | None = None
    numbers: dict[str, float] = Factory(dict)
    requests_needed: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether the rollout has ended."""
        return self.action in {"finalize", "roll_back"}


@frozen(kw_only=True)
class _Case:
    """What `judge` was given."""

    evidence: StepEvidence
    settings: GuardSettings
    share: float = field(validator=Number(minimum=0, maximum=1))
    steps: int = field(validator=Number(integer=True, minimum=1))
    roles: int = field(validator=Number(integer=True, minimum=1))

    @property
    def alpha(self) -> float:
        """The error rate of one test that can roll back."""
        tests = TESTS_PER_SIGNAL * len(self.settings.signals)
        return split_alpha(self.settings.alpha, steps=self.steps, tests=tests, roles=self.roles)


def judge(evidence: StepEvidence, settings: GuardSettings, *, share: float, steps: int, roles: int = 1) -> Verdict:
    """Decide what follows from the evidence of a step.

    Args:
        evidence: Everything counted since the step began.
        settings: The limits.
        share: The share of the step, from 0 to 1. It is not read while suspended.
        steps: The number of steps of the whole ramp, which share the error rate.
        roles: The number of roles that are judged apart, which share it too.
    """
    case = _Case(evidence=evidence, settings=settings, share=share, steps=steps, roles=roles)
    if evidence.phase == "suspended":
        return _judge_suspension(case)
    return _find_reason_to_go_back(case) or _find_reason_to_hold(case) or _advance(case)


def _find_reason_to_go_back(case: _Case) -> Verdict | None:
    evidence = case.evidence
    for signal in case.settings.signals:
        log_e = evidence.get(signal.name).gap.log_e
        if log_e >= math.log(1 / case.alpha):
            facts = f"{_describe(case, signal, 'candidate')}, {_describe(case, signal, 'control')}"
            return _decide(case, signal, "roll_back", "worse_than_control", facts=facts, log_e=log_e, alpha=case.alpha)
    for signal in case.settings.signals:
        tests = evidence.get(signal.name)
        is_alone = case.share >= 1
        if tests.is_shared_outage and not is_alone:
            continue
        alpha = case.alpha * _compute_run_weight(tests.restarts)
        if tests.candidate_floor.log_e >= math.log(1 / alpha):
            facts, log_e = (
                f"{_describe(case, signal, 'candidate')}, limit {signal.limit:.2%}",
                tests.candidate_floor.log_e,
            )
            action: GuardAction = "roll_back" if is_alone else "suspend"
            return _decide(case, signal, action, "below_floor", facts=facts, log_e=log_e, alpha=alpha)
    return None


def _find_reason_to_hold(case: _Case) -> Verdict | None:
    evidence = case.evidence
    if not evidence.candidate.n:
        return _hold(case, "no_traffic", facts="no first attempt of the candidate has been counted")
    if 0 < case.share < 1:
        mine, other = evidence.candidate.keys, evidence.control.keys
        log_e = compute_log_split_mismatch(mine, other, case.share)
        if log_e >= math.log(1 / SPLIT_ALPHA):
            facts = f"candidate {mine} of {mine + other} keys, share {case.share:.2%}, {_compare(log_e, SPLIT_ALPHA)}"
            return _hold(
                case, "split_mismatch", facts=facts, numbers={"e": _compute_e_value(log_e), "share": case.share}
            )
    for signal in case.settings.signals:
        tests, limit = evidence.get(signal.name), signal.limit + case.settings.margin
        if not signal.is_required or compute_log_proof(tests.candidate_proof, limit) >= math.log(
            1 / case.settings.advance_alpha
        ):
            continue
        needed = count_more_needed(tests.candidate_proof, limit, case.settings.advance_alpha)
        reason: Reason = "shared_outage" if tests.is_shared_outage and case.share < 1 else "inconclusive"
        facts = f"{_describe(case, signal, 'candidate')}, not yet proven below {limit:.2%}"
        if reason == "shared_outage":
            facts += f"; {_describe(case, signal, 'control')}, so the floor test waits for the control arm to recover"
        return _hold(case, reason, facts=facts, signal=signal, needed=needed)
    return None


def _advance(case: _Case) -> Verdict:
    signal = case.settings.signals[0]
    limit = signal.limit + case.settings.margin
    tally = case.evidence.get(signal.name).candidate_proof
    facts = f"{_count('candidate', tally, signal)}, proven below {limit:.2%}"
    return _decide(
        case,
        signal,
        "advance",
        "proven",
        facts=facts,
        log_e=compute_log_proof(tally, limit),
        alpha=case.settings.advance_alpha,
    )


def _judge_suspension(case: _Case) -> Verdict:
    signal = case.settings.find(case.evidence.cause)
    if signal is None:
        facts = f"the limit of {case.evidence.cause}, which suspended the candidate, was removed"
        return Verdict(
            action="restore", reason="no_longer_judged", message=facts, next_evidence=case.evidence.restore()
        )
    tests, limit = case.evidence.get(signal.name), signal.limit + case.settings.margin
    log_e = compute_log_proof(tests.control_proof, limit)
    if tests.is_shared_outage:
        facts = f"{_describe(case, signal, 'control')} since the suspension, so both arms share an outage"
        return _decide(case, signal, "restore", "shared_outage", facts=facts)
    if log_e >= math.log(1 / case.alpha):
        facts = f"{_count('control', tests.control_proof, signal)} since the suspension, proven below {limit:.2%}"
        # A short outage of both arms may be over before the control arm shows it, since it has all traffic only later.
        # So the candidate is judged once more, by requests after the recovery of the control arm alone.
        is_final = tests.is_on_trial or tests.trials >= MAX_TRIALS
        action: GuardAction = "finalize" if is_final else "restore"
        reason: Reason = "control_is_good" if is_final else "control_has_recovered"
        facts += "" if is_final else "; the candidate is tried again, since both arms may have had a short outage"
        return _decide(case, signal, action, reason, facts=facts, log_e=log_e, alpha=case.alpha)
    needed = count_more_needed(tests.control_proof, limit, case.alpha)
    facts = f"suspended; {_count('control', tests.control_proof, signal)}, not yet proven below {limit:.2%}"
    return _hold(case, "control_unproven", facts=facts, signal=signal, needed=needed)


def _decide(
    case: _Case,
    signal: Signal,
    action: GuardAction,
    reason: Reason,
    *,
    facts: str,
    log_e: float | None = None,
    alpha: float = 1.0,
) -> Verdict:
    """Return a verdict that rests on a signal; without an e-value, the facts say all."""
    return Verdict(
        action=action,
        reason=reason,
        message=facts if log_e is None else f"{facts}, {_compare(log_e, alpha)}",
        signal=signal.name,
        numbers=_build_numbers(case, signal)
        | ({} if log_e is None else {"e": _compute_e_value(log_e), "threshold": 1 / alpha}),
        next_evidence=_begin_next(case.evidence, signal.name, action, reason),
    )


def _begin_next(evidence: StepEvidence, cause: SignalName, action: GuardAction, reason: Reason) -> StepEvidence:
    """Return the evidence with which the rollout goes on after an action."""
    if action == "suspend":
        return evidence.suspend(cause)
    if action != "restore":
        return StepEvidence()
    return evidence.begin_trial(cause) if reason == "control_has_recovered" else evidence.restore()


def _hold(
    case: _Case,
    reason: Reason,
    *,
    facts: str,
    signal: Signal | None = None,
    needed: int | None = None,
    numbers: dict[str, float] | None = None,
) -> Verdict:
    if signal is not None:
        facts += "; the present rate is not enough" if needed is None else f"; about {needed} more requests needed"
    return Verdict(
        action="hold",
        reason=reason,
        message=facts,
        signal=None if signal is None else signal.name,
        numbers=numbers or ({} if signal is None else _build_numbers(case, signal)),
        requests_needed=needed,
        next_evidence=case.evidence,
    )


def _compute_run_weight(restarts: int) -> float:
    """Return the part of its error rate for a run of the floor test; all parts together make 1."""
    return FIRST_RUN if not restarts else (1 - FIRST_RUN) / (restarts * (restarts + 1))


def _build_numbers(case: _Case, signal: Signal) -> dict[str, float]:
    mine, other = case.evidence.candidate.tally(signal.name), case.evidence.control.tally(signal.name)
    return {
        "candidate_bad": mine.bad,
        "candidate_total": mine.total,
        "control_bad": other.bad,
        "control_total": other.total,
        "limit": signal.limit,
        "margin": case.settings.margin,
    }


def _describe(case: _Case, signal: Signal, arm: Arm) -> str:
    counts: ArmCounts = getattr(case.evidence, arm)
    return _count(arm, counts.tally(signal.name), signal)


def _count(arm: Arm, tally: Tally, signal: Signal) -> str:
    return f"{arm} {tally.bad} of {tally.total} {signal.words}"


def _compute_e_value(log_e: float) -> float:
    return math.exp(min(log_e, MAX_LOG_E))


def _compare(log_e: float, alpha: float) -> str:
    return f"e = {_compute_e_value(log_e):.3g} >= {1 / alpha:.4g}"
