"""The table of all mutants."""

from __future__ import annotations

from attrs import frozen

from kestrel.client import Client
from kestrel.plugin import KestrelPlugin


@frozen
class Mutant:
    """A provider with one fault.

    Attributes:
        name: The name of its class.
        fault: What is wrong with it.
        kind: The class.
        plugin: The plugin.
        found_by: The test for its fault.
        also: Other tests that find the fault too.
    """

    name: str
    fault: str
    kind: type
    plugin: object
    found_by: str
    also: frozenset[str] = frozenset()

    @property
    def found_by_all(self):
        """The tests that find the fault."""
        return {self.found_by, *self.also}


MUTANTS: dict[str, Mutant] = {}


def mutant(found_by, *also):
    """Return a decorator that adds a class to the mutants."""

    def add(kind, plugin=None):
        if issubclass(kind, Client):
            plugin = KestrelPlugin()
            plugin.client = kind
        plugin = plugin or kind()
        if kind.__name__ in MUTANTS:
            raise ValueError(f"two mutants have the name {kind.__name__}")
        MUTANTS[kind.__name__] = Mutant(kind.__name__, kind.__doc__.strip(), kind, plugin, found_by, frozenset(also))
        return kind

    return add
