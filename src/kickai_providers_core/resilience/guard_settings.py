"""What the rollout guard limits, and how sure it must be."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.validation import Number, raise_value_error

__all__ = ["SIGNALS", "GuardSettings", "Signal", "SignalName"]

SignalName = Literal["failures", "slow", "first_token", "refusals", "feedback"]

SIGNALS: tuple[SignalName, ...] = ("failures", "slow", "first_token", "refusals", "feedback")
"""The kinds of bad events, in the order in which they are judged."""

SHARE = Number(above=0, maximum=0.99)
OPTIONAL_SHARE = Number(above=0, maximum=0.99, optional=True)
OPTIONAL_SECONDS = Number(above=0, optional=True)


@frozen(kw_only=True, eq=False, repr=False)
class Signal(Value):
    """One kind of bad events, and its limit.

    Attributes:
        name: Which kind.
        limit: The largest share of bad events that the candidate may have, between 0 and 1.
        is_required: Whether the ramp advances only when this signal is proven good. Time to first token and feedback
            are not required, since many applications do not stream, and few requests get feedback.
        words: What a bad event is, for messages: ``10 of 20 failed``.
    """

    name: SignalName
    limit: float
    is_required: bool
    words: str


@frozen(kw_only=True, eq=False, repr=False)
class GuardSettings(Value):
    """The limits of the rollout guard.

    Attributes:
        floor: The success rate that the candidate must have, between 0 and 1.
        margin: How far below its floor a rate may be and still count as good enough: the ramp advances when the rate is
            proven above ``floor - margin``. A smaller margin needs more requests.
        alpha: The highest probability that any test rolls back a good candidate during a whole ramp.
        advance_alpha: The highest probability that a step advances although the rate is not above ``floor - margin``.
        outage_alpha: The highest probability that a good control arm is taken for an outage. It can be larger than
            ``alpha``, because the floor test then only waits.
        latency_limit_s: A complete answer is slow after this many seconds; at most ``slow_share`` of the answers may
            be. None: not judged.
        first_token_limit_s: The same for the first token of a stream.
        slow_share: The largest share of slow answers, above 0; 0.05 makes both limits 95th percentiles.
        max_refusal_share: The largest share of answers that are refused or truncated. None: not judged.
        feedback_floor: The share of positive feedback that the candidate must have. None: not judged.

    Raises:
        ValueError: A number is out of its range, or the margin leaves no rate to prove.
    """

    floor: float = field(default=0.95, validator=Number(minimum=0.01, maximum=0.9999))
    margin: float = field(default=0.03, validator=SHARE)
    alpha: float = field(default=0.01, validator=SHARE)
    advance_alpha: float = field(default=0.05, validator=SHARE)
    outage_alpha: float = field(default=0.05, validator=SHARE)
    latency_limit_s: float | None = field(default=None, validator=OPTIONAL_SECONDS)
    first_token_limit_s: float | None = field(default=None, validator=OPTIONAL_SECONDS)
    slow_share: float = field(default=0.05, validator=SHARE)
    max_refusal_share: float | None = field(default=None, validator=OPTIONAL_SHARE)
    feedback_floor: float | None = field(default=None, validator=Number(minimum=0.01, maximum=0.9999, optional=True))

    def __attrs_post_init__(self) -> None:
        """Check that each limit plus the margin is below 1."""
        for signal in self.signals:
            if signal.limit + self.margin >= 1:
                expected = f"less than {1 - signal.limit:g}, since the limit of {signal.name} is {signal.limit:g}"
                raise_value_error("GuardSettings.margin", expected, f"{self.margin:g}")

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The signals that are judged; failures always."""
        latency = "" if self.latency_limit_s is None else f"slower than {self.latency_limit_s:g} s"
        first = (
            "" if self.first_token_limit_s is None else f"had their first token after {self.first_token_limit_s:g} s"
        )
        rows: tuple[tuple[SignalName, float | None, bool, str], ...] = (
            ("failures", round(1 - self.floor, 12), True, "failed"),
            ("slow", self.slow_share if latency else None, True, latency),
            ("first_token", self.slow_share if first else None, False, first),
            ("refusals", self.max_refusal_share, True, "refused or truncated"),
            (
                "feedback",
                None if self.feedback_floor is None else round(1 - self.feedback_floor, 12),
                False,
                "judged negative",
            ),
        )
        return tuple(
            Signal(name=name, limit=limit, is_required=required, words=words)
            for name, limit, required, words in rows
            if limit is not None
        )

    def find(self, name: str | None) -> Signal | None:
        """Return a signal by its name; None when it is not judged."""
        return next((signal for signal in self.signals if signal.name == name), None)
