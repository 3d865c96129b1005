"""Reads and changes the stored rollout, for operators. Running processes follow within two seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kickai_providers_core.observability.rollout_controller import EVIDENCE, PLAN, read_evidence, read_plan
from kickai_providers_core.resilience.guard import judge
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, BUCKETS, CANDIDATE, CONTROL, format_share
from kickai_providers_core.stores.api import HistoryEntry, StoreError
from kickai_providers_core.values.base_errors import KickaiError
from kickai_providers_core.values.durations import write_duration
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.text_length_limits import DETAIL_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.resilience.guard import Verdict
    from kickai_providers_core.resilience.rollout import Rollout, RolloutPlan
    from kickai_providers_core.resilience.rollout_settings import RolloutSettings
    from kickai_providers_core.resilience.rollout_transitions import Change
    from kickai_providers_core.resilience.step_evidence import StepEvidence
    from kickai_providers_core.stores.api import Document, Store

__all__ = [
    "RolloutConflictError",
    "RolloutControl",
    "ScopeStatus",
    "describe_state",
    "explain_unfollowed",
    "list_candidates",
]

HISTORY = 1000


class RolloutConflictError(KickaiError):
    """The rollout was changed by somebody else in the meantime; nothing was written."""


@frozen(kw_only=True)
class ScopeStatus:
    """The rollout of one scope, with what its guard says.

    Attributes:
        scope: A role, or ``*`` for all roles without a rollout of their own.
        rollout: The rollout.
        evidence: What has been counted in its present step.
        verdict: What follows from the evidence now; None at a share of 0 that is not provisional.
    """

    scope: str
    rollout: Rollout
    evidence: StepEvidence
    verdict: Verdict | None

    def as_dict(self) -> dict[str, Any]:
        """Return the status as JSON."""
        rollout, verdict = self.rollout, self.verdict
        ramp = None
        if rollout.ramp is not None:
            ramp = {"shares": list(map(_to_fraction, rollout.ramp.shares)), "hold_s": rollout.ramp.hold_s}
        suspended = rollout.suspended_share
        return {
            "scope": self.scope,
            "candidate": rollout.candidate,
            "share": _to_fraction(rollout.share),
            "exclude": rollout.exclude,
            "shadow": _to_fraction(rollout.shadow),
            "ramp": ramp,
            "paused": rollout.is_paused,
            "suspended_share": None if suspended is None else _to_fraction(suspended),
            "step": rollout.step,
            "step_began_s": rollout.step_began_s,
            "evidence": {arm: _count(self.evidence, arm) for arm in ("candidate", "control")},
            "guard": None
            if verdict is None
            else {
                "action": verdict.action,
                "reason": verdict.reason,
                "message": verdict.message,
                "numbers": verdict.numbers,
                "requests_needed": verdict.requests_needed,
            },
        }


def _to_fraction(share: int) -> float:
    return round(float(format_share(share).removesuffix("%")) / 100, 12)


def _count(evidence: StepEvidence, arm: str) -> dict[str, int]:
    counts = getattr(evidence, arm)
    return {"requests": counts.n, "failures": counts.failures}


class RolloutControl:
    """Reads and changes the rollout of a store, one change at a time.

    Args:
        store: The store.
        settings: The guard's limits, and the rollout that begins while the store has none.
        who: Who makes the changes, for the history.
        wall: Returns the time of day in seconds since 1970.
    """

    def __init__(self, store: Store, settings: RolloutSettings, *, who: str, wall: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._who = who
        self._wall = wall

    def read_plan(self) -> tuple[RolloutPlan, int]:
        """Return the plan and its version; the plan of the settings, with version 0, while the store has none.

        Raises:
            StoreError: The store or the plan cannot be read.
        """
        document = self._store.documents.read(PLAN)
        if not document.version:
            return self._settings.build_plan(self._wall()), 0
        return read_plan(document), document.version

    def read_status(self) -> tuple[Sequence[ScopeStatus], int]:
        """Return the status of every scope with a rollout, and the version of the plan."""
        plan, version = self.read_plan()
        return [self._build_status(scope, rollout) for scope, rollout in sorted(plan.rollouts.items())], version

    def change(self, make: Callable[[RolloutPlan], Change], why: str = "", *, expected: int | None = None) -> Change:
        """Make one change, and return it.

        Args:
            make: Returns the change of a plan; may raise `RolloutError`.
            why: The reason, for the history.
            expected: The version that the change is meant for; None for the present one.

        Raises:
            RolloutConflictError: The plan has another version, or changed while this ran.
        """
        plan, version = self.read_plan()
        if expected is not None and expected != version:
            raise RolloutConflictError(self._describe_conflict(version))
        change = make(plan)
        evidence: dict[str, Any] = {"scope": change.scope, **self._count_evidence(plan, change.scope)}
        if change.others:
            evidence["others"] = list(change.others)
        why = clean_line(why, DETAIL_LIMIT)  # a line end in it would look like another change
        entry = HistoryEntry(at_s=self._wall(), who=self._who, what=change.what, why=why, evidence=evidence)
        if not self._store.documents.write(PLAN, change.plan.as_dict(), expected_version=version, entry=entry):
            raise RolloutConflictError(self._describe_conflict(self.read_plan()[1]))
        return change

    def read_history(self, limit: int) -> Sequence[HistoryEntry]:
        """Return the latest changes, the newest first."""
        return self._store.documents.read_history(PLAN, limit)

    def find_latest(self, scope: str) -> HistoryEntry | None:
        """Return the latest change of a scope; None when it is not among the latest 1,000 changes."""
        # A change without a scope is that of the settings, which is for all roles.
        entries = self._store.documents.read_history(PLAN, HISTORY)
        return next((each for each in entries if scope in _list_scopes(each)), None)

    def _count_evidence(self, plan: RolloutPlan, scope: str) -> dict[str, dict[str, int]]:
        """Return the requests and failures of both arms in the step that a change ends; empty without a rollout."""
        rollout = plan.rollouts.get(scope)
        if rollout is None:
            return {}
        try:
            evidence = read_evidence(self._store.documents.read(f"{EVIDENCE}{scope}"), rollout)
        except StoreError:  # damaged evidence must not keep anybody from going back
            return {}
        return {arm: _count(evidence, arm) for arm in (CANDIDATE, CONTROL)}

    def _build_status(self, scope: str, rollout: Rollout) -> ScopeStatus:
        document: Document = self._store.documents.read(f"{EVIDENCE}{scope}")
        evidence, verdict = read_evidence(document, rollout), None
        if rollout.share or rollout.suspended_share is not None:
            share = rollout.share / BUCKETS
            verdict = judge(evidence, self._settings.guard, share=share, steps=rollout.steps)
        return ScopeStatus(scope=scope, rollout=rollout, evidence=evidence, verdict=verdict)

    def _describe_conflict(self, version: int) -> str:
        latest = self.read_history(1)
        by = f"{latest[0].who} ({latest[0].what})" if latest else "somebody else"
        return (
            f"the rollout was changed by {by} and now has version {version}; nothing was written: look at "
            "kickai rollout status, and repeat the command if it still applies"
        )


def _list_scopes(entry: HistoryEntry) -> tuple[object, ...]:
    return entry.evidence.get("scope", ALL_ROLES), *entry.evidence.get("others", ())


def list_candidates(settings: Settings) -> frozenset[str]:
    """Return the names that may be rolled out: those of the instances and of their plugins."""
    return frozenset((*settings.providers, *map(settings.kind_of, settings.providers), *settings.kickai.order))


def explain_unfollowed(settings: Settings, scope: str, candidate: str) -> str:
    """Return why processes with these settings do not follow a rollout; empty when they do."""
    if settings.kickai.preferred is not None:
        source = settings.source_of("kickai.preferred")
        return f"kickai.preferred ({source}) puts {settings.kickai.preferred} first"
    if candidate not in list_candidates(settings):
        return f"they have no provider {candidate}"
    roles = [settings.role(scope)] if scope != ALL_ROLES else [*settings.roles.values(), settings.default_role]
    if not any(settings.split_for_rollout(role, candidate)[1] for role in roles):
        return f"no chain has another provider than {candidate}"
    return ""


def describe_state(rollout: Rollout) -> str:
    """Return where a rollout is, for a reader."""
    if rollout.suspended_share is not None:
        return f"suspended by the guard at {format_share(rollout.suspended_share)}"
    if rollout.ramp is None:
        return "fixed share" if rollout.share else "off"
    steps = ", ".join(map(format_share, rollout.ramp.shares))
    state = "paused" if rollout.is_paused else "running"
    if rollout.ramp.find_next(rollout.share) is None:
        state = "complete"
    return f"ramp {state} ({steps}; each held for at least {write_duration(rollout.ramp.hold_s)})"
