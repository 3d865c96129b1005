"""A mutant that is made from a class, and imports the client when it is discovered."""

from kestrel.client import Client
from kestrel.plugin import KestrelPlugin
from kickai_providers_core.authoring import hooks_for


class EagerClass:
    """Imports its vendor's client with the class that becomes its hooks."""


plugin = hooks_for(KestrelPlugin.info, Client)
