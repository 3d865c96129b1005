"""The rollout in a running process: follows the stored plan, counts evidence, and carries out the guard's verdicts."""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from kickai_providers_core.concurrency.clock import REAL_TIME
from kickai_providers_core.observability.alerts import run_alert
from kickai_providers_core.observability.key_counter import KeyCounter
from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.guard import judge
from kickai_providers_core.resilience.judged_attempts import count_attempt
from kickai_providers_core.resilience.rollout import Rollout, RolloutPlan
from kickai_providers_core.resilience.rollout_shares import BUCKETS, CANDIDATE, CONTROL, format_share
from kickai_providers_core.resilience.rollout_transitions import apply_verdict
from kickai_providers_core.resilience.step_evidence import StepEvidence
from kickai_providers_core.stores.api import HistoryEntry, StoreError
from kickai_providers_core.values.events import AttemptEnded
from kickai_providers_core.values.feedback_events import FeedbackGiven
from kickai_providers_core.values.rollout_events import RolloutChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kickai_providers_core.concurrency.clock import Clockwork
    from kickai_providers_core.resilience.guard import Verdict
    from kickai_providers_core.resilience.rollout_settings import RolloutSettings
    from kickai_providers_core.stores.api import Document, Store
    from kickai_providers_core.values.events import Event

__all__ = ["EVIDENCE", "PLAN", "RolloutController", "read_evidence", "read_plan"]

PLAN = "rollout"
"""The name of the document that holds the plan."""

EVIDENCE = "evidence/"
"""The beginning of the names of the documents that hold the evidence of each scope."""

GUARD = "guard"
"""Who makes the changes that follow from evidence."""

MAX_CONFLICTS = 5
"""How often a change is tried again at once when another process came first."""

ARMS = frozenset((CANDIDATE, CONTROL))
"""The arms that the guard compares."""

WRITE_EVERY_S = 1.0
"""Seconds between two additions to the evidence. The plan is read more often."""


def read_plan(document: Document) -> RolloutPlan:
    """Return the plan in a document.

    Raises:
        StoreError: The document is damaged, or of a newer version.
    """
    try:
        return RolloutPlan.from_dict(document.value)
    except (TypeError, ValueError) as error:
        message = f"the stored rollout cannot be read; a newer version of kickai may have written it: {error}"
        raise StoreError(message) from None


def read_evidence(document: Document, rollout: Rollout) -> StepEvidence:
    """Return the evidence of a rollout's present step; that with which the step began when there is no newer one.

    Raises:
        StoreError: The document is damaged, or of a newer version.
    """
    if (document.value.get("step"), document.value.get("began_s")) != (rollout.step, rollout.step_began_s):
        return rollout.evidence
    try:
        return StepEvidence.from_dict(document.value.get("evidence"))
    except (TypeError, ValueError) as error:
        message = f"the evidence of the rollout cannot be read: {error}; kickai rollout set begins it anew"
        raise StoreError(message) from None


@frozen
class _StepKey:
    """A scope, and the step of its rollout. When a rollout is removed, the numbers of the next one begin anew."""

    scope: str
    number: int
    began_s: float

    @classmethod
    def from_rollout(cls, scope: str, rollout: Rollout) -> Self:
        """Return the key of the present step."""
        return cls(scope, rollout.step, rollout.step_began_s)


