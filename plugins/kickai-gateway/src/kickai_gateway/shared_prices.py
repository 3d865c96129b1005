"""The table of prices, which the first process that needs it builds for the supervisor and all workers."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Self

from attrs import define, field

from kickai_gateway.prices import PriceTable, read_prices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kickai_providers_core.config.settings import Settings

__all__ = ["SharedPrices"]


@define(eq=False)
class SharedPrices:
    """The latest table, in an unlinked file that workers inherit. Safe to use from any thread.

    Attributes:
        descriptor: The descriptor of the file, for other processes.
    """

    descriptor: int
    _lock: Lock = field(factory=Lock, init=False, repr=False)  # the lock of a file is held by a whole process

    @classmethod
    def create(cls) -> Self:
        """Return an empty table for this process and those that inherit its descriptor."""
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def read(self, settings: Settings, config: Path | None) -> PriceTable:
        """Return the prices of the targets that the settings name.

        It takes about a second when no process has built the table for these settings today.

        Args:
            settings: The settings.
            config: The settings file; None to search for it.

        Raises:
            PricesError: As in `read_prices`.
        """
        wanted = _identify(settings)
        with self._hold():
            found = self._load(wanted)
            if found is None:
                found = read_prices(config)
                self._save(wanted, found)
            return found

    @contextmanager
    def _hold(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def _load(self, wanted: str) -> PriceTable | None:
        """Return the stored table; None when it is for other settings, or a killed process has written a part of it."""
        stored, _, data = os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0).partition(b"\n")
        try:
            return PriceTable.from_json(json.loads(data)) if stored == wanted.encode("ascii") else None
        except ValueError:
            return None

    def _save(self, wanted: str, table: PriceTable) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{wanted}\n{json.dumps(table.as_json())}".encode("ascii"), 0)


def _identify(settings: Settings) -> str:
    """Return a name for what decides about prices: the settings, without their secrets, and the day."""
    text = f"{datetime.now(UTC).date()} {settings!r}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
