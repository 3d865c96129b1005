"""The results of a batch: a file that survives the death of the process, and knows what is already answered."""

from __future__ import annotations

import asyncio
import os
from array import array
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING

from kickai_providers_core.cli.batch_format import read_line_number

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["BatchResults", "ResultsError"]

UNKNOWN = 0
"""The digest of a line without a result."""


class ResultsError(Exception):
    """The file of results cannot be used; the message says why."""


class BatchResults:
    """The results of a batch, one line each. For one event loop.

    Each line is written by one system call as soon as it is known, so that a killed process loses none, and synced to
    the disk soon after, so that a crash of the machine loses at most what came within the last sync. For each
    request it keeps eight bytes: the digest of its id, at the number of its line.

    Attributes:
        answered: How many requests have an answer.
        failed: How many have an error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digests = array("Q")
        self._file: BinaryIO | None = None
        self._is_dirty = False
        self._syncing: asyncio.Task[None] | None = None
        self.answered = self.failed = 0

    @property
    def count(self) -> int:
        """How many requests have a result."""
        return self.answered + self.failed

    def open(self, *, drop_failed: bool = False) -> None:
        """Open the file, create it if it does not exist, and read what it has. An incomplete last line is removed.

        Args:
            drop_failed: Whether to remove the lines of requests that failed, so that they are sent again.

        Raises:
            ResultsError: Another process writes to it, or it has a line that is not a result.
            OSError: It cannot be opened or written.
        """
        self._file = self._open_locked()
        self._read()
        if drop_failed and self.failed:
            self._drop_failed()
            self._digests, self.answered, self.failed = array("Q"), 0, 0
            self._read()

    def has(self, number: int, custom_id: str | None) -> bool:
        """Return whether a request has a result.

        Args:
            number: The number of its line, from 1.
            custom_id: Its id.

        Raises:
            ResultsError: The result at that line is of a request with another id.
        """
        found = self._digests[number] if number < len(self._digests) else UNKNOWN
        if found == UNKNOWN:
            return False
        if found != _hash_id(custom_id):
            message = f"{self._path} has the results of another input: line {number} has another custom_id there"
            raise ResultsError(message)
        return True

    def write(self, number: int, custom_id: str | None, line: bytes, *, is_answer: bool) -> None:
        """Write a result. Call it on the event loop.

        Raises:
            OSError: It cannot be written, for example because the disk is full.
        """
        assert self._file is not None  # noqa: S101  it is open
        view = memoryview(line)
        while view:
            view = view[os.write(self._file.fileno(), view) :]
        self._note(number, custom_id, is_answer=is_answer)
        self._is_dirty = True
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._sync())

    async def finish(self) -> None:
        """Wait until everything that was written is on the disk."""
        if self._syncing is not None:
            await self._syncing

    def close(self) -> None:
        """Close the file, synced."""
        if self._file is not None:
            with suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    async def _sync(self) -> None:
        assert self._file is not None  # noqa: S101  it is open
        while self._is_dirty:
            self._is_dirty = False
            await asyncio.to_thread(os.fsync, self._file.fileno())

    def _open_locked(self) -> BinaryIO:
        file = self._path.open("ab+", buffering=0)
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                message = f"another process is writing to {self._path}"
                raise ResultsError(message) from None
        return file

    def _read(self) -> None:
        assert self._file is not None  # noqa: S101  it is open
        end = 0
        with self._path.open("rb") as lines:
            for place, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                try:
                    number, custom_id, is_answer = read_line_number(line)
                except (ValueError, RecursionError):
                    message = f"line {place} of {self._path} is not a result of kickai batch: name another file"
                    raise ResultsError(message) from None
                self._note(number, custom_id, is_answer=is_answer)
        self._file.truncate(end)  # a process that was killed may have left a part of a line

    def _drop_failed(self) -> None:
        """Replace the file by one without failed requests, in one step."""
        assert self._file is not None  # noqa: S101  it is open
        kept = self._path.with_name(f"{self._path.name}.tmp")
        with self._path.open("rb") as lines, kept.open("wb") as out:
            out.writelines(line for line in lines if line.endswith(b"\n") and read_line_number(line)[2])
            out.flush()
            os.fsync(out.fileno())
        kept.replace(self._path)
        self._file.close()
        self._file = self._open_locked()

    def _note(self, number: int, custom_id: str | None, *, is_answer: bool) -> None:
        if number >= len(self._digests):
            size = max(number + 1, len(self._digests) * 5 // 4)
            self._digests.frombytes(bytes(self._digests.itemsize * (size - len(self._digests))))
        if self._digests[number] == UNKNOWN:
            self.answered += is_answer
            self.failed += not is_answer
        self._digests[number] = _hash_id(custom_id)


def _hash_id(custom_id: str | None) -> int:
    data = b"" if custom_id is None else b"=" + custom_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") or 1
