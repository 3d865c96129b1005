"""Settings: immutable values, and how they are read from a file, a ``.env`` and the environment.

::

    document = read(source, env)                    # sources: the file and the .env; which plugins may be loaded
    infos = …                                       # discovery loads these plugins; each has its settings class
    settings = structure(document, infos)           # loader: the settings, or every problem at once

Importing `settings` or `roles` is cheap. The other modules need cattrs, and are imported when a file is read.
"""
