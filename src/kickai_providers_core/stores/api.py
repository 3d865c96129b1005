"""The store API: what a store keeps, and what it promises.

A store keeps four small things: *metrics* (sums), *documents* with their history (the rollout, its evidence), *health*
(suspensions and open breakers), and *leases* (one probe for all processes, blocks of rate-limit permits).

No request waits for a store. One thread of each process calls it, and so do the commands of operators. A store is safe
to use from several threads of a process; after a fork, a child opens its own connection. Every method may raise
`StoreError`, within the time limit that the store was opened with. Times are durations by the store's own clock, since
the clocks of machines differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import Factory, field, frozen

from kickai_providers_core.values.base_errors import KickaiError
from kickai_providers_core.values.validation import Number, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

__all__ = [
    "Document",
    "Documents",
    "HealthMark",
    "HealthMarks",
    "HistoryEntry",
    "Lease",
    "Leases",
    "Metrics",
    "Store",
    "StoreError",
    "StoreStatus",
    "Window",
    "Writer",
]

NOT_NEGATIVE = Number(minimum=0)
WHOLE = Number(integer=True, minimum=0)


class StoreError(KickaiError):
    """The store could not be read or written: unreachable, slow, full, locked, read-only, damaged or too new."""


@frozen(kw_only=True)
class Document:
    """A JSON document with its version.

    Attributes:
        version: Increases with each change; 0 for a document that does not exist.
        value: JSON.
    """

    version: int = field(default=0, validator=WHOLE)
    value: Mapping[str, Any] = Factory(dict)


@frozen(kw_only=True)
class HistoryEntry:
    """One change of a document.

    Attributes:
        at_s: When, in seconds since 1970, by the clock of the one who made the change.
        who: The user and host, or ``guard``.
        what: The change, for a reader.
        why: The reason, for a reader; may be empty.
        evidence: Numbers behind the change; JSON.
        version: The version that the change led to; set by the store.
    """

    at_s: float = field(validator=NOT_NEGATIVE)
    who: str = field(validator=Text())
    what: str = field(validator=Text())
    why: str = ""
    evidence: Mapping[str, Any] = Factory(dict)
    version: int = field(default=0, validator=WHOLE)


@frozen(kw_only=True)
class HealthMark:
    """A suspension or an open breaker that a reached service has caused, as siblings share it.

    Attributes:
        key: What it concerns: plugin, address, model and a keyed hash of the credential; no secret.
        kind: ``suspension`` or ``breaker``.
        reason: For a reader.
        left_s: Seconds that are left.
        stated: Whether the service stated the time.
        generation: Counted by the store, greater for each new mark; 0 until the store has it.
    """

    key: str = field(validator=Text())
    kind: str = field(validator=Text())
    reason: str = ""
    left_s: float = field(validator=NOT_NEGATIVE)
    stated: bool = False
    generation: int = field(default=0, validator=WHOLE)


@frozen(kw_only=True)
class Lease:
    """The right of one holder to do something for a while.

    Attributes:
        name: What it allows.
        holder: The process that holds it.
        amount: The number of permits for a lease of permits; 1 for any other.
        left_s: Seconds until it expires.
        window: The number of the window that permits belong to, counted by the store; 0 for any other lease.
    """

    name: str = field(validator=Text())
    holder: str = field(validator=Text())
    amount: int = field(default=1, validator=WHOLE)
    left_s: float = field(validator=NOT_NEGATIVE)
    window: int = field(default=0, validator=WHOLE)


@frozen(kw_only=True)
class Window:
    """The permits of a limit that were taken in its current window.

    Attributes:
        name: The limit.
        used: The permits that were taken and not returned.
        left_s: Seconds until the window ends.
    """

    name: str = field(validator=Text())
    used: int = field(validator=WHOLE)
    left_s: float = field(validator=NOT_NEGATIVE)


@frozen(kw_only=True)
class Writer:
    """A process that has written metrics.

    Attributes:
        process: Its random name.
        last_number: The number of its last batch.
        age_s: Seconds since that batch.
        is_final: Whether it said that no batch follows.
    """

    process: str
    last_number: int
    age_s: float
    is_final: bool


@frozen(kw_only=True)
class StoreStatus:
    """The state of a store, for `kickai doctor`.

    Attributes:
        kind: For example ``sqlite``.
        location: The address for a reader, without credentials.
        schema_version: The version of the stored form.
        details: Further facts by name, for example the version of SQLite.
        warnings: What an operator should change.
    """

    kind: str
    location: str
    schema_version: int
    details: Mapping[str, str] = Factory(dict)
    warnings: Sequence[str] = ()


class Metrics(Protocol):
    """Adds up what requests did."""

    def add(self, batch: MetricsBatch) -> None:
        """Add a batch, all or nothing.

        A batch is ignored unless its number is greater than that of the last batch of its process. A process must
        therefore write its batches in order, and may repeat one whose success is unknown. From the 201st model of a
        day on, and from the 201st counter of a family (``error.…``), new names count as ``other``.
        """

    def read(self, since_s: int = 0, until_s: int | None = None, *, span_s: int = 60) -> Iterator[tuple[CellKey, Cell]]:
        """Yield the cells whose period begins in ``[since_s, until_s)``, in order of time.

        Args:
            since_s: The beginning, in seconds since 1970.
            until_s: The end; None for none.
            span_s: Cells with shorter periods are added up to periods of this length: 60, 3,600 or 86,400 seconds.
        """

    def read_writers(self) -> Sequence[Writer]:
        """Return the processes that have written metrics in the last two days."""

    def compact(self, now_s: float, keep_days: int) -> None:
        """Add up old cells: minutes after two days to hours, hours after 30 days to days.

        Args:
            now_s: The time in seconds since 1970.
            keep_days: Days after which cells are deleted.
        """


class Documents(Protocol):
    """Keeps JSON documents, each with a version and a history."""

    def read(self, name: str) -> Document:
        """Return a document; one that does not exist has version 0."""

    def write(
        self, name: str, value: Mapping[str, Any], *, expected_version: int, entry: HistoryEntry | None = None
    ) -> bool:
        """Write a document if its version is still the expected one; return whether it was.

        A document that was deleted and written again has a greater version than before.

        Args:
            name: The document.
            value: The new JSON value.
            expected_version: The version that the change is based on; 0 for a new document.
            entry: An entry of its history, which is written with it or not at all.
        """

    def read_history(self, name: str, limit: int = 100) -> Sequence[HistoryEntry]:
        """Return the latest entries of a document's history, the newest first."""

    def delete(self, prefix: str) -> None:
        """Delete the documents whose names begin with a prefix, with their history."""


