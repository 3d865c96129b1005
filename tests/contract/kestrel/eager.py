"""A mutant that imports the client when it is discovered."""

from kestrel import client
from kestrel.plugin import KestrelPlugin


class EagerPlugin(KestrelPlugin):
    """Imports its vendor's client when it is discovered."""

    def client(self, settings):
        """Return a new client."""
        return client.Client(settings)


plugin = EagerPlugin()
