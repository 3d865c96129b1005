"""Many prompts at once: a fixed number of calls at a time, and one outcome for each prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sized
from typing import TYPE_CHECKING, TypeVar

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.errors import KickaiError
from kickai_providers_core.values.prompt_masking import Masked
from kickai_providers_core.values.validation import Number, describe_type, hide_arguments, raise_type_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from kickai_providers_core.values.replies import Reply

__all__ = ["BatchItem", "BatchProgress", "abatch", "run_concurrently", "validate_batch"]

LIMIT = Number(integer=True, minimum=1)

T = TypeVar("T")


@frozen(eq=False, repr=False)
class BatchItem(Value):
    """What one prompt of a batch came to. Exactly one of ``reply`` and ``error`` is set.

    Attributes:
        index: The position of the prompt, from 0.
        reply: The answer, or None.
        error: Why there is no answer, or None.
    """

    index: int
    reply: Reply | None = None
    error: KickaiError | None = field(default=None, repr=lambda error: type(error).__name__ if error else "None")

    def unwrap(self) -> Reply:
        """Return the reply.

        Raises:
            KickaiError: There is none.
        """
        if self.reply is None:
            assert self.error is not None  # noqa: S101  one of them is set
            raise self.error
        return self.reply


@frozen(eq=False, repr=False)
class BatchProgress(Value):
    """How far a batch is.

    Attributes:
        done: How many prompts have an outcome.
        failed: How many of them have an error.
        total: The number of prompts; None when they come from an iterator.
        item: The latest outcome.
    """

    done: int
    failed: int
    total: int | None
    item: BatchItem


@hide_arguments
def validate_batch(prompts: Masked, concurrency: int) -> None:
    """Raise a `TypeError` or `ValueError` unless these are prompts and a number of calls."""
    LIMIT.check("concurrency", concurrency)
    value = prompts.reveal()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise_type_error("prompts", "an iterable of prompts", describe_type(value))


async def abatch(
    ainvoke: Callable[[Masked], Awaitable[Reply]],
    prompts: Masked,
    concurrency: int,
    on_progress: Callable[[BatchProgress], None] | None,
) -> list[BatchItem]:
    """Return the outcome of each prompt, in the order of the prompts.

    Cancelling it cancels the calls that are running. Whatever ``on_progress`` raises ends it, too.

    Args:
        ainvoke: Calls the chain for one prompt.
        prompts: An iterable of prompts; it is read as calls become free.
        concurrency: The calls at a time, from 1.
        on_progress: Called after each outcome, on the event loop.
    """
    total = len(prompts.reveal()) if isinstance(prompts.reveal(), Sized) else None
    items: dict[int, BatchItem] = {}
    failed = 0

    async def answer(numbered: tuple[int, Masked]) -> None:
        nonlocal failed
        index, prompt = numbered
        try:
            item = BatchItem(index, reply=await ainvoke(prompt))
        except KickaiError as error:
            failed += 1
            item = BatchItem(index, error=error)
        items[index] = item
        if on_progress is not None:
            on_progress(BatchProgress(len(items), failed, total, item))

    # Each prompt is masked, so that no traceback through these frames shows it.
    masked = enumerate(map(Masked, prompts.reveal()))
    await run_concurrently(masked, answer, concurrency)
    return [items[index] for index in range(len(items))]


async def run_concurrently(source: Iterator[T], work: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Do some work for each item of an iterator, a fixed number at a time. The iterator is read as work ends.

    The first exception cancels the rest, and is raised when that has ended.

    Args:
        source: The items; read on the event loop.
        work: What to do.
        concurrency: How many at a time, from 1.
    """

    async def run_worker() -> None:
        for item in source:
            await work(item)

    workers = [asyncio.create_task(run_worker()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
