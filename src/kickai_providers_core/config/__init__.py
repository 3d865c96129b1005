"""From what is written to `Settings`: in two steps, since the plugins must be known in between.

::

    document = read(source, env)                    # the file and the .env; which plugins may be loaded
    infos = …                                       # discovery loads these, and each says which settings it has
    settings = structure(document, infos)           # settings that can be used, or every problem at once

Nothing here is imported by ``import kickai_providers_core``: who passes `Settings` in code does not pay for it.
"""

from kickai_providers_core.config.sources import Document, read
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.secret_refs import Keyring

__all__ = ["Document", "Keyring", "read", "structure"]
