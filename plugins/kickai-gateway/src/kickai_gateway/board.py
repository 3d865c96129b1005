"""What the workers of one gateway share in memory: counters and the latest answers."""

from __future__ import annotations

from typing import Self

from attrs import frozen

from kickai_gateway.latest_answers import ANSWERS_BYTES, Answers
from kickai_gateway.metrics import METRICS_BYTES, WorkerMetrics
from kickai_gateway.shared_memory import SharedMemory

__all__ = ["Board"]


@frozen(eq=False)
class Board:
    """The shared memory of a gateway, as one worker uses it.

    Attributes:
        memory: The memory.
        metrics: The counters.
        answers: The latest answers.
    """

    memory: SharedMemory
    metrics: WorkerMetrics
    answers: Answers

    @classmethod
    def create(cls, workers: int = 1) -> Self:
        """Return a new board for the workers of a gateway; this process is the first one."""
        return cls._divide(SharedMemory.create(workers, METRICS_BYTES + ANSWERS_BYTES))

    @classmethod
    def open(cls, descriptor: int, workers: int, own: int) -> Self:
        """Return the board that another process has created.

        Args:
            descriptor: The inherited descriptor of its memory.
            workers: The number of workers.
            own: The number of this worker, from 0.
        """
        return cls._divide(SharedMemory.open(descriptor, workers, own))

    @classmethod
    def _divide(cls, memory: SharedMemory) -> Self:
        return cls(memory, WorkerMetrics(memory), Answers(memory, METRICS_BYTES))
