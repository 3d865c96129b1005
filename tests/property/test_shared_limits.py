"""Processes that share the limits of a provider through a store, on a virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import define, field
from effort import count_examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kickai_providers_core.observability.day_limit_leases import DayPermits
from kickai_providers_core.observability.minute_limit_leases import MinuteBlocks
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter, Ticket
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.memory import MemoryStore

if TYPE_CHECKING:
    from kickai_providers_core.resilience.leased_limits import DayLimit, MinuteLimit
    from kickai_providers_core.resilience.rate_allowances import Allowances

DAY_S = 86_400.0
START_S = 20_000 * DAY_S + 50_000.0


@define
class Fleet:
    """Processes with one store and one clock.

    Attributes:
        limits: What they share.
        now: The time, which is the time of day too.
        calls: The time and the tokens of each call.
    """

    limits: Limits
    now: float = START_S
    calls: list[tuple[float, int]] = field(factory=list)
    store: MemoryStore = field(init=False)
    is_store_lost: bool = False

    def __attrs_post_init__(self) -> None:
        self.store = MemoryStore(clock=lambda: self.now)

    def count_calls(self, seconds: float) -> int:
        """Return the number of calls of the latest seconds."""
        return sum(at > self.now - seconds for at, _ in self.calls)

    def count_tokens(self, seconds: float) -> int:
        """Return the tokens of the calls of the latest seconds."""
        return sum(tokens for at, tokens in self.calls if at > self.now - seconds)


class Process:
    """A process: its rate limiter, and what its store's thread leases."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet, self.name = fleet, name
        self.limiter = RateLimiter(fleet.limits)
        self.limiter.lease(lambda: None)
        self.leased: list[MinuteBlocks | DayPermits] = []
        self.waiting: list[Ticket] = []
        if fleet.limits.requests_per_minute:
            self.leased.append(MinuteBlocks(self.limiter, "requests", find_requests, self.clock))
        if fleet.limits.tokens_per_minute:
            self.leased.append(MinuteBlocks(self.limiter, "tokens", find_tokens, self.clock))
        if fleet.limits.requests_per_day:
            self.leased.append(DayPermits(self.limiter, "day", find_day, self.clock))

    def clock(self) -> float:
        """Return the time."""
        return self.fleet.now

    def run(self) -> None:
        """Let the store's thread work."""
        if not self.fleet.is_store_lost:
            for leased in self.leased:
                leased.run(self.fleet.store.leases, self.name)
        self.look()

    def end(self) -> None:
        """End properly."""
        for leased in self.leased:
            leased.finish(self.fleet.store.leases, self.name)

    def ask(self, tokens: int = 1) -> Ticket:
        """Send a request, which waits for at most a look."""
        ticket = self.limiter.request_ticket(tokens, self.fleet.now)
        self.waiting.append(ticket)
        self.look()
        return ticket

    def look(self) -> None:
        """Let the requests that were admitted call."""
        for ticket in list(self.waiting):
            if not ticket.released:
                ticket.get_wait_s(self.fleet.now)
        for ticket in [each for each in self.waiting if each.admitted or each.released]:
            self.waiting.remove(ticket)
            if ticket.admitted:
                self.fleet.calls.append((ticket.began, ticket.tokens))
                ticket.release(self.fleet.now)


def find_requests(allowances: Allowances, requests: int, _: int) -> tuple[MinuteLimit, int]:
    """Return the limit of requests per minute, and how much of it is used."""
    assert allowances.minute_requests is not None
    return allowances.minute_requests, requests


def find_tokens(allowances: Allowances, _: int, tokens: int) -> tuple[MinuteLimit, int]:
    """Return the limit of tokens per minute, and how much of it is used."""
    assert allowances.minute_tokens is not None
    return allowances.minute_tokens, tokens


def find_day(allowances: Allowances) -> DayLimit:
    """Return the limit of requests per day."""
    assert allowances.day_requests is not None
    return allowances.day_requests


steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "run", "run", "wait", "kill", "end"]),
        st.integers(0, 3),
        st.integers(1, 12),
        st.sampled_from([0.1, 0.3, 1.0, 5.0, 10.0, 14.0]),
    ),
    max_size=120,
)
sizes = st.sampled_from([1, 2, 2, 5, 11, 20])


@settings(max_examples=count_examples(100), deadline=None)
@given(limit=st.integers(1, 40), tokens=st.none() | st.integers(20, 60), size=sizes, steps=steps)
@example(  # a process without tokens hears of its requests first, long after it has asked for both
    limit=13,
    tokens=20,
    size=2,
    steps=[
        ("ask", 0, 9, 0.1),
        ("ask", 1, 1, 0.1),
        ("wait", 0, 1, 5.0),
        ("ask", 2, 1, 0.1),
        ("wait", 0, 1, 5.0),
        ("wait", 0, 1, 1.0),
    ],
)
def test_processes_together_stay_within_a_limit_per_minute(
    limit: int, tokens: int | None, size: int, steps: list[tuple[str, int, int, float]]
) -> None:
    """In any minute, however they start, call, end and die, and however large their requests are."""
    fleet = Fleet(Limits(requests_per_minute=limit, tokens_per_minute=tokens))
    names = iter(range(1000))

    def start() -> Process:
        process = Process(fleet, f"p{next(names)}")
        process.run()
        return process

    processes = [start() for _ in range(4)]
    for what, which, count, wait_s in steps:
        if what == "ask":
            for _ in range(count):
                processes[which].ask(size)
        elif what == "kill":
            processes[which] = start()
        elif what == "end":
            processes[which].end()
            processes[which] = start()
        else:
            if what == "wait":
                fleet.now += wait_s
            for process in processes:
                process.run()
        assert fleet.count_calls(60.0) <= limit
        assert tokens is None or fleet.count_tokens(60.0) <= tokens


