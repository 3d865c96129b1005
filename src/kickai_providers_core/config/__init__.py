"""Settings: immutable values, and how they are read from a file, a ``.env`` and the environment.

::

    document = read(source, env)                    # sources: the file and the .env; which plugins may be loaded
    infos = …                                       # discovery loads these, and each names its settings class
    settings = structure(document, infos)           # loader: usable settings, or every problem at once

Only `settings`, `roles` and `role_targets` are light. The rest needs cattrs and is imported when a file is read.
"""
