"""First attempts of one arm of a rollout, counted: how many failed, were slow, refused or badly rated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, fields, frozen

from kickai_providers_core.resilience.evidence import Tally, require_fields
from kickai_providers_core.values.validation import Number, raise_value_error

if TYPE_CHECKING:
    from kickai_providers_core.resilience.guard_settings import GuardSettings, SignalName

__all__ = ["ArmCounts"]

COUNT = Number(integer=True, minimum=0)


@frozen(kw_only=True)
class ArmCounts:
    """First attempts of one arm, counted.

    Attributes:
        n: First attempts that are judged.
        failures: How many of them failed. The others are the answers.
        slow: Answers that took longer than the latency limit.
        streams: Answers whose time to first token is known.
        slow_first_token: How many of these had their first token after the limit.
        refusals: Answers that were refused or truncated.
        feedback: Feedback of the application.
        bad_feedback: How much of it was negative.
        keys: Different keys; a request without a key is a key of its own. 0 when unknown; the split is
            not checked then.

    Raises:
        TypeError: A count is not an integer.
        ValueError: A count is negative, or a part is larger than its whole.
    """

    n: int = field(default=0, validator=COUNT)
    failures: int = field(default=0, validator=COUNT)
    slow: int = field(default=0, validator=COUNT)
    streams: int = field(default=0, validator=COUNT)
    slow_first_token: int = field(default=0, validator=COUNT)
    refusals: int = field(default=0, validator=COUNT)
    feedback: int = field(default=0, validator=COUNT)
    bad_feedback: int = field(default=0, validator=COUNT)
    keys: int = field(default=0, validator=COUNT)

    def __attrs_post_init__(self) -> None:
        """Check that no part is larger than its whole."""
        for name, (bad, total) in self._build_pairs().items():
            if bad > total:
                raise_value_error(f"ArmCounts: the bad events of {name}", f"at most {total}", str(bad))

    def __add__(self, other: ArmCounts) -> ArmCounts:
        return ArmCounts(
            **{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(ArmCounts)}
        )

    def tally(self, signal: SignalName) -> Tally:
        """Return the bad events of a signal, and of how many requests."""
        return Tally(*self._build_pairs()[signal])

    def _build_pairs(self) -> dict[SignalName, tuple[int, int]]:
        answers = self.n - self.failures
        return {
            "failures": (self.failures, self.n),
            "slow": (self.slow, answers),
            "first_token": (self.slow_first_token, self.streams),
            "refusals": (self.refusals, answers),
            "feedback": (self.bad_feedback, self.feedback),
        }

    @classmethod
    def from_attempt(
        cls,
        settings: GuardSettings,
        *,
        failed: bool,
        latency_s: float = 0.0,
        first_token_s: float | None = None,
        refused: bool = False,
        is_new_key: bool = False,
    ) -> ArmCounts:
        """Return the counts of one first attempt.

        Args:
            settings: The limits.
            failed: Whether it failed. Then the other figures do not count.
            latency_s: Seconds until the complete answer.
            first_token_s: Seconds until the first token of a stream; None for another answer.
            refused: Whether the answer was refused or truncated.
            is_new_key: Whether the caller has not counted the request's key before.
        """
        if failed:
            return cls(n=1, failures=1, keys=int(is_new_key))
        return cls(
            n=1,
            slow=int(_is_above(latency_s, settings.latency_limit_s)),
            streams=int(first_token_s is not None),
            slow_first_token=int(_is_above(first_token_s, settings.first_token_limit_s)),
            refusals=int(refused),
            keys=int(is_new_key),
        )

    @classmethod
    def from_dict(cls, data: object, where: str = "counts") -> ArmCounts:
        """Return counts from what `attrs.asdict` made of them. Raises TypeError and ValueError."""
        return cls(**require_fields(cls, data, where))


def _is_above(seconds: float | None, limit_s: float | None) -> bool:
    """Return whether a time is known, and above a limit that is set."""
    return seconds is not None and limit_s is not None and seconds > limit_s