@settings(max_examples=count_examples(100), deadline=None)
@given(limit=st.integers(1, 60), steps=steps)
def test_processes_together_stay_within_a_limit_per_day(limit: int, steps: list[tuple[str, int, int, float]]) -> None:
    """What a process that dies has leased is lost for the day; all else can be used up, and no more."""
    fleet = Fleet(Limits(requests_per_day=limit))
    processes = [Process(fleet, f"p{at}") for at in range(4)]
    for process in processes:
        process.run()
    for what, which, count, wait_s in steps:
        if what == "ask":
            for _ in range(count):
                processes[which].ask()
        elif what == "kill":
            processes[which] = Process(fleet, "new")
            processes[which].run()
        else:
            fleet.now += wait_s
            for process in processes:
                process.run()
        assert len(fleet.calls) <= limit
    fleet.now = (START_S // DAY_S + 1) * DAY_S
    before = len(fleet.calls)
    for _ in range(4 * limit):
        fleet.now += 0.3
        processes[0].run()
        if len(fleet.calls) - before < limit:
            processes[0].ask()
    assert len(fleet.calls) - before <= limit


def test_one_process_can_use_the_whole_limit() -> None:
    """With the thread's answers, a burst is served as without a store; each block is a tenth."""
    fleet = Fleet(Limits(requests_per_minute=60))
    process = Process(fleet, "p")
    process.run()
    tickets = [process.ask() for _ in range(70)]
    assert sum(ticket.admitted for ticket in tickets) == 6
    fleet.now += 0.1
    process.run()
    assert sum(ticket.admitted for ticket in tickets) == 60


@pytest.mark.parametrize("asking", [1, 2, 3])
def test_a_request_above_the_share_of_its_process_gets_the_blocks_of_others(asking: int) -> None:
    """Idle ones give theirs back; of several that need most of the limit, each has its turn."""
    fleet = Fleet(Limits(tokens_per_minute=20))
    processes = [Process(fleet, f"p{at}") for at in range(5)]
    for process in processes:
        process.run()
    tickets = [process.ask(19) for process in processes[:asking]]
    served_at: list[float] = []
    while len(served_at) < asking and fleet.now < START_S + 600.0:
        fleet.now += 0.25
        for process in processes:
            process.run()
        served_at += [fleet.now - START_S for ticket in tickets if ticket.admitted][len(served_at) :]
        assert fleet.count_tokens(60.0) <= 20
    assert len(served_at) == asking
    assert served_at[0] <= (15.0 if asking == 1 else 300.0)


def test_a_process_that_comes_late_gets_a_block() -> None:
    """Although another one uses all of them; and what that one does not use, too."""
    fleet = Fleet(Limits(requests_per_minute=20))
    first, second = Process(fleet, "first"), Process(fleet, "second")
    for at in range(1000):
        fleet.now += 0.25
        first.run()
        if len(first.waiting) < 30:
            first.ask()
        if at > 300:
            second.run()
            if not second.waiting:
                second.ask()
        assert fleet.count_calls(60.0) <= 20
    share = second.limiter.exchange(fleet.now, lambda allowances, *_: allowances.minute_requests)
    assert share is not None
    assert share.share >= 2


def test_without_an_answer_a_process_makes_one_call_a_minute() -> None:
    """The store has never answered; a process that had a share goes on with it."""
    fleet = Fleet(Limits(requests_per_minute=60), is_store_lost=True)
    process = Process(fleet, "p")
    served = []
    for _ in range(5 * 60):
        fleet.now += 1.0
        ticket = process.ask()
        served.append(ticket.admitted)
        ticket.release(fleet.now, used=ticket.admitted)
        process.waiting.clear()
    assert sum(served) == 5
    fleet.is_store_lost = False
    process.run()
    fleet.is_store_lost = True
    fleet.now += 600.0
    assert sum(process.ask().admitted for _ in range(20)) == 12  # two blocks, after one call in the last minute


def test_a_lost_store_bounds_a_day_as_well() -> None:
    """What is held is used, then one call a minute, and the limit at most."""
    fleet = Fleet(Limits(requests_per_day=20))
    process = Process(fleet, "p")
    process.run()
    fleet.is_store_lost = True
    for _ in range(3600):
        fleet.now += 1.0
        ticket = process.ask()
        ticket.release(fleet.now, used=ticket.admitted)
        process.waiting.clear()
    assert 20 <= len(fleet.calls) <= 22
    assert process.ask().used_up


def test_what_a_process_returns_can_be_used_by_another() -> None:
    """At its end: all that was not used on this day."""
    fleet = Fleet(Limits(requests_per_day=30))
    first, second = Process(fleet, "first"), Process(fleet, "second")
    for _ in range(3):
        first.ask()
        first.run()
    first.end()
    for _ in range(100):
        fleet.now += 0.3
        second.ask()
        second.run()
    assert len(fleet.calls) == 30
    for ticket in second.waiting:
        ticket.release(fleet.now, used=False)
    assert second.ask().used_up == "its 30 requests of the day, until 00:00 UTC, are used up"


def test_a_failing_store_leaves_the_share() -> None:
    """The exception reaches the store's thread, and the calls go on."""

    class Failing:
        """Leases that cannot be reached."""

        def claim(self, *_: object) -> None:
            """Fail."""
            raise StoreError("gone")

    fleet = Fleet(Limits(requests_per_minute=60))
    process = Process(fleet, "p")
    process.run()
    fleet.now += 20.0
    with pytest.raises(StoreError):
        process.leased[0].run(Failing(), "p")  # type: ignore[arg-type]
    assert sum(process.ask().admitted for _ in range(20)) == 6
