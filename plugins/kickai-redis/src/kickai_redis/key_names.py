"""The names of the keys in the server."""

from __future__ import annotations

__all__ = ["Keys", "Level"]

Level = int
"""The length in seconds of the periods that a part of the metrics has; 0 for minutes that are still being added to."""


class Keys:
    """The names of the keys of one namespace.

    All have the same hash tag, so that a cluster keeps them on one node and a script may change several at once.

    Args:
        namespace: The name of the application.

    Attributes:
        facts: A hash with the schema version and with what the store counts.
        documents: A hash from the names of documents to their JSON.
        versions: A hash from the names of documents to their versions.
        marks: A hash of suspensions and open breakers.
        leases: A hash from the names of leases to their ends and holders.
        windows: A hash from the names of permits to their windows.
        writers: A hash from processes to their last batches.
        seen: A sorted set of processes by the time of their last batches.
        series: A hash from what the cells of one target, role and arm have in common to the number that stands for it.
        series_days: A sorted set of these by the last day on which they were used.
        counters: A hash from the names of counters to the numbers that stand for them.
        changes: A hash from days to the number of times that their cells were added up.
    """

    def __init__(self, namespace: str) -> None:
        self._prefix = f"kickai:{{{namespace}}}:"
        self.facts = f"{self._prefix}facts"
        self.documents = f"{self._prefix}documents"
        self.versions = f"{self._prefix}versions"
        self.marks = f"{self._prefix}marks"
        self.leases = f"{self._prefix}leases"
        self.windows = f"{self._prefix}windows"
        self.writers = f"{self._prefix}writers"
        self.seen = f"{self._prefix}seen"
        self.series = f"{self._prefix}series"
        self.series_days = f"{self._prefix}series-days"
        self.counters = f"{self._prefix}counters"
        self.changes = f"{self._prefix}changes"

    def history(self, name: str) -> str:
        """Return the list of the changes of a document, the newest first."""
        return f"{self._prefix}history:{name}"

    def names(self, day: int) -> str:
        """Return the hash of the names that are kept apart on a day."""
        return f"{self._prefix}names:{day}"

    def starts(self, level: Level) -> str:
        """Return the sorted set of the periods of a level that have cells."""
        return f"{self._prefix}starts:{level}"

    def cells(self, level: Level, start_s: int) -> str:
        """Return the hash with the cells of one period."""
        return f"{self._prefix}cells:{level}:{start_s}"
