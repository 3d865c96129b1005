"""A rollout: which share of the requests a new provider serves, and which requests these are.

A key is hashed to one of 2^32 buckets. The buckets below the share belong to the *candidate* arm, all others to the
*control* arm. So a growing share only moves keys to the candidate, and the same key goes the same way in every process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, field, fields, frozen

from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, BUCKETS, CANDIDATE, CONTROL, format_share
from kickai_providers_core.resilience.step_evidence import StepEvidence
from kickai_providers_core.values.validation import (
    Boolean,
    InstanceOf,
    Number,
    Text,
    convert_to_tuple,
    quote,
    raise_value_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ramp", "Rollout", "RolloutPlan"]

PLAN_FORMAT = 1
"""The version of the stored form of a plan."""

SHARE = Number(integer=True, minimum=0, maximum=BUCKETS)


def _convert_shares(value: object) -> tuple[Any, ...]:
    return convert_to_tuple("Ramp.shares", "integers", value)


@frozen(kw_only=True)
class Ramp:
    """Shares that a rollout goes through, one after the other, as long as the evidence is good.

    Attributes:
        shares: The shares in rising order, each from 1 to `BUCKETS`.
        hold_s: Seconds that each share is held at least.
    """

    shares: tuple[int, ...] = field(converter=_convert_shares)
    hold_s: float = field(validator=Number(minimum=0))

    @shares.validator
    def _check_shares(self, _attribute: object, value: tuple[int, ...]) -> None:
        rising = [0, *value]
        if not value or any(after <= before for before, after in zip(rising, value, strict=False)):
            got = ", ".join(map(format_share, value)) or "none"
            raise_value_error("Ramp.shares", "above 0% and in rising order", got)
        if value[-1] > BUCKETS:
            raise_value_error("Ramp.shares", "at most 100%", format_share(value[-1]))

    def find_next(self, share: int) -> int | None:
        """Return the first share above a given one, or None after the last."""
        return next((each for each in self.shares if each > share), None)


@frozen(kw_only=True)
class Rollout:
    """The rollout of one scope: a role, or all roles without one of their own.

    Attributes:
        candidate: The instance that is rolled out, or the name of its plugin.
        share: The share of the requests that go to the candidate first, in buckets from 0 to `BUCKETS`.
        salt: Makes the buckets; the same as long as the candidate is the same.
        exclude: Whether the control arm does without the candidate instead of calling it last.
        shadow: The share of the control arm's requests that are also sent to the candidate in the background, in
            buckets. Their answers are only measured.
        ramp: The shares to go through; None for a fixed share.
        is_paused: Whether the ramp does not go on by itself.
        suspended_share: The earlier share, while a share of 0 is provisional because the candidate is below the floor;
            None otherwise.
        step: Counts the changes of the share. Evidence belongs to one step.
        step_began_s: When the step began, in seconds since 1970.
        evidence: The evidence with which the step began: empty, or what the guard carried over.
    """

    candidate: str = field(validator=Text())
    share: int = field(default=0, validator=SHARE)
    salt: str = field(validator=Text())
    exclude: bool = field(default=False, validator=Boolean())
    shadow: int = field(default=0, validator=SHARE)
    ramp: Ramp | None = field(default=None, validator=InstanceOf(Ramp, optional=True))
    is_paused: bool = field(default=False, validator=Boolean())
    suspended_share: int | None = field(
        default=None, validator=Number(integer=True, minimum=0, maximum=BUCKETS, optional=True)
    )
    step: int = field(default=1, validator=Number(integer=True, minimum=1))
    step_began_s: float = field(default=0.0, validator=Number(minimum=0))
    evidence: StepEvidence = field(factory=StepEvidence, validator=InstanceOf(StepEvidence), repr=False)

    @salt.default
    def _derive_salt(self) -> str:
        return f"kickai/{self.candidate}"

    def choose_arm(self, bucket: int) -> str:
        """Return the arm of a bucket."""
        return CANDIDATE if bucket < self.share else CONTROL

    def is_shadowed(self, bucket: int) -> bool:
        """Return whether a request of the control arm is also sent to the candidate in the background."""
        # Shadowed keys are the next ones that a growing share would move.
        return self.share <= bucket < self.share + (BUCKETS - self.share) * self.shadow // BUCKETS

    @property
    def steps(self) -> int:
        """The number of steps that share the guard's error rate."""
        return 1 if self.ramp is None else len(self.ramp.shares)

    def begin_step(self, share: int, now_s: float, **changes: Any) -> Self:
        """Return the rollout with another share, whose evidence begins anew unless ``evidence`` is given."""
        fresh = {"evidence": StepEvidence(), **changes}
        return evolve(self, share=share, step=self.step + 1, step_began_s=now_s, **fresh)

    def as_dict(self) -> dict[str, Any]:
        """Return the rollout as JSON."""
        ramp = None if self.ramp is None else {"shares": list(self.ramp.shares), "hold_s": self.ramp.hold_s}
        plain = {name: getattr(self, name) for name in PLAIN_FIELDS}
        return {**plain, "ramp": ramp, "evidence": self.evidence.as_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the rollout that `as_dict` has recorded.

        Raises:
            ValueError: A value is missing or out of range.
            TypeError: A value has the wrong type.
        """
        ramp = record.get("ramp")
        evidence = StepEvidence.from_dict(record["evidence"]) if "evidence" in record else StepEvidence()
        return cls(**{**record, "ramp": None if ramp is None else Ramp(**ramp), "evidence": evidence})


PLAIN_FIELDS = tuple(each.name for each in fields(Rollout) if each.name not in {"ramp", "evidence"})


@frozen(kw_only=True)
class RolloutPlan:
    """The rollouts of all scopes.

    Attributes:
        rollouts: The rollout of each scope that has one: roles, and `ALL_ROLES`.
    """

    rollouts: Mapping[str, Rollout] = field(factory=dict)

    def find(self, role: str | None) -> tuple[str, Rollout] | None:
        """Return the scope and the rollout that serve a role: its own, else that of all roles, else None."""
        for scope in (role, ALL_ROLES):
            if scope is not None and scope in self.rollouts:
                return scope, self.rollouts[scope]
        return None

    def with_rollout(self, scope: str, rollout: Rollout | None) -> Self:
        """Return the plan with another rollout for a scope; None removes it."""
        others = {name: each for name, each in self.rollouts.items() if name != scope}
        return evolve(self, rollouts=others if rollout is None else {**others, scope: rollout})

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {"format": PLAN_FORMAT, "rollouts": {name: each.as_dict() for name, each in self.rollouts.items()}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the plan that `as_dict` has recorded; an empty record is an empty plan.

        Raises:
            ValueError: The form is newer than this version, or a value is missing or out of range.
            TypeError: A value has the wrong type.
        """
        if record.get("format", PLAN_FORMAT) != PLAN_FORMAT:
            raise_value_error("the format of the rollout", str(PLAN_FORMAT), quote(record["format"]))
        rollouts = record.get("rollouts", {})
        return cls(rollouts={name: Rollout.from_dict(each) for name, each in rollouts.items()})
