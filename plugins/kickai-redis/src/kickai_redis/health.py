"""The marks of suspensions and open breakers in the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import HealthMark

from kickai_redis.errors import DamagedError
from kickai_redis.microseconds import from_us, to_us
from kickai_redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_redis.connection import Connection
    from kickai_redis.key_names import Keys

__all__ = ["RedisHealth"]

PUBLISH = Script.load("publish_marks")
READ = Script.load("read_unexpired")
LIFT = Script.load("lift_marks")

VALUES_PER_MARK = 3


class RedisHealth:
    """Implements `HealthMarks`; see there, and `Connection` for threads and forks. Its clock is the server's."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = (keys.facts, keys.marks)

    def publish(self, marks: Sequence[HealthMark]) -> None:
        """Add marks, each with a new generation. The one that ends later stays."""
        arguments: list[str | int] = []
        for mark in marks:
            if mark.left_s:
                field = json.dumps([mark.key, mark.kind])
                arguments += [field, to_us(mark.left_s), int(mark.stated), json.dumps(mark.reason)]
        if arguments:
            self._connection.run(PUBLISH, self._keys, arguments)

    def read(self) -> Sequence[HealthMark]:
        """Return the marks that have time left."""
        found = self._connection.run(READ, self._keys)
        with self._connection.explain_errors():
            places = range(0, len(found), VALUES_PER_MARK)
            marks = [_decode(*found[place : place + VALUES_PER_MARK]) for place in places]
        return sorted(marks, key=lambda mark: mark.generation)

    def lift(self, key: str, generation: int) -> None:
        """Remove the marks of a key up to a generation."""
        beginning = json.dumps([key]).removesuffix("]") + ","
        self._connection.run(LIFT, self._keys, (beginning, generation))


def _decode(name: bytes, left_us: bytes, text: bytes) -> HealthMark:
    try:
        key, kind = json.loads(name)
        _, _, generation, stated, reason = text.split(b" ", 4)
        return HealthMark(
            key=key,
            kind=kind,
            reason=json.loads(reason),
            left_s=from_us(left_us),
            stated=stated == b"1",
            generation=int(generation),
        )
    except (ValueError, TypeError) as error:
        raise DamagedError("a mark of health") from error
