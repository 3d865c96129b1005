"""Many prompts at once: order, outcomes, concurrency, progress and cancellation."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    BatchItem,
    BatchProgress,
    ChainExhaustedError,
    ChatRequest,
    FinishReason,
    ProviderInfo,
    ProviderUnavailableError,
    Reply,
    Resolver,
    hookimpl,
    use_key,
)
from kickai_providers_core.values.rollout_key import get_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Chain

MODES = ("sync", "async")


class Echo:
    """A provider that repeats the prompt after some turns of the event loop, and fails for some prompts.

    Attributes:
        most: The most calls at the same time.
    """

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.seeds: set[int | None] = set()
        self.keys: set[str | None] = set()
        self.running = self.most = self.cancelled = 0
        self.begun = threading.Event()
        self.blocked = False

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="echo", summary="")

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        raise AssertionError("a batch is asynchronous")

    @hookimpl
    async def kickai_ainvoke_provider(self, request: ChatRequest) -> Reply:
        text = request.messages[-1].content
        self.prompts.append(text)
        self.seeds.add(request.seed)
        self.keys.add(get_key())
        self.running += 1
        self.most = max(self.most, self.running)
        self.begun.set()
        try:
            for _ in range(len(self.prompts) % 7 * 3):  # later prompts end earlier
                await asyncio.sleep(0)
            if self.blocked:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if text.startswith("bad"):
            raise ProviderUnavailableError("down")
        return Reply(text=text, finish_reason=FinishReason.STOP)


@pytest.fixture
def echo() -> Echo:
    """The provider."""
    return Echo()


@pytest.fixture
def chain(echo: Echo) -> Iterator[Chain]:
    """A chain of the provider, without retries."""
    settings = {"providers": {"echo": {"retries": 0}}, "breaker": {"max_errors": 1000}}
    with Resolver.from_settings(settings, plugins={"echo": echo}, env={}) as resolver:
        yield resolver.chain("echo")


def run(chain: Chain, how: str, prompts: Any, **keywords: Any) -> list[BatchItem]:
    """Run a batch in one of the two ways."""
    if how == "sync":
        return chain.batch(prompts, **keywords)
    return asyncio.run(chain.abatch(prompts, **keywords))


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_the_outcomes_are_in_the_order_of_the_prompts(chain: Chain, echo: Echo, how: str, concurrency: int) -> None:
    """Whatever ends first, each prompt has its own outcome, and no more calls run at a time than allowed."""
    prompts = [f"{'bad' if number % 5 == 0 else 'good'} {number}" for number in range(30)]
    items = run(chain, how, prompts, concurrency=concurrency, seed=4)
    assert [item.index for item in items] == list(range(30))
    for prompt, item in zip(prompts, items, strict=True):
        if prompt.startswith("bad"):
            assert isinstance(item.error, ChainExhaustedError)
            assert item.reply is None
            with pytest.raises(ChainExhaustedError):
                item.unwrap()
        else:
            assert item.unwrap().text == prompt
            assert item.error is None
    assert echo.most <= concurrency
    assert echo.most >= min(concurrency, 15)
    assert echo.seeds == {4}


@pytest.mark.parametrize("how", MODES)
def test_an_empty_batch_has_no_outcomes(chain: Chain, how: str) -> None:
    """Nothing is sent."""
    assert run(chain, how, []) == []


@pytest.mark.parametrize("how", MODES)
def test_an_iterator_is_read_as_calls_become_free(chain: Chain, echo: Echo, how: str) -> None:
    """Prompts that are not needed yet are not read."""
    ahead = []

    def read() -> Iterator[str]:
        for number in range(20):
            ahead.append(number - len(echo.prompts))
            yield str(number)

    assert [item.unwrap().text for item in run(chain, how, read(), concurrency=2)] == [str(n) for n in range(20)]
    assert max(ahead) <= 2


@pytest.mark.parametrize("how", MODES)
def test_progress_is_reported_after_each_outcome(chain: Chain, how: str) -> None:
    """It counts outcomes and failures; the total of an iterator is unknown."""
    for prompts, total in ((["a", "bad", "c"], 3), (iter(["a", "bad", "c"]), None)):
        seen: list[BatchProgress] = []
        run(chain, how, prompts, on_progress=seen.append)
        assert [each.done for each in seen] == [1, 2, 3]
        assert {each.total for each in seen} == {total}
        assert seen[-1].failed == 1
        assert {each.item.index for each in seen} == {0, 1, 2}


@pytest.mark.parametrize("how", MODES)
def test_an_exception_of_the_callback_ends_the_batch(chain: Chain, echo: Echo, how: str) -> None:
    """The running calls are cancelled, and no other prompt is sent."""

    def stop(progress: BatchProgress) -> None:
        if progress.done == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        run(chain, how, (str(number) for number in range(1000)), concurrency=3, on_progress=stop)
    assert len(echo.prompts) < 20
    assert echo.running == 0


@pytest.mark.parametrize("how", MODES)
def test_a_malformed_prompt_is_its_own_outcome(chain: Chain, how: str) -> None:
    """The others are answered."""
    items = run(chain, how, ["a", 5, [{"role": "user", "content": "c"}]])
    assert [type(item.error) for item in items] == [type(None), ArgumentTypeError, type(None)]
    assert "private" not in repr(run(chain, how, ["private"]))


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    ("prompts", "keywords", "error", "message"),
    [
        ("abc", {}, ArgumentTypeError, "prompts must be an iterable of prompts, got str of 3 characters"),
        (5, {}, ArgumentTypeError, "prompts must be an iterable of prompts, got int"),
        (["a"], {"concurrency": 0}, ArgumentValueError, "concurrency must be at least 1, got 0"),
        (["a"], {"temperature": -1}, ArgumentValueError, "temperature must be at least 0, got -1"),
        (["a"], {"temprature": 1}, ArgumentTypeError, "unknown keyword argument 'temprature'"),
        (["a"], {"deadline_s": 0}, ArgumentValueError, "deadline_s must be greater than 0, got 0"),
    ],
)
def test_what_is_wrong_for_all_prompts_is_raised_at_once(
    how: str, prompts: Any, keywords: Any, error: type[Exception], message: str
) -> None:
    """Nothing is sent."""
    echo = Echo()
    with (
        Resolver.from_settings({}, plugins={"echo": echo}, env={}) as resolver,
        pytest.raises(error) as raised,
    ):
        run(resolver.chain("echo"), how, prompts, **keywords)
    assert str(raised.value).startswith(message)
    assert echo.prompts == []


@pytest.mark.parametrize("how", MODES)
def test_the_calls_have_the_callers_context(chain: Chain, echo: Echo, how: str) -> None:
    """A rollout key of the context applies to each call."""
    with use_key("user-1"):
        run(chain, how, ["a", "b"])
    assert echo.keys == {"user-1"}


async def test_cancelling_cancels_the_running_calls(chain: Chain, echo: Echo) -> None:
    """No task is left behind."""
    echo.blocked = True
    task = asyncio.create_task(chain.abatch([str(number) for number in range(9)], concurrency=4))
    while echo.running < 4:  # noqa: ASYNC110  the provider knows nothing of this loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (echo.cancelled, echo.running, len(echo.prompts)) == (4, 0, 4)
    assert asyncio.all_tasks() == {asyncio.current_task()}
