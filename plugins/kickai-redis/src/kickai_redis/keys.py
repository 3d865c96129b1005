"""The names of the keys in the server."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Keys", "Level"]

Level = int
"""The length in seconds of the periods that a part of the metrics has; 0 for minutes that are still being added to."""


@frozen
class Keys:
    """The names of the keys of one namespace.

    All have the same hash tag, so that a cluster keeps them on one node and a script may change several at once.

    Attributes:
        namespace: The name of the application.
    """

    namespace: str

    def _name(self, *parts: object) -> str:
        return f"kickai:{{{self.namespace}}}:{':'.join(map(str, parts))}"

    @property
    def facts(self) -> str:
        """A hash with the schema version and with what the store counts."""
        return self._name("facts")

    @property
    def documents(self) -> str:
        """A hash from the names of documents to their JSON."""
        return self._name("documents")

    @property
    def versions(self) -> str:
        """A hash from the names of documents to their versions."""
        return self._name("versions")

    def history(self, name: str) -> str:
        """Return the list of the changes of a document, the newest first."""
        return self._name("history", name)

    @property
    def marks(self) -> str:
        """A hash of suspensions and open breakers."""
        return self._name("marks")

    @property
    def leases(self) -> str:
        """A hash from the names of leases to their ends and holders."""
        return self._name("leases")

    @property
    def windows(self) -> str:
        """A hash from the names of permits to their windows."""
        return self._name("windows")

    @property
    def writers(self) -> str:
        """A hash from processes to their last batches."""
        return self._name("writers")

    @property
    def seen(self) -> str:
        """A sorted set of processes by the time of their last batches."""
        return self._name("seen")

    @property
    def series(self) -> str:
        """A hash from what the cells of one target, role and arm have in common to the number that they refer to."""
        return self._name("series")

    @property
    def series_days(self) -> str:
        """A sorted set of these by the last day on which they were used."""
        return self._name("series-days")

    @property
    def counters(self) -> str:
        """A hash from the names of counters to their numbers."""
        return self._name("counters")

    @property
    def changes(self) -> str:
        """A hash from days to the number of times that their cells were added up."""
        return self._name("changes")

    def names(self, day: int) -> str:
        """Return the hash of the names that are kept apart on a day."""
        return self._name("names", day)

    def starts(self, level: Level) -> str:
        """Return the sorted set of the periods of a level that have cells."""
        return self._name("starts", level)

    def cells(self, level: Level, start_s: int) -> str:
        """Return the hash with the cells of one period."""
        return self._name("cells", level, start_s)
