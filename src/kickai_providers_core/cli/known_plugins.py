"""The directory of known plugins, from docs/plugins.toml, which the wheel contains."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict, field, frozen
from attrs.validators import in_, matches_re

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KINDS", "KnownPlugin", "read_directory"]

KINDS: Final = ("provider", "store", "adapter", "server", "extension")

NAME = "plugins.toml"

OWN_PAGES = "../plugins/"


@frozen(kw_only=True)
class KnownPlugin:
    """One plugin of the directory.

    Attributes:
        package: The distribution.
        kind: One of `KINDS`.
        name: How settings name it; empty when they do not.
        summary: One sentence without a full stop.
        needs: What a user has to have; empty for nothing.
        url: The page to read first.
    """

    package: str = field(validator=matches_re(r"[a-z0-9]+(-[a-z0-9]+)*"))
    kind: str = field(validator=in_(KINDS))
    name: str = ""
    summary: str = field(validator=matches_re(r"\S.{0,88}[^.\s]"))
    needs: str = field(default="", validator=matches_re(r".{0,90}"))
    url: str = field(validator=matches_re(r"(https://|\.\./plugins/)\S+"))

    @property
    def is_own(self) -> bool:
        """Whether it is part of this project."""
        return self.url.startswith(OWN_PAGES)

    def as_dict(self) -> dict[str, Any]:
        """Return its fields."""
        return asdict(self)


def read_directory() -> Sequence[KnownPlugin]:
    """Return the known plugins, in the order of the file."""
    file = files("kickai_providers_core.cli") / NAME
    if not file.is_file():  # an editable installation
        file = Path(__file__).parents[3] / "docs" / NAME
    return [KnownPlugin(**table) for table in tomllib.loads(file.read_text(encoding="utf-8"))["plugin"]]
