"""A rollout in the chains of a resolver: arms, precedence, shadow calls and what replies say."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from kickai_providers_core import (
    ChatRequest,
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    ProviderUnavailableError,
    Reply,
    Resolver,
    Role,
    Settings,
    Target,
    hookimpl,
    use_key,
)
from kickai_providers_core.observability.rollout_controller import PLAN
from kickai_providers_core.resilience.rollout import Rollout, RolloutPlan
from kickai_providers_core.resilience.rollout_settings import RolloutSettings
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, BUCKETS
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.values.events import AttemptEnded, Event, RequestEnded
from kickai_providers_core.values.rollout_key import choose_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HALF = BUCKETS // 2


@define
class Plugin:
    """A provider that answers with its name, or fails."""

    name: str
    fails: bool = False
    calls: list[ChatRequest] = field(factory=list)

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe it."""
        return ProviderInfo(name=self.name, summary="answers with its name")

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Create nothing."""
        return self

    @hookimpl
    def kickai_invoke_provider(self, provider: object, request: ChatRequest) -> Reply:
        """Answer with the name."""
        self.calls.append(request)
        if self.fails:
            raise ProviderUnavailableError("down")
        return Reply(text=self.name, finish_reason=FinishReason.STOP)


@define
class World:
    """Two providers, a store, and a resolver that follows it."""

    store: MemoryStore = field(factory=MemoryStore)
    old: Plugin = field(factory=lambda: Plugin("old"))
    new: Plugin = field(factory=lambda: Plugin("new"))
    events: list[Event] = field(factory=list)

    def resolver(self, **fields: Any) -> Resolver:
        """Return a resolver whose chains are old, new."""
        kickai = KickaiSettings(primary="old", fallback=("new",), plugins=(), **fields.pop("kickai", {}))
        settings = Settings(kickai=kickai, **fields)
        plugins = {"old": self.old, "new": self.new}
        return Resolver.from_settings(settings, plugins=plugins, observers=[self.events.append], store=self.store)

    def plan(self, scope: str = ALL_ROLES, **fields: Any) -> None:
        """Store the rollout of a scope."""
        document = self.store.documents.read(PLAN)
        plan = RolloutPlan.from_dict(document.value).with_rollout(scope, Rollout(candidate="new", **fields))
        assert self.store.documents.write(PLAN, plan.as_dict(), expected_version=document.version)


@pytest.fixture(name="world")
def _world() -> World:
    return World()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def find_key(*, below: int = BUCKETS, from_: int = 0) -> Iterator[str]:
    """Yield keys whose buckets are in a range."""
    keys = (f"user-{number}" for number in range(10_000))
    return (key for key in keys if from_ <= choose_bucket("kickai/new", key) < below)


def test_the_share_decides_which_provider_comes_first(world: World) -> None:
    """By key; both arms have all targets."""
    world.plan(share=HALF)
    with world.resolver() as resolver:
        chain = resolver.for_role("coach")
        mine, other = next(find_key(below=HALF)), next(find_key(from_=HALF))
        assert [chain.invoke("hi", key=key).text for key in (mine, other, mine)] == ["new", "old", "new"]
        world.new.fails = True
        reply = chain.invoke("hi", key=mine)
        assert (reply.text, reply.fell_back, reply.trace.arm) == ("old", True, "candidate")


def test_a_chain_lists_the_target_that_a_rollout_adds(world: World) -> None:
    """What may be called now is more than what the chain lists; without a rollout it is the same."""
    roles = {"coach": Role(name="coach", chain=(Target("old", "m"),))}
    with world.resolver(roles=roles) as resolver:
        chain = resolver.for_role("coach")
        assert chain.reachable == (Target("old", "m"),)
        assert resolver.chain("new:large").reachable == (Target("new", "large"),)
        world.plan(share=HALF)
        wait_for(lambda: chain.reachable == (Target("old", "m"), Target("new")))
        assert chain.targets == ("old:m",)


def test_a_key_of_the_context_counts_for_all_calls_in_it(world: World) -> None:
    """Without ``key=``."""
    world.plan(share=HALF)
    with world.resolver() as resolver, use_key(next(find_key(below=HALF))):
        assert {resolver.for_role("coach").invoke("hi").text for _ in range(5)} == {"new"}


def test_requests_without_a_key_are_spread(world: World) -> None:
    """Each takes an arm at random."""
    world.plan(share=HALF)
    with world.resolver() as resolver:
        chain = resolver.for_role()
        answers = [chain.invoke("hi").text for _ in range(60)]
    assert set(answers) == {"new", "old"}


def test_at_zero_and_at_all_everyone_has_the_same_arm(world: World) -> None:
    """A share of 0 puts the candidate last, also when it is the primary provider."""
    world.plan(share=0)
    with world.resolver(roles={"coach": Role(name="coach", chain=(Target("new"), Target("old")))}) as resolver:
        assert {resolver.for_role("coach").invoke("hi").text for _ in range(20)} == {"old"}
    world.store = MemoryStore()
    world.plan(share=BUCKETS)
    with world.resolver() as resolver:
        assert {resolver.for_role("coach").invoke("hi").text for _ in range(20)} == {"new"}


def test_an_excluded_candidate_is_not_the_fallback_of_the_control_arm(world: World) -> None:
    """The other requests do without it."""
    world.plan(share=0, exclude=True)
    world.old.fails = True
    with world.resolver() as resolver, pytest.raises(Exception, match="down"):
        resolver.for_role("coach").invoke("hi", deadline_s=0.5)
    assert world.new.calls == []


def test_a_running_process_follows_a_change(world: World) -> None:
    """Without a restart, for chains that exist already."""
    with world.resolver() as resolver:
        chain = resolver.for_role("coach")
        assert chain.invoke("hi").text == "old"
        world.plan(share=BUCKETS)
        wait_for(lambda: chain.invoke("hi").text == "new")
        world.plan(share=0)
        wait_for(lambda: chain.invoke("hi").text == "old")


def test_precedence(world: World) -> None:
    """Named targets, then AI_PROVIDER, then the rollout of the role, then that of all, then the chain."""
    world.plan(share=BUCKETS)
    world.plan("scout", share=0)
    with world.resolver() as resolver:
        assert resolver.chain("old").invoke("hi").text == "old"
        assert resolver.for_role("scout").invoke("hi").text == "old"
        assert resolver.for_role("coach").invoke("hi").text == "new"
    with world.resolver(kickai={"preferred": "old"}) as resolver:
        assert resolver.for_role("coach").invoke("hi").text == "old"


def test_a_role_with_only_the_candidate_keeps_its_chain(world: World) -> None:
    """There is nothing to compare it with."""
    world.plan(share=0)
    with world.resolver(roles={"coach": Role(name="coach", chain=(Target("new"),))}) as resolver:
        reply = resolver.for_role("coach").invoke("hi")
    assert (reply.text, reply.trace.arm) == ("new", None)


def test_a_role_without_the_candidate_gets_it(world: World) -> None:
    """The rollout adds it to the chain."""
    world.plan(share=BUCKETS)
    with world.resolver(roles={"coach": Role(name="coach", chain=(Target("old"),))}) as resolver:
        assert resolver.for_role("coach").invoke("hi").text == "new"


def test_an_unknown_candidate_leaves_the_chains_as_they_are(world: World) -> None:
    """Another process may have that provider."""
    document = RolloutPlan(rollouts={ALL_ROLES: Rollout(candidate="elsewhere", share=BUCKETS)}).as_dict()
    world.store.documents.write(PLAN, document, expected_version=0)
    with world.resolver() as resolver:
        assert resolver.for_role("coach").invoke("hi").text == "old"


def test_events_and_metrics_name_the_arm(world: World) -> None:
    """Both arms can be compared."""
    world.plan(share=HALF)
    with world.resolver() as resolver:
        chain = resolver.for_role("coach")
        for keys in (find_key(below=HALF), find_key(from_=HALF)):
            chain.invoke("hi", key=next(keys))
    ends = [event for event in world.events if isinstance(event, AttemptEnded | RequestEnded)]
    assert {(event.arm, getattr(event, "provider", "") or event.attempt.provider) for event in ends} == {
        ("candidate", "new"),
        ("control", "old"),
    }
    assert {key.arm for key, _ in world.store.metrics.read()} == {"candidate", "control"}


def test_a_shadow_call_is_measured_and_never_handed_out(world: World) -> None:
    """The candidate gets a copy in the background; its failure does not matter."""
    world.plan(share=0, shadow=BUCKETS)
    world.new.fails = True
    with world.resolver() as resolver:
        reply = resolver.for_role("coach").invoke("hi")
        assert (reply.text, len(reply.attempts)) == ("old", 1)
        wait_for(lambda: [event for event in world.events if isinstance(event, RequestEnded) and event.arm == "shadow"])
    (copy,) = world.new.calls
    assert copy.messages[0].content == "hi"
    failed = [event for event in world.events if isinstance(event, AttemptEnded) and event.arm == "shadow"]
    assert [event.attempt.provider for event in failed] == ["new"]


def test_no_request_waits_for_its_shadow(world: World) -> None:
    """Even when the candidate never answers; at most four copies are under way."""
    world.plan(share=0, shadow=BUCKETS)
    release = threading.Event()

    class Hanging(Plugin):
        @hookimpl
        def kickai_invoke_provider(self, provider: object, request: ChatRequest) -> Reply:
            self.calls.append(request)
            release.wait(60)
            return Reply(text="late", finish_reason=FinishReason.STOP)

    world.new = Hanging("new")
    try:
        with world.resolver() as resolver:
            chain = resolver.for_role("coach")
            assert {chain.invoke("hi").text for _ in range(50)} == {"old"}
        assert len(world.new.calls) <= 4
    finally:
        release.set()


def test_a_store_that_cannot_be_read_keeps_a_configured_rollout_at_zero(world: World) -> None:
    """Nobody gets the candidate before the first successful read."""

    class DeadStore(MemoryStore):
        @property
        def documents(self) -> Any:
            raise OSError("gone")

        @documents.setter
        def documents(self, value: object) -> None:
            pass

    world.store = DeadStore()
    rollout = RolloutSettings(candidate="new", share="100%")
    with world.resolver(rollout=rollout) as resolver:
        assert {resolver.for_role("coach").invoke("hi").text for _ in range(10)} == {"old"}


async def test_async_calls_and_streams_take_the_same_arms(world: World) -> None:
    """All ways of calling are routed."""
    world.plan(share=HALF)
    mine, other = next(find_key(below=HALF)), next(find_key(from_=HALF))
    async with world.resolver() as resolver:
        chain = resolver.for_role("coach")
        for key, name in ((mine, "new"), (other, "old")):
            assert (await chain.ainvoke("hi", key=key)).text == name
            assert "".join(chunk.text for chunk in chain.stream("hi", key=key)) == name
            assert "".join([chunk.text async for chunk in chain.astream("hi", key=key)]) == name


def test_a_shadow_call_that_cannot_start_costs_its_request_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a thread for the copy there is no copy, and room for later ones is left."""
    world.plan(share=0, shadow=BUCKETS)
    with world.resolver() as resolver:
        chain = resolver.for_role(None)

        def refuse(_run: object) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr("kickai_providers_core.runtime.shadow_calls.threads", SimpleNamespace(start=refuse))
            for _ in range(8):
                assert chain.invoke("hi").provider == "old"
        assert not world.new.calls
        chain.invoke("hi")
        wait_for(lambda: world.new.calls)
