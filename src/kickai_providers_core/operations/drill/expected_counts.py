"""What the drill counts itself, from the files of its workers, to compare it with the report."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kickai_providers_core.resilience.rollout_shares import CANDIDATE, CONTROL
from kickai_providers_core.values.rollout_key import choose_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Ledger", "find_misplaced"]


@define
class Ledger:
    """The requests and attempts that the workers have recorded.

    Attributes:
        folder: The folder of the drill.
        requests: Every request that has ended, in the order of each worker's file.
        attempts: The number of attempts by instance and outcome.
    """

    folder: Path
    requests: list[dict[str, Any]] = field(factory=list)
    attempts: Counter[tuple[str, str]] = field(factory=Counter)
    _read: dict[Path, int] = field(factory=dict)

    def update(self) -> list[dict[str, Any]]:
        """Read what the workers have added, and return the new requests."""
        new = []
        for path in sorted(self.folder.glob("*.jsonl")):
            for record in self._read_lines(path):
                if "attempt" in record:
                    self.attempts[record["attempt"], record["outcome"]] += 1
                else:
                    new.append(record)
        self.requests += new
        return new

    def _read_lines(self, path: Path) -> Iterator[dict[str, Any]]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            for line in file:
                if line.endswith(b"\n"):
                    self._read[path] = self._read.get(path, 0) + len(line)
                    yield json.loads(line)

    @property
    def answered(self) -> Counter[str]:
        """The number of answers by instance."""
        return Counter(each["provider"] for each in self.requests if each["provider"] is not None)

    @property
    def failed(self) -> int:
        """The number of requests without an answer."""
        return sum(each["provider"] is None for each in self.requests)

    @property
    def fell_back(self) -> int:
        """The number of answers by another than the request's first target."""
        return sum(bool(each.get("fell_back")) for each in self.requests)

    @property
    def tokens(self) -> tuple[int, int]:
        """The tokens of all answers, input and output."""
        pairs = [each["tokens"] for each in self.requests if "tokens" in each]
        return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


def find_misplaced(requests: list[dict[str, Any]], share: int, candidate: str) -> list[str]:
    """Return the keys that were served by another arm than the share says.

    Args:
        requests: Requests that began while every process followed the share.
        share: The share in buckets.
        candidate: The instance that is rolled out.
    """
    salt, misplaced = f"kickai/{candidate}", []
    for each in requests:
        expected = CANDIDATE if choose_bucket(salt, each["key"]) < share else CONTROL
        if each.get("arm", expected) != expected:
            misplaced.append(each["key"])
    return misplaced
