"""Creating and validating a provider: once, in time, and never on the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core import (
    FinishReason,
    Problem,
    ProviderInfo,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Reply,
    Resolver,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core import Chain, ChatRequest

MODES = ("invoke", "ainvoke", "stream", "astream")


class Slow:
    """A provider whose creation and validation wait until they may go on."""

    def __init__(self, name: str, *, waits_in: str = "") -> None:
        self.name = name
        self.may_go_on = threading.Event()
        self.waits_in = waits_in
        self.created = self.validated = self.called = 0
        self.validated_on: list[str] = []
        self.fails: Exception | None = None
        self.problems: tuple[Problem, ...] = ()

    def wait(self, hook: str) -> None:
        """Wait in the hook that was chosen."""
        if hook == self.waits_in:
            assert self.may_go_on.wait(30)

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name=self.name, summary="", holds_timeouts=True)

    @hookimpl
    def kickai_validate_provider(self) -> tuple[Problem, ...]:
        self.validated += 1
        self.validated_on.append(threading.current_thread().name)
        self.wait("validate")
        return self.problems

    @hookimpl
    def kickai_create_provider(self) -> object:
        self.created += 1
        self.wait("create")
        if self.fails is not None:
            raise self.fails
        return self

    @hookimpl
    def kickai_invoke_provider(self, request: ChatRequest) -> Reply:
        self.called += 1
        return Reply(text=self.name, finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_close_provider(self) -> None:
        self.created -= 1


def answer(chain: Chain, mode: str) -> Reply:
    """Return the reply of a chain in a mode."""
    if mode == "invoke":
        return chain.invoke("hi")
    if mode == "ainvoke":
        return asyncio.run(_ainvoke(chain))
    if mode == "stream":
        stream = chain.stream("hi")
        list(stream)
        assert stream.reply is not None
        return stream.reply
    return asyncio.run(_astream(chain))


async def _ainvoke(chain: Chain) -> Reply:
    return await chain.ainvoke("hi")


async def _astream(chain: Chain) -> Reply:
    stream = chain.astream("hi")
    async for _ in stream:
        pass
    assert stream.reply is not None
    return stream.reply


def resolver_of(*plugins: Slow, **settings: Any) -> Resolver:
    """Return a resolver whose instances are these plugins."""
    providers = {plugin.name: {"retries": 0, **settings} for plugin in plugins}
    return Resolver.from_settings({"providers": providers}, plugins={p.name: p for p in plugins}, env={})


@pytest.mark.parametrize("mode", MODES)
def test_a_creation_that_hangs_costs_one_attempt(mode: str) -> None:
    """Promise 3: the next target is called when the attempt's time is over, and the reply says what happened."""
    slow, next_ = Slow("slow", waits_in="create"), Slow("next")
    with resolver_of(slow, next_, timeout_s=0.2) as resolver:
        reply = answer(resolver.chain("slow", "next", deadline_s=20), mode)
        assert reply.text == "next"
        error = reply.attempts[0].error
        assert isinstance(error, ProviderTimeoutError)
        assert error.message == "the provider was not created in time"
        assert error.__cause__ is not error
        slow.may_go_on.set()


@pytest.mark.parametrize("mode", MODES)
def test_a_slow_creation_is_used_by_the_next_request(mode: str) -> None:
    """It does not start again while it is under way, nor after it has succeeded."""
    slow, next_ = Slow("slow", waits_in="create"), Slow("next")
    with resolver_of(slow, next_, timeout_s=0.2) as resolver:
        chain = resolver.chain("slow", "next", deadline_s=20)
        for _ in range(2):
            assert answer(chain, mode).text == "next"
        slow.may_go_on.set()
        instance = resolver.registry.find("slow")
        assert instance is not None
        instance.get_provider(20.0)
        assert answer(chain, mode).text == "slow"
        assert slow.created == 1


def test_callers_of_all_kinds_share_one_creation() -> None:
    """Threads and event loops that ask at the same time wait for the same provider, each with its own answer."""
    slow = Slow("slow", waits_in="create")
    with resolver_of(slow, timeout_s=20) as resolver, ThreadPoolExecutor(8) as pool:
        chain = resolver.chain("slow")
        answers = [pool.submit(answer, chain, mode) for mode in MODES * 2]
        slow.may_go_on.set()
        assert [each.result().text for each in answers] == ["slow"] * 8
        assert slow.created == 1


def test_callers_who_share_a_failed_creation_get_an_error_each() -> None:
    """Each request has its own error, and the next request creates the provider anew."""
    slow = Slow("slow", waits_in="create")
    slow.fails = ProviderUnavailableError("no luck")
    with resolver_of(slow, timeout_s=20) as resolver, ThreadPoolExecutor(2) as pool:
        instance = resolver.registry.find("slow")
        assert instance is not None
        waiting = [pool.submit(instance.get_provider, 20.0) for _ in range(2)]
        time.sleep(0.1)
        slow.may_go_on.set()
        errors = [each.exception() for each in waiting]
        assert [type(error) for error in errors] == [ProviderUnavailableError] * 2
        assert errors[0] is not errors[1]
        slow.fails = None
        assert instance.get_provider() is slow


