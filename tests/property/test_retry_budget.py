"""The budget for extra calls, against a list of all that happened."""

from __future__ import annotations

from threading import Thread

from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import Fixed, Target, World, always

from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.retry_budget import BudgetWindow, RetryBudget
from kickai_providers_core.values.errors import ProviderUnavailableError

steps = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 1.0, 7.0, 59.5, 61.5, 300.0]), st.booleans()), max_size=80)


@settings(deadline=None)
@given(steps=steps, share=st.sampled_from([0.0, 0.2, 0.5, 2.0]), floor=st.integers(0, 3))
def test_extra_calls_stay_within_the_share_of_any_minute(
    steps: list[tuple[float, bool]], share: float, floor: int
) -> None:
    """Promise 4: exactly as many extra calls as the budget allows, to its resolution of a second."""
    tally, now = BudgetWindow(share, floor), 0.0
    requests: list[float] = []
    withdrawals: list[float] = []
    for wait_s, extra in steps:
        now += wait_s
        if not extra:
            requests.append(now)
            tally = tally.advance(len(requests), now)
            continue
        tally = tally.advance(len(requests), now)

        def within(times: list[float], window_s: float, now: float = now) -> int:
            return sum(now - at < window_s for at in times)

        if tally.can_withdraw():
            assert within(withdrawals, 60.0) + 1 <= max(floor, share * within(requests, 61.0))
            tally = tally.withdraw()
            withdrawals.append(now)
        else:
            assert within(withdrawals, 61.0) + 1 > max(floor, share * within(requests, 60.0))
        assert len(tally.snapshots) <= 63


@settings(deadline=None, max_examples=count_examples(50))
@given(every_s=st.floats(0.05, 5.0), retries=st.integers(1, 4), share=st.sampled_from([0.1, 0.2, 0.5]))
def test_retries_do_not_make_an_outage_worse(every_s: float, retries: int, share: float) -> None:
    """Promise 4: through minutes in which everything fails, the calls beyond the first stay within the budget."""
    world = World(
        [Target(name="a", script=always(lambda: ProviderUnavailableError("down")), retries=retries)],
        policy=Policy(retry_share=share, retry_floor=5),
        breaker=BreakerSettings(max_errors=10**9),
        random=Fixed(0.0),
    )
    calls: list[list[float]] = []
    for _ in range(150):
        calls.append([call.at for call in world.ask().calls])
        world.now += every_s
    extra = [at for made in calls for at in made[1:]]
    for end in extra:
        within = sum(end - 60.0 < at <= end for at in extra)
        assert within <= max(5, share * sum(end - 61.0 < made[0] <= end for made in calls))


def test_threads_share_one_budget_exactly() -> None:
    """Promise 9: sixteen threads at once withdraw exactly what the budget holds."""
    budget = RetryBudget(0.0, 100)
    got: list[bool] = []
    threads = [Thread(target=lambda: got.extend([budget.try_withdraw(1, 0.0) for _ in range(50)])) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), sum(got)) == (800, 100)
