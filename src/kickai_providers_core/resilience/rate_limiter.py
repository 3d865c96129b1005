"""The gate of a provider: how many calls may be under way at once and begin in a minute, and the line before it.

Requests go in in the order in which they came, whatever thread or event loop they are on. A request holds a `Turn`
from the moment it comes until it leaves, and may leave at any time: out of the line, or from within. The time is an
argument of every call and is never read; nothing here waits.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.plugin_api.settings import ProviderSettings

__all__ = ["NOBODY_KNOWS", "Gate", "Limits", "Turn"]

MINUTE_S = 60.0
"""The length of the sliding windows."""

NEVER = float("-inf")

NOBODY_KNOWS = float("inf")
"""How long a turn has to wait that depends on others."""


@frozen(kw_only=True)
class Limits:
    """What a gate lets in; None for no limit.

    Attributes:
        max_concurrency: Calls under way at once.
        max_queue: Requests that wait in line at once.
        requests_per_minute: Calls that begin within any minute.
        tokens_per_minute: Tokens of the calls that begin within any minute, as estimated before a call and as
            counted by the provider after it.
    """

    max_concurrency: int | None = None
    max_queue: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    @classmethod
    def of(cls, settings: ProviderSettings) -> Limits | None:
        """Return the limits of a provider, or None when it has none."""
        limits = cls(
            max_concurrency=settings.max_concurrency,
            max_queue=settings.max_queue,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )
        return None if limits == cls() else limits


class Turn:
    """One request's place in the line, and then its leave to be inside.

    Attributes:
        inside: Whether its call may go ahead.
        ahead: How many stood before it when it came.
        refused: Whether the line was full when it came; then it has left already.
    """

    __slots__ = (
        "_gate",
        "_generation",
        "_wake",
        "_woken",
        "ahead",
        "began",
        "inside",
        "left",
        "recent",
        "refused",
        "tokens",
    )

    def __init__(self, gate: Gate, tokens: int, ahead: int, generation: int = 0) -> None:
        self.tokens = tokens
        self.ahead = ahead
        self.inside = False
        self.left = False
        self.refused = False
        self.recent = False  # whether it is among those that the gate remembers for its windows
        self.began = 0.0
        self._gate = gate
        self._generation = generation
        self._wake: Callable[[], None] | None = None
        self._woken = False

    def belongs_to(self, generation: int) -> bool:
        """Return whether it was given since the gate was made or last renewed."""
        return self._generation == generation

    def wait_s(self, now: float) -> float:
        """Return the seconds until it may go in: 0 when it may, infinity when that is up to others."""
        return self._gate.wait_s(self, now)

    def leave(self, now: float, *, used: bool = True, tokens: int | None = None) -> None:
        """Leave the line, or come out; doing so twice is no error.

        Args:
            now: The time.
            used: Whether the call was made; one that was not leaves no trace in the windows.
            tokens: How many tokens it took, when that is known.
        """
        self._gate.leave(self, now, used=used, tokens=tokens)

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Have this called, from any thread, as soon as `wait_s` is worth asking again; now, if it already is.

        It may be called twice when that happens just now.
        """
        self._wake = wake
        if self._woken:
            self.wake()

    def wake(self) -> None:
        """Wake whoever waits for the turn."""
        self._woken = True
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    def slept(self) -> None:
        """Forget that it was woken: whoever waits for it is looking now."""
        self._woken = False