def test_a_timeout_that_a_creation_raises_itself_is_its_own_error() -> None:
    """It is not confused with the caller's own timeout, and is not its own cause."""
    slow = Slow("slow")
    slow.fails = ProviderTimeoutError("the vendor's handshake took too long", phase="connect")
    with resolver_of(slow) as resolver:
        instance = resolver.registry.find("slow")
        assert instance is not None
        for call in (lambda: instance.get_provider(5.0), lambda: asyncio.run(_aprovider(instance))):
            with pytest.raises(ProviderTimeoutError, match="handshake") as caught:
                call()
            assert caught.value.phase == "connect"


async def _aprovider(instance: Any) -> object:
    return await instance._creation.aget(5.0)


def test_a_provider_created_after_the_resolver_was_closed_is_closed() -> None:
    """Closing a resolver leaves nothing behind, even when a creation was under way."""
    slow = Slow("slow", waits_in="create")
    resolver = resolver_of(slow, timeout_s=0.1)
    with pytest.raises(ProviderTimeoutError):
        resolver.registry.find("slow").get_provider(0.1)
    resolver.close()
    slow.may_go_on.set()
    with pytest.raises(RuntimeError, match="is closed"):
        resolver.registry.find("slow").get_provider(0.1)
    ends = time.monotonic() + 10
    while slow.created and time.monotonic() < ends:
        time.sleep(0.01)
    assert slow.created == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_validation_that_hangs_is_bounded(mode: str) -> None:
    """Promise 3: its target is skipped after an attempt's time, and is used once the validation has ended."""
    slow, next_ = Slow("slow", waits_in="validate"), Slow("next")
    with resolver_of(slow, next_, timeout_s=0.2) as resolver:
        chain = resolver.chain("slow", "next", deadline_s=20)
        reply = answer(chain, mode)
        assert reply.text == "next"
        assert str(reply.skipped[0]) == "slow: not configured (its settings were not validated in time)"
        slow.may_go_on.set()
        assert resolver.registry.find("slow").validation.find_problems() == ()
        assert answer(chain, mode).text == "slow"
        assert slow.validated == 1


def test_requests_do_not_wait_again_for_a_hanging_validation() -> None:
    """After one second, requests skip the target at once until the validation has ended."""
    slow, next_ = Slow("slow", waits_in="validate"), Slow("next")
    with resolver_of(slow, next_, timeout_s=1.0) as resolver:
        chain = resolver.chain("slow", "next", deadline_s=20)
        for _ in range(2):
            assert chain.invoke("hi").skipped[0].detail == "its plugin has not finished validating its settings"
        slow.may_go_on.set()
        resolver.registry.find("slow").validation.find_problems()
        assert chain.invoke("hi").text == "slow"


def test_a_validation_never_runs_on_the_event_loop() -> None:
    """Other tasks go on while it waits."""
    slow = Slow("slow", waits_in="validate")

    async def main(chain: Chain) -> Reply:
        asking = asyncio.create_task(chain.ainvoke("hi"))
        while not slow.validated_on:  # noqa: ASYNC110  it is set in another thread
            await asyncio.sleep(0.01)
        slow.may_go_on.set()  # a blocked loop would never come to this
        return await asking

    with resolver_of(slow, timeout_s=20) as resolver:
        assert asyncio.run(main(resolver.chain("slow"))).text == "slow"
    assert slow.validated_on == ["kickai-call"]


def test_a_validation_leaves_half_the_time_to_the_other_targets() -> None:
    """This holds too when the first target's attempts may take longer than the deadline."""
    slow, next_ = Slow("slow", waits_in="validate"), Slow("next")
    with resolver_of(slow, next_, timeout_s=60) as resolver:
        assert resolver.chain("slow", "next", deadline_s=2).invoke("hi").text == "next"
        slow.may_go_on.set()


def test_hedging_does_not_wait_for_validations() -> None:
    """All targets are validated when a hedged request starts, so that the second can be called in time."""
    first, second = Slow("first"), Slow("second")
    hedging = {"after_s": 0.05, "floor": 10}
    count_validations: Callable[[], int] = lambda: second.validated  # noqa: E731
    plugins = {"first": first, "second": second}
    with Resolver.from_settings({"hedging": hedging}, plugins=plugins, env={}) as resolver:
        assert resolver.chain("first", "second").invoke("hi").text == "first"
        ends = time.monotonic() + 10
        while not count_validations() and time.monotonic() < ends:
            time.sleep(0.01)
        assert count_validations() == 1