class HealthMarks(Protocol):
    """Keeps suspensions and open breakers until their time is over."""

    def publish(self, marks: Sequence[HealthMark]) -> None:
        """Add marks, each with a new generation.

        Of two marks with the same key and kind, the one that ends later stays, with the newer generation.
        """

    def read(self) -> Sequence[HealthMark]:
        """Return the marks that have time left."""

    def lift(self, key: str, generation: int) -> None:
        """Remove the marks of a key up to a generation: a call that was admitted after them has succeeded."""


class Leases(Protocol):
    """Grants rights to one holder at a time, and blocks of permits."""

    def claim(self, name: str, holder: str, duration_s: float) -> Lease | None:
        """Claim or renew a lease; None while another holder has it."""

    def release(self, name: str, holder: str) -> None:
        """End a lease if the holder still has it."""

    def take_permits(self, name: str, holder: str, *, amount: int, limit: int, window_s: float) -> Lease | None:
        """Take up to ``amount`` of the ``limit`` permits of the current window; None when none is left.

        What is not returned counts as used until the window ends. ``left_s`` is the time until then. Windows that have
        ended are forgotten when a new one begins: limits per day have a new name each day.
        """

    def return_permits(self, lease: Lease, amount: int) -> None:
        """Return permits that were not used, at most those of the lease, if their window is still the current one."""

    def read_windows(self) -> Sequence[Window]:
        """Return the windows that have not ended, in order of their names."""


class Store(Protocol):
    """A store. See the module's docstring for threads, forks, time and errors.

    Attributes:
        metrics: Adds up what requests did.
        documents: Keeps the rollout and its evidence.
        health: Keeps suspensions and open breakers.
        leases: Grants rights to one process at a time.
    """

    @property
    def metrics(self) -> Metrics: ...  # noqa: D102
    @property
    def documents(self) -> Documents: ...  # noqa: D102
    @property
    def health(self) -> HealthMarks: ...  # noqa: D102
    @property
    def leases(self) -> Leases: ...  # noqa: D102

    def check(self) -> StoreStatus:
        """Return the state of the store after writing and removing a value.

        Raises:
            StoreError: It cannot be used, with what to do about it.
        """

    def close(self) -> None:
        """Close the connection of this process. A later call opens it again."""
