"""Health that processes share: suspensions and open breakers reach siblings, and one process probes for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field, frozen
from simulator import Fixed

from kickai_providers_core import ProviderInfo, ProviderSettings, Secret
from kickai_providers_core.observability.shared_health import GRACE_S, SharedHealth
from kickai_providers_core.plugin_api.service_identity import identify_service
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.health import Health, TargetHealth
from kickai_providers_core.resilience.suspensions import Suspension
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.values.breaker_state import BreakerState

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = BreakerSettings(max_errors=2, cooldown_s=5.0, max_cooldown_s=40.0)


@frozen(kw_only=True)
class ServiceSettings(ProviderSettings):
    """Settings with an address and a key."""

    base_url: str = "https://api.example.com"
    api_key: Secret | None = field(factory=lambda: Secret("sk-1"))


@define
class FakeInstance:
    """The parts of an instance that its identity depends on."""

    settings: ServiceSettings = field(factory=ServiceSettings)
    info: ProviderInfo = field(factory=lambda: ProviderInfo(name="example", summary="an example"))


@define
class World:
    """Processes that share a store and a clock."""

    now: float = 1000.0
    store: MemoryStore = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store = MemoryStore(clock=lambda: self.now)

    def process(self, settings: ServiceSettings | None = None) -> Process:
        """Return a process."""
        return Process(self, FakeInstance(settings or ServiceSettings()))

    def share(self, *processes: Process, after_s: float = 0.25) -> None:
        """Let the store's thread of each process run once, after a while."""
        self.now += after_s
        for process in processes:
            process.shared.run(self.store)


@define(eq=False)
class Process:
    """One process with one target."""

    world: World
    instance: FakeInstance
    health: Health = field(init=False)
    target: TargetHealth = field(init=False)
    shared: SharedHealth = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.health = Health(SETTINGS, Fixed(1.0))
        self.target = self.health.get_target("example", "m")
        find: Callable[[str], Any] = {"example": self.instance}.get
        self.shared = SharedHealth(self.health.get_states, find, lambda: self.world.now)

    def fail(self, times: int = 1, *, is_unreachable: bool = False) -> None:
        """Make calls that fail."""
        for _ in range(times):
            admission = self.target.admit(self.world.now)
            assert admission is not None
            self.target.record_failure(admission, self.world.now, target=True, provider=is_unreachable)

    def suspend(self, seconds: float, reason: str = "RateLimitedError", *, stated: bool = True) -> None:
        """Suspend the target."""
        self.target.target.suspend(Suspension(self.world.now + seconds, reason, reason == "RateLimitedError", stated))

    @property
    def wait_s(self) -> float:
        """Seconds until the target may be called."""
        return self.target.get_available_at(self.world.now) - self.world.now


@pytest.mark.parametrize("reason", ["RateLimitedError", "QuotaExhaustedError"])
def test_a_suspension_reaches_siblings(reason: str) -> None:
    """With the time that is left, its reason, and whether the service stated it."""
    world = World()
    first, second = world.process(), world.process()
    first.suspend(60.0, reason)
    world.share(first, second)
    assert second.wait_s == pytest.approx(59.75)
    suspension = second.target.find_active_suspension(world.now)
    assert suspension is not None
    assert (suspension.reason, suspension.stated, suspension.is_rate_limit) == (
        reason,
        True,
        reason == "RateLimitedError",
    )
    assert second.target.force(world.now) is None


@pytest.mark.parametrize(
    ("reason", "stated", "is_shared"),
    [
        ("AuthenticationError", False, False),
        ("ModelNotFoundError", False, False),
        ("ProviderUnavailableError", False, False),
        ("ProviderUnavailableError", True, True),
    ],
)
def test_only_what_a_service_has_stated_is_shared(reason: str, stated: bool, is_shared: bool) -> None:
    """A rejected key may be this process's own problem."""
    world = World()
    first, second = world.process(), world.process()
    first.suspend(60.0, reason, stated=stated)
    world.share(first, second)
    assert (second.wait_s > 0) == is_shared


@pytest.mark.parametrize(
    "other",
    [
        ServiceSettings(api_key=Secret("sk-2")),
        ServiceSettings(base_url="https://other.example.com"),
        ServiceSettings(api_key=None),
    ],
)
def test_another_account_or_address_is_another_service(other: ServiceSettings) -> None:
    """Its suspensions are its own."""
    world = World()
    first, second = world.process(), world.process(other)
    first.suspend(60.0)
    world.share(first, second)
    assert second.wait_s == 0


def test_the_store_never_sees_a_key_or_an_address() -> None:
    """The identity is a keyed hash, which differs between namespaces."""
    instance: Any = FakeInstance()
    identity = identify_service(instance, "m", "a")
    assert "sk-1" not in identity
    assert "example.com" not in identity
    assert identity != identify_service(instance, "m", "b")
    assert identity.startswith("example/")


def test_a_success_after_the_import_lifts_the_suspension_everywhere() -> None:
    """A call that was admitted after it proves that it is over."""
    world = World()
    first, second = world.process(), world.process()
    first.suspend(60.0, stated=False)
    world.share(first, second)
    admission = second.target.force(world.now)
    assert admission is not None
    second.target.record_success(admission)
    world.share(second, first)
    assert (first.wait_s, second.wait_s) == (0, 0)