class RolloutController:
    """Follows the rollout of a store. Safe to use from any thread.

    Requests read the plan from memory. `run` reads and writes the store; the store's thread calls it. While the store
    has not been read, a rollout that the settings configure has a share of 0; later, the last plan stays when
    the store fails.

    Args:
        settings: The first plan, and the guard's limits.
        on_alert: The command to run when the guard changes a rollout; empty for none.
        emit: Passes an event to the observers.
        time: The clock; its time of day goes into the history.

    Attributes:
        plan: The current plan.
    """

    def __init__(
        self,
        settings: RolloutSettings,
        on_alert: Sequence[str],
        emit: Callable[[Event], None],
        time: Clockwork = REAL_TIME,
    ) -> None:
        self.plan: RolloutPlan = settings.build_plan(share=0)
        self._settings = settings
        self._on_alert = on_alert
        self._emit = emit
        self._time = time
        self._version = -1
        self._writes_at = 0.0
        self._lock = Lock()
        self._followed_at: dict[_StepKey, float] = {}
        self._pending: dict[_StepKey, dict[str, ArmCounts]] = {}
        self._keys = KeyCounter[_StepKey]()

    # For requests

    def find(self, role: str | None) -> tuple[str, Rollout] | None:
        """Return the scope and the rollout that serve a role, or None."""
        return self.plan.find(role)

    def count_key(self, scope: str, rollout: Rollout, bucket: int) -> None:
        """Count a key of a request, if it is new in this step and this process counts keys."""
        step = _StepKey.from_rollout(scope, rollout)
        with self._lock:
            if self._keys.is_new(step, bucket):
                self._count(step, rollout.choose_arm(bucket), ArmCounts(keys=1))

    def observe(self, event: Event) -> None:
        """Count an attempt that the guard judges, or the application's feedback; ignore any other event."""
        if event.arm is None or event.arm not in ARMS:
            return
        counts, began = None, math.inf
        if isinstance(event, AttemptEnded):
            counts = count_attempt(event, self._settings.guard)
            began = self._time.clock() - event.attempt.latency_s
        elif isinstance(event, FeedbackGiven):
            counts = ArmCounts(feedback=1, bad_feedback=int(not event.ok))
        found = self.plan.find(event.role)
        if found is None or counts is None:
            return
        scope, rollout = found
        step = _StepKey.from_rollout(scope, rollout)
        with self._lock:
            # An attempt that began in an earlier step may even be that of another candidate.
            if began >= self._followed_at.get(step, -math.inf):
                self._count(step, event.arm, counts)

    def renew_after_fork(self) -> None:
        """Forget what is pending in a child: the parent counts it."""
        self._lock = Lock()
        self._pending = {}
        self._keys.renew_after_fork()

    # For the store's thread

    def run(self, store: Store) -> None:
        """Follow the stored plan, add the pending evidence, and carry out what follows from it.

        Raises:
            StoreError: The store failed. What is pending stays so.
        """
        self._follow(store)
        now = self._time.clock()
        if now < self._writes_at:
            return
        self._writes_at = now + WRITE_EVERY_S
        if any(0 < rollout.share < BUCKETS for rollout in self.plan.rollouts.values()):
            self._keys.claim(store, now)
        for scope, rollout in self.plan.rollouts.items():
            evidence = self._add_evidence(store, scope, rollout)
            is_judged = rollout.share > 0 or rollout.suspended_share is not None
            if is_judged and self._judge(store, scope, rollout, evidence):
                return  # the other rollouts may have changed with the plan: the next run judges them

    def finish(self, store: Store) -> None:
        """Add the pending evidence before the process ends. What follows from it is left to the next process.

        Raises:
            StoreError: The store failed.
        """
        for _ in range(MAX_CONFLICTS):
            if not self._pending:
                return
            self._follow(store)
            for scope, rollout in self.plan.rollouts.items():
                self._add_evidence(store, scope, rollout)

    def _follow(self, store: Store) -> None:
        """Read the plan. Write the present one when the store has lost it, or that of the settings to a new store."""
        document = store.documents.read(PLAN)
        if not document.version:
            plan, now_s = self.plan, self._time.wall()
            who, what = "store", "restored from a running process, since the store was emptied"
            if self._version <= 0 or not plan.rollouts:
                plan = self._settings.build_plan(now_s)
                who, what = "settings", f"{self._settings.candidate} at the settings' share"
            if plan.rollouts:
                entry = HistoryEntry(at_s=now_s, who=who, what=what)
                store.documents.write(PLAN, plan.as_dict(), expected_version=0, entry=entry)
                document = store.documents.read(PLAN)
        if document.version != self._version:
            self._adopt(read_plan(document), document.version)

    def _adopt(self, plan: RolloutPlan, version: int) -> None:
        """Use a plan, and emit an event for each scope that has changed."""
        before, is_first = self.plan, self._version < 0
        now = -math.inf if is_first else self._time.clock()
        self.plan, self._version = plan, version
        with self._lock:
            steps = {_StepKey.from_rollout(scope, rollout) for scope, rollout in plan.rollouts.items()}
            self._followed_at = {step: self._followed_at.get(step, now) for step in steps}
            # Evidence of earlier steps decides nothing any more.
            self._pending = {step: counts for step, counts in self._pending.items() if step in steps}
            self._keys.keep(steps)
        for scope in {**before.rollouts, **plan.rollouts}:
            old, new = before.rollouts.get(scope), plan.rollouts.get(scope)
            if old != new and not is_first:
                self._emit(_build_event(scope, old, new))

    def _add_evidence(self, store: Store, scope: str, rollout: Rollout) -> StepEvidence:
        """Add the pending counts to the stored evidence of a step, and return all of it."""
        step = _StepKey.from_rollout(scope, rollout)
        counts = self._take(step)
        try:
            for _ in range(MAX_CONFLICTS):
                document = store.documents.read(f"{EVIDENCE}{scope}")
                evidence = read_evidence(document, rollout)
                if not counts:
                    return evidence
                evidence = evidence.add(counts, self._settings.guard)  # type: ignore[arg-type]  # the two arms
                value = {"step": step.number, "began_s": step.began_s, "evidence": evidence.as_dict()}
                if store.documents.write(f"{EVIDENCE}{scope}", value, expected_version=document.version):
                    return evidence
        except BaseException:
            self._put_back(step, counts)
            raise
        self._put_back(step, counts)
        return evidence

    def _judge(self, store: Store, scope: str, rollout: Rollout, evidence: StepEvidence) -> bool:
        """Carry out what follows from the evidence; return whether the plan was changed."""
        share = rollout.share / BUCKETS
        verdict = judge(evidence, self._settings.guard, share=share, steps=rollout.steps)
        now_s = self._time.wall()
        changed = apply_verdict(rollout, verdict, now_s)
        if changed is None:
            return False
        after, what = changed
        plan = self.plan.with_rollout(scope, after)
        entry = HistoryEntry(
            at_s=now_s, who=GUARD, what=what, why=verdict.message, evidence={"scope": scope, **verdict.numbers}
        )
        # When another process or a person came first, the next run judges the new plan.
        if not store.documents.write(PLAN, plan.as_dict(), expected_version=self._version, entry=entry):
            return False
        self._alert(scope, after, verdict, what)
        document = store.documents.read(PLAN)  # a person may have changed it again
        self._adopt(read_plan(document), document.version)
        return True

    def _alert(self, scope: str, rollout: Rollout, verdict: Verdict, what: str) -> None:
        if self._on_alert:
            message = {
                "scope": scope,
                "candidate": rollout.candidate,
                "action": verdict.action,
                "share": format_share(rollout.share),
                "what": what,
                "why": verdict.message,
                "evidence": verdict.numbers,
            }
            run_alert(self._on_alert, message)

    # Pending counts

    def _count(self, step: _StepKey, arm: str, counts: ArmCounts) -> None:
        arms = self._pending.setdefault(step, {})
        arms[arm] = arms.get(arm, ArmCounts()) + counts

    def _take(self, step: _StepKey) -> dict[str, ArmCounts]:
        with self._lock:
            return self._pending.pop(step, {})

    def _put_back(self, step: _StepKey, counts: Mapping[str, ArmCounts]) -> None:
        with self._lock:
            for arm, each in counts.items():
                self._count(step, arm, each)


def _build_event(scope: str, old: Rollout | None, new: Rollout | None) -> RolloutChanged:
    either: Any = new or old
    return RolloutChanged(
        0,
        None,
        scope=scope,
        candidate=either.candidate,
        share_before=0.0 if old is None else old.share / BUCKETS,
        share_after=0.0 if new is None else new.share / BUCKETS,
        is_suspended=new is not None and new.suspended_share is not None,
    )
