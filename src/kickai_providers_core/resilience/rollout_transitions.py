"""Changes of a rollout: what operators ask for, and what follows from the guard's verdicts. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from kickai_providers_core.resilience.rollout import Rollout, RolloutPlan
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, format_share
from kickai_providers_core.values.durations import write_duration

if TYPE_CHECKING:
    from kickai_providers_core.resilience.guard import Verdict
    from kickai_providers_core.resilience.rollout import Ramp

__all__ = ["Change", "RolloutError", "apply_verdict", "go_back", "pause", "remove", "resume", "set_share", "start_ramp"]


class RolloutError(ValueError):
    """The change does not fit the state of the rollout."""


@frozen(kw_only=True)
class Change:
    """A change of one scope, or of all of them.

    Attributes:
        plan: The plan after it.
        scope: The scope that it concerns.
        what: The change, for a reader.
        others: Further scopes that it concerns.
    """

    plan: RolloutPlan
    scope: str
    what: str
    others: tuple[str, ...] = ()


def set_share(
    plan: RolloutPlan,
    scope: str,
    candidate: str,
    share: int,
    now_s: float,
    *,
    exclude: bool | None = None,
    shadow: int | None = None,
) -> Change:
    """Return the change to a fixed share. It ends a ramp and a provisional suspension.

    Args:
        plan: The plan before.
        scope: A role, or `ALL_ROLES`.
        candidate: The instance or plugin to roll out.
        share: Its share, in buckets.
        now_s: The time in seconds since 1970.
        exclude: Whether the control arm does without the candidate; None keeps what is set.
        shadow: The share of the control arm that is shadowed, in buckets; None keeps what is set.
    """
    rollout = _get_or_create(plan, scope, candidate)
    changes = {name: value for name, value in (("exclude", exclude), ("shadow", shadow)) if value is not None}
    after = rollout.begin_step(share, now_s, ramp=None, is_paused=False, suspended_share=None, **changes)
    what = f"{candidate} at {format_share(share)} of {_format_scope(scope)}"
    if after.exclude:
        what += ", excluded from the control arm"
    if after.shadow:
        what += f", shadowing {format_share(after.shadow)} of the control arm"
    return Change(plan=plan.with_rollout(scope, after), scope=scope, what=what)


def start_ramp(plan: RolloutPlan, scope: str, candidate: str, ramp: Ramp, now_s: float) -> Change:
    """Return the change to a ramp. It begins at its first share, or at the present one if that is not 0.

    Raises:
        RolloutError: The present share is above the whole ramp.
    """
    rollout = _get_or_create(plan, scope, candidate)
    first = rollout.share or ramp.shares[0]
    if first > ramp.shares[-1]:
        message = (
            f"{candidate} already has {format_share(rollout.share)} of {_format_scope(scope)}, more than the whole ramp"
        )
        raise RolloutError(message)
    after = rollout.begin_step(first, now_s, ramp=ramp, is_paused=False, suspended_share=None)
    steps = ", ".join(map(format_share, ramp.shares))
    what = f"ramp of {candidate} for {_format_scope(scope)}: {steps}, each held for {write_duration(ramp.hold_s)}"
    return Change(plan=plan.with_rollout(scope, after), scope=scope, what=what)


def pause(plan: RolloutPlan, scope: str) -> Change:
    """Return the change that keeps a ramp at its share. The guard still rolls back.

    Raises:
        RolloutError: There is no ramp, or it is paused.
    """
    rollout = _get(plan, scope)
    if rollout.is_paused:
        raise RolloutError(f"the ramp of {_format_scope(scope)} is already paused")
    if rollout.ramp is None:
        raise RolloutError(f"there is no ramp of {_format_scope(scope)}")
    after = evolve(rollout, is_paused=True)
    return Change(plan=plan.with_rollout(scope, after), scope=scope, what=f"ramp of {_format_scope(scope)} paused")


def resume(plan: RolloutPlan, scope: str, now_s: float) -> Change:
    """Return the change that lets a ramp go on, or that restores the share which the guard has suspended.

    Raises:
        RolloutError: Nothing is paused or suspended.
    """
    rollout = _get(plan, scope)
    if rollout.suspended_share is not None:
        share = rollout.suspended_share
        after = rollout.begin_step(share, now_s, suspended_share=None, is_paused=False)
        what = f"{rollout.candidate} restored to {format_share(share)} of {_format_scope(scope)}"
    elif rollout.is_paused:
        # The evidence goes on: the share has not changed.
        after = evolve(rollout, is_paused=False)
        what = f"ramp of {_format_scope(scope)} resumed at {format_share(rollout.share)}"
    else:
        raise RolloutError(f"nothing is paused or suspended for {_format_scope(scope)}")
    return Change(plan=plan.with_rollout(scope, after), scope=scope, what=what)


def go_back(plan: RolloutPlan, scope: str, now_s: float) -> Change:
    """Return the change to a share of 0: of every rollout, or for one role.

    A role without a rollout of its own leaves that of all roles.

    Raises:
        RolloutError: There is no rollout, or none that serves the role.
    """
    found = plan.find(None if scope == ALL_ROLES else scope)
    if scope == ALL_ROLES:
        ordered = {each: plan.rollouts[each] for each in sorted(plan.rollouts)}
        rollouts = {each: rollout for each, rollout in ordered.items() if each == scope or _is_on(rollout)} or ordered
    else:
        rollouts = {} if found is None else {scope: found[1]}
    if not rollouts:
        raise RolloutError(f"no rollout exists for {_format_scope(scope)}")
    after, parts = plan, []
    for each, rollout in rollouts.items():
        stopped = rollout.begin_step(0, now_s, ramp=None, is_paused=False, suspended_share=None, shadow=0)
        after = after.with_rollout(each, stopped)
        parts.append(f"{rollout.candidate} back to 0% of {_format_scope(each)}")
    first, *others = rollouts
    return Change(plan=after, scope=first, what="; ".join(parts), others=tuple(others))


def _is_on(rollout: Rollout) -> bool:
    """Return whether a rollout sends requests to its candidate, or may do so by itself."""
    return bool(rollout.share or rollout.shadow) or rollout.ramp is not None or rollout.suspended_share is not None


def remove(plan: RolloutPlan, scope: str) -> Change:
    """Return the change that removes a rollout. A role's requests then follow that of all roles, if there is one.

    Raises:
        RolloutError: The scope has no rollout of its own.
    """
    rollout = _get(plan, scope)
    what = f"rollout of {rollout.candidate} for {_format_scope(scope)} removed, at {format_share(rollout.share)}"
    return Change(plan=plan.with_rollout(scope, None), scope=scope, what=what)


def _get_or_create(plan: RolloutPlan, scope: str, candidate: str) -> Rollout:
    """Return the rollout of a scope; a new one when it has none, or one of another candidate."""
    rollout = plan.rollouts.get(scope)
    if rollout is None or rollout.candidate != candidate:
        return Rollout(candidate=candidate, step=rollout.step if rollout is not None else 1)
    return rollout


def _get(plan: RolloutPlan, scope: str) -> Rollout:
    rollout = plan.rollouts.get(scope)
    if rollout is None:
        raise RolloutError(f"no rollout exists for {_format_scope(scope)}")
    return rollout


def _format_scope(scope: str) -> str:
    return "all roles" if scope == ALL_ROLES else f"the role {scope}"


def apply_verdict(rollout: Rollout, verdict: Verdict, now_s: float) -> tuple[Rollout, str] | None:
    """Return the rollout after a verdict, and the change for a reader; None when nothing changes.

    Only ``advance`` raises a share beyond what it was, and only in a ramp that a person has started, is not paused, and
    has held its share for long enough.

    Args:
        rollout: The rollout that was judged.
        verdict: The verdict.
        now_s: The time in seconds since 1970.
    """
    candidate, share = rollout.candidate, rollout.share
    if verdict.action == "advance":
        return _advance(rollout, now_s)
    if verdict.action == "suspend":
        after = rollout.begin_step(0, now_s, suspended_share=share, evidence=verdict.next_evidence)
        return after, f"{candidate} suspended: from {format_share(share)} to 0%, provisionally"
    if verdict.action == "restore":
        earlier = rollout.suspended_share or 0
        after = rollout.begin_step(earlier, now_s, suspended_share=None, evidence=verdict.next_evidence)
        return after, f"{candidate} restored to {format_share(earlier)}"
    if verdict.is_final:
        after = rollout.begin_step(0, now_s, suspended_share=None, ramp=None, is_paused=False, shadow=0)
        return after, f"{candidate} rolled back to 0%"
    return None


def _advance(rollout: Rollout, now_s: float) -> tuple[Rollout, str] | None:
    ramp = rollout.ramp
    if ramp is None or rollout.is_paused or now_s - rollout.step_began_s < ramp.hold_s:
        return None
    following = ramp.find_next(rollout.share)
    if following is None:
        return None
    what = f"{rollout.candidate} advanced from {format_share(rollout.share)} to {format_share(following)}"
    return rollout.begin_step(following, now_s), what