def test_a_success_that_was_admitted_before_lifts_nothing() -> None:
    """It proves nothing about the suspension."""
    world = World()
    first, second = world.process(), world.process()
    early = second.target.admit(world.now)
    assert early is not None
    first.suspend(60.0)
    world.share(first, second)
    second.target.record_success(early)
    world.share(second, first)
    assert min(first.wait_s, second.wait_s) > 59


def test_a_newer_suspension_survives_the_end_of_an_older_one() -> None:
    """The generation that the store counts decides, not a clock."""
    world = World()
    first, second = world.process(), world.process()
    first.suspend(60.0, stated=False)
    world.share(first, second)
    admission = second.target.force(world.now)
    assert admission is not None
    first.suspend(120.0)
    first.shared.run(world.store)
    second.target.record_success(admission)
    world.share(second, first)
    assert min(first.wait_s, second.wait_s) > 100


def test_an_open_breaker_reaches_siblings() -> None:
    """For the rest of its cool-down."""
    world = World()
    first, second = world.process(), world.process()
    first.fail(2)
    world.share(first, second)
    assert second.target.target.breaker.state is BreakerState.OPEN
    assert second.wait_s == pytest.approx(4.75)


def test_the_breaker_of_an_unreachable_target_stays_local() -> None:
    """This process's own network may be the problem."""
    world = World()
    first, second = world.process(), world.process()
    first.fail(2, is_unreachable=True)
    world.share(first, second)
    assert second.wait_s == 0


def open_everywhere(world: World, *processes: Process) -> None:
    """Open the breaker of the first process, share it, and let the cool-down pass."""
    processes[0].fail(2)
    world.share(*processes)
    world.share(*processes, after_s=6.0)


def test_one_process_probes_for_all() -> None:
    """The others count the target as open until the probe has ended; its success closes all breakers."""
    world = World()
    processes = [world.process() for _ in range(3)]
    open_everywhere(world, *processes)
    assert [process.target.admit(world.now) for process in processes] == [None, None, None]
    world.share(*processes)
    admissions = [process.target.admit(world.now) for process in processes]
    probes = [admission for admission in admissions if admission is not None]
    assert len(probes) == 1
    assert all(process.wait_s > 0 for process, admission in zip(processes, admissions, strict=True) if not admission)
    prober = processes[[admission is not None for admission in admissions].index(True)]
    prober.target.record_success(probes[0])
    world.share(prober, *processes)
    assert {process.target.target.breaker.state for process in processes} == {BreakerState.CLOSED}


def test_a_failed_probe_keeps_all_breakers_open() -> None:
    """For the longer cool-down, and then somebody probes again."""
    world = World()
    first, second = world.process(), world.process()
    open_everywhere(world, first, second)
    first.target.admit(world.now)
    world.share(first, second)
    first.fail()
    world.share(first, second)
    assert second.wait_s == pytest.approx(first.wait_s)
    assert first.wait_s > 9
    world.share(first, second, after_s=11.0)
    second.target.admit(world.now)
    world.share(first, second)
    assert second.target.admit(world.now) is not None


def test_a_lease_that_is_not_needed_is_returned() -> None:
    """When no probe was made in its time, another process may probe."""
    world = World()
    first, second = world.process(), world.process()
    open_everywhere(world, first, second)
    first.target.admit(world.now)
    world.share(first, second)
    world.share(first, second, after_s=12.0)
    second.target.admit(world.now)
    world.share(first, second)
    assert second.target.admit(world.now) is not None
    assert first.target.admit(world.now) is None


def test_with_a_dead_store_each_process_probes_for_itself() -> None:
    """The need for a lease ends two seconds after the store was last read."""
    world = World()
    first, second = world.process(), world.process()
    open_everywhere(world, first, second)
    assert first.target.admit(world.now) is None
    world.now += 2.0
    assert first.target.admit(world.now) is not None
    assert second.target.admit(world.now) is not None


def test_a_new_process_begins_with_an_open_breaker() -> None:
    """Also when the cool-down is over and nobody has probed yet: it does not send a burst of requests."""
    world = World()
    first = world.process()
    open_everywhere(world, first)
    late = world.process()
    world.share(late, first)
    assert late.target.target.breaker.state is BreakerState.OPEN
    assert late.target.admit(world.now) is None
    world.share(late, first)
    assert first.target.target.breaker.state is BreakerState.OPEN
    assert late.target.admit(world.now) is not None


def test_a_mark_that_nobody_has_renewed_ends() -> None:
    """After the cool-down and its grace the target counts as healthy."""
    world = World()
    first = world.process()
    first.fail(2)
    world.share(first)
    world.now += 5.0 + GRACE_S
    late = world.process()
    world.share(late)
    assert late.target.target.breaker.state is BreakerState.CLOSED


def test_a_forked_child_holds_no_lease() -> None:
    """It is the parent's."""
    world = World()
    first = world.process()
    open_everywhere(world, first)
    first.target.admit(world.now)
    world.share(first)
    first.shared.renew_after_fork()
    assert first.target.admit(world.now) is None


def test_targets_without_an_instance_are_left_out() -> None:
    """A provider that is not installed has no identity."""
    world = World()
    first = world.process()
    first.health.get_target("missing", "m").target.suspend(Suspension(world.now + 60, "RateLimitedError", stated=True))
    world.share(first)
    assert world.store.health.read() == []
