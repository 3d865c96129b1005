"""A mutant that changes the process when it is imported."""

import os

from kestrel.plugin import KestrelPlugin

os.environ["KESTREL_IMPORTED"] = "yes"


class MeddlingPlugin(KestrelPlugin):
    """Sets an environment variable when it is imported."""


plugin = MeddlingPlugin()
