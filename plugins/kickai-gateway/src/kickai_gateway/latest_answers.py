"""Who gave the latest answers, in memory that all workers share, so that each can take feedback for any answer."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from attrs import define, field
from kickai_providers_core import FinishReason, Reply
from kickai_providers_core.values.trace import RequestTrace

if TYPE_CHECKING:
    from kickai_gateway.shared_memory import SharedMemory

__all__ = ["ANSWERS_BYTES", "MAX_ANSWERS", "Answers"]

MAX_ANSWERS = 10_000
"""How many answers each worker remembers; the core remembers as many."""

ID_BYTES = 16

SOURCE_BYTES = 240
"""The longest provider, model, role and arm together; longer ones are not remembered."""

IDS_BYTES = MAX_ANSWERS * ID_BYTES
ANSWERS_BYTES = IDS_BYTES + MAX_ANSWERS * SOURCE_BYTES
"""The size of one worker's answers: their ids, and then their sources. Only what is written takes memory."""


@define(eq=False)
class Answers:
    """The latest answers of all workers. For one event loop.

    Attributes:
        memory: The memory that holds them.
        offset: Where they begin in each part.
    """

    memory: SharedMemory
    offset: int = 0
    _next: int = field(default=0, init=False)

    def remember(self, request_id: str, reply: Reply) -> None:
        """Remember who gave an answer."""
        names = (reply.provider, reply.model, reply.trace.role or "", reply.trace.arm or "")
        source = "\0".join(names).encode("utf-8", "replace")
        if len(source) >= SOURCE_BYTES:
            return
        part, place = self.memory.get_part(self.memory.own), self._next
        self._next = (place + 1) % MAX_ANSWERS
        id_at, source_at = self._locate(place)
        part[id_at : id_at + ID_BYTES] = bytes(ID_BYTES)  # a reader must not find the new source under the old id
        part[source_at : source_at + SOURCE_BYTES] = source.ljust(SOURCE_BYTES, b"\0")
        part[id_at : id_at + ID_BYTES] = _hash(request_id)

    def find(self, text: str) -> Reply | None:
        """Return the answer of an id, without its text; None when it is unknown or too old.

        Args:
            text: The id of the answer, or of its request.
        """
        wanted = _hash(text.removeprefix("chatcmpl-").removeprefix("req_"))
        for number in range(self.memory.parts):
            ids = bytes(self.memory.get_part(number)[self.offset : self.offset + IDS_BYTES])
            at = ids.find(wanted)
            while at >= 0 and at % ID_BYTES:
                at = ids.find(wanted, at + 1)
            if at >= 0:
                return self._read(number, at // ID_BYTES)
        return None

    def _read(self, number: int, place: int) -> Reply:
        """Return the answer at a place of a worker's part."""
        _, at = self._locate(place)
        source = bytes(self.memory.get_part(number)[at : at + SOURCE_BYTES]).decode("utf-8")
        provider, model, role, arm, *_ = source.split("\0")
        return Reply(
            text="",
            finish_reason=FinishReason.STOP,
            provider=provider,
            model=model,
            trace=RequestTrace(role=role or None, arm=arm or None),
        )

    def _locate(self, place: int) -> tuple[int, int]:
        """Return where the id and the source of a place are in a part."""
        return self.offset + place * ID_BYTES, self.offset + IDS_BYTES + place * SOURCE_BYTES


def _hash(request_id: str) -> bytes:
    return blake2b(request_id.encode("utf-8", "replace"), digest_size=ID_BYTES).digest()
