"""The distributions of this repository, and their changelogs."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["CORE", "Distribution", "find_distributions"]

CORE = "kickai-providers-core"

HEADING = re.compile(
    r"^## \[?(?P<version>\d+\.\d+\.\d+|Unreleased)\]?(?: - (?P<date>\d{4}-\d\d-\d\d|unreleased))?\s*$", re.MULTILINE
)
"""A version in a changelog, in the form of https://keepachangelog.com."""


@frozen(kw_only=True)
class Distribution:
    """One distribution.

    Attributes:
        folder: Its folder.
        project: The table ``[project]`` of its pyproject.toml.
        changelog: The text of its changelog; empty if there is none.
    """

    folder: Path
    project: dict[str, Any]
    changelog: str

    @property
    def name(self) -> str:
        """Its name, in the normal form."""
        return str(self.project["name"])

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.project["version"])

    @property
    def package(self) -> str:
        """The package that it contains."""
        return self.name.replace("-", "_")

    @property
    def stem(self) -> str:
        """How the names of its files in ``dist`` begin."""
        return f"{self.package}-{self.version}"

    def find_changelog_problems(self) -> Iterator[str]:
        """Yield what is wrong in the changelog, whether or not it is released now."""
        headings = [(match["version"], match["date"] or "") for match in HEADING.finditer(self.changelog)]
        if not headings:
            yield f"{self.name}: CHANGELOG.md has no heading such as '## {self.version} - unreleased'"
            return
        dated = [version for version, date in headings if date and date != "unreleased"]
        top = headings[0][0]
        if top == "Unreleased" and self.version in dated:
            yield f"{self.name}: {self.version} is released and there are unreleased changes; raise the version"
        if top not in {"Unreleased", self.version}:
            yield f"{self.name}: the version is {self.version}, but the first heading of CHANGELOG.md is {top}"
        if [version for version, _ in headings if version == top].count(top) > 1:
            yield f"{self.name}: CHANGELOG.md has {top} twice"

    @property
    def is_dated(self) -> bool:
        """Whether the changelog says when this version was released."""
        first = HEADING.search(self.changelog)
        return (
            first is not None and first["version"] == self.version and (first["date"] or "unreleased") != "unreleased"
        )


def find_distributions(root: Path) -> list[Distribution]:
    """Return the core and the plugins, the core first."""
    folders = [root, *sorted(path.parent for path in root.glob("plugins/*/pyproject.toml"))]
    return [_read(folder) for folder in folders]


def _read(folder: Path) -> Distribution:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = folder / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8") if changelog.is_file() else ""
    return Distribution(folder=folder, project=project, changelog=text)
