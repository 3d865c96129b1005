"""The Lua scripts that run in the server, each as one atomic step."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files

from attrs import frozen

__all__ = ["SCHEMA_VERSION", "Script"]

SCHEMA_VERSION = 1
"""The version of what is stored. A newer one is refused; see ``lua/common.lua``."""

FOLDER = files("kickai_redis") / "lua"


@frozen
class Script:
    """A script, which the server knows by its hash once it has run.

    Attributes:
        name: The name of its file.
        text: What the server runs.
        sha: Its SHA-1, by which the server finds it.
    """

    name: str
    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> Script:
        """Return the script of a file in ``lua/``, after the part that all have in common."""
        text = "".join((FOLDER / f"{each}.lua").read_text(encoding="utf-8") for each in ("common", name))
        return cls(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())
