"""The list of mutants, and how a class gets onto it."""

from __future__ import annotations

from attrs import frozen

from kestrel.client import Client
from kestrel.plugin import KestrelPlugin


@frozen
class Mutant:
    """One wrong provider.

    Attributes:
        name: Its class's name.
        fault: What is wrong with it.
        kind: The class.
        plugin: The plugin.
        found_by: The test that is meant to find it.
        also: Tests that find it as well.
    """

    name: str
    fault: str
    kind: type
    plugin: object
    found_by: str
    also: frozenset[str] = frozenset()


MUTANTS: dict[str, Mutant] = {}


def mutant(found_by, *also):
    """Enter a class among the mutants."""

    def enter(kind, plugin=None):
        if issubclass(kind, Client):
            plugin = KestrelPlugin()
            plugin.client = kind
        plugin = plugin or kind()
        MUTANTS[kind.__name__] = Mutant(kind.__name__, kind.__doc__.strip(), kind, plugin, found_by, frozenset(also))
        return kind

    return enter