class Gate:
    """Lets requests in, first come, first served. Safe to use from any thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = Lock()
        self._line: deque[Turn] = deque()
        self._recent: deque[Turn] = deque()  # those that went in within the last minute, oldest first
        self._inside = 0
        self._tokens = 0  # of the recent ones
        self._lengths: deque[float] = deque(maxlen=20)  # of the latest calls, in seconds
        self._generation = 0

    def renew_after_fork(self) -> None:
        """Forget who is inside and in line: they are in the parent. What began within the last minute still counts."""
        self._lock = Lock()
        self._generation += 1
        self._line = deque()
        self._inside = 0
        self._recent = deque(self._recent)
        self._tokens = sum(turn.tokens for turn in self._recent)

    @property
    def inside(self) -> int:
        """How many calls are under way."""
        return self._inside

    @property
    def waiting(self) -> int:
        """How many requests stand in the line."""
        return len(self._line)

    def enter(self, tokens: int, now: float) -> Turn:
        """Return a turn, inside already when nothing stands against it, else at the end of the line.

        Args:
            tokens: How many tokens the call will take, as far as one can say before it.
            now: The time.
        """
        with self._lock:
            turn = Turn(self, tokens, len(self._line), self._generation)
            self._line.append(turn)
            woken = self._move_up(now, turn)
            limit = self._limits.max_queue
            if limit is not None and not turn.inside and len(self._line) > limit:
                self._line.pop()
                turn.refused = turn.left = True
        _wake(woken)
        return turn

    def expected_wait_s(self, turn: Turn, now: float) -> float:
        """Return how long a turn in the line will wait, as far as one can say: 0 when nobody knows.

        Those before it go in one by one as calls end, each of which takes as long as half of the latest did, and as the
        limits per minute let them.
        """
        with self._lock:
            if turn.inside or turn.left:
                return 0.0
            ahead = self._line.index(turn)
            limits, due = self._limits, now
            if limits.max_concurrency is not None and self._lengths:
                usual_s = sorted(self._lengths)[len(self._lengths) // 2]
                free = limits.max_concurrency - self._inside
                due += max(0, ahead + 1 - free) * usual_s / limits.max_concurrency
            if limits.requests_per_minute is not None:
                due = max(due, self._minute_due(limits.requests_per_minute, ahead))
            return due - now

    def _minute_due(self, limit: int, ahead: int) -> float:
        """Return when the limit per minute lets a turn in that has so many before it."""
        minutes, place = divmod(ahead, limit)
        if len(self._recent) + place >= limit:
            minutes, place = minutes + 1, len(self._recent) + place - limit
            return self._recent[place].began + minutes * MINUTE_S if place < len(self._recent) else NEVER
        return NEVER

    def wait_s(self, turn: Turn, now: float) -> float:
        """Return the seconds until a turn may go in: 0 when it may, infinity when that is up to others."""
        with self._lock:
            turn.slept()
            woken = self._move_up(now, turn)
            if turn.inside:
                wait_s = 0.0
            else:
                wait_s = self._due(turn, now) - now if self._line and self._line[0] is turn else NOBODY_KNOWS
        _wake(woken)
        return wait_s

    def leave(self, turn: Turn, now: float, *, used: bool, tokens: int | None) -> None:
        """Take a turn back."""
        with self._lock:
            if turn.left or not turn.belongs_to(self._generation):
                return
            turn.left = True
            if turn.inside:
                self._inside -= 1
                if used:
                    self._lengths.append(now - turn.began)
                self._settle(turn, 0 if not used else turn.tokens if tokens is None else tokens)
                if not used and turn.recent:
                    turn.recent = False
                    self._recent.remove(turn)
            else:
                self._line.remove(turn)
            woken = self._move_up(now, turn)
        _wake(woken)

    def _settle(self, turn: Turn, tokens: int) -> None:
        if turn.recent:
            self._tokens += tokens - turn.tokens
        turn.tokens = tokens

    def _move_up(self, now: float, asking: Turn) -> list[Turn]:
        """Let in whoever may go; return whom to wake: them, and the first in line when only time keeps it out."""
        while self._recent and self._recent[0].began <= now - MINUTE_S:
            old = self._recent.popleft()
            old.recent = False
            self._tokens -= old.tokens
        woken = []
        while self._line:
            first = self._line[0]
            due = self._due(first, now)
            if due > now:
                if due < NOBODY_KNOWS and first is not asking:
                    woken.append(first)
                break
            self._line.popleft()
            self._let_in(first, now)
            if first is not asking:
                woken.append(first)
        return woken

    def _let_in(self, turn: Turn, now: float) -> None:
        turn.inside = True
        turn.began = now
        self._inside += 1
        if self._limits.requests_per_minute is not None or self._limits.tokens_per_minute is not None:
            turn.recent = True
            self._recent.append(turn)
            self._tokens += turn.tokens

    def _due(self, turn: Turn, now: float) -> float:
        """Return when the first in line may go in; infinity while the place is taken."""
        limits = self._limits
        if limits.max_concurrency is not None and self._inside >= limits.max_concurrency:
            return NOBODY_KNOWS
        due = now
        if limits.requests_per_minute is not None and len(self._recent) >= limits.requests_per_minute:
            due = self._recent[len(self._recent) - limits.requests_per_minute].began + MINUTE_S
        if limits.tokens_per_minute is not None:
            due = max(due, self._tokens_due(limits.tokens_per_minute, turn, now))
        return due

    def _tokens_due(self, limit: int, turn: Turn, now: float) -> float:
        """Return when enough of the recent calls are a minute old; a request over the limit goes in after all."""
        spare = limit - self._tokens - min(turn.tokens, limit)
        due = now
        for recent in self._recent:
            if spare >= 0:
                break
            spare += recent.tokens
            due = recent.began + MINUTE_S
        return due


def _wake(turns: list[Turn]) -> None:
    for turn in turns:
        turn.wake()
