"""Collects the pages of the repository for the site, and changes their links to the places that they have there."""

from __future__ import annotations

import posixpath
import re
import shutil
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["BrokenLinkError", "Pages"]

LINK = re.compile(r"(?P<start>\]\()(?P<target>[^)\s]+)(?P<end>[^)]*\))")
FENCE = re.compile(r"^ *```")
FILES = "files"
"""The folder of the site for linked files that are not pages."""


class BrokenLinkError(Exception):
    """A page links to a file that does not exist."""


@frozen
class Pages:
    """The pages of the site, by their source.

    Attributes:
        root: The folder of the repository.
        places: From the path of a source, relative to the root, to its path in the site.
    """

    root: Path
    places: dict[str, str] = field(factory=dict)

    @classmethod
    def find(cls, root: Path) -> Pages:
        """Return the pages of a repository: its own, those of docs, and those of the plugins and examples."""
        places = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
        for path in sorted((root / "docs").rglob("*.md")):
            name = path.relative_to(root / "docs").as_posix()
            places[f"docs/{name}"] = name
        for path in sorted(root.glob("plugins/*/README.md")):
            places[path.relative_to(root).as_posix()] = f"plugins/{path.parent.name}.md"
        for path in sorted(root.glob("plugins/*/docs/*.md")):
            places[path.relative_to(root).as_posix()] = f"plugins/{path.parents[1].name}-{path.stem}.md"
        for path in sorted(root.glob("examples/*/README.md")):
            places[path.relative_to(root).as_posix()] = f"examples/{path.parent.name}.md"
        return cls(root, places)

    def copy(self, folder: Path) -> None:
        """Write all pages, and the files that they link to, into a folder.

        Raises:
            BrokenLinkError: A page links to a file that does not exist.
        """
        for source, place in self.places.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            text = (self.root / source).read_text(encoding="utf-8")
            target.write_text("".join(self._rewrite(text, source, place, folder)), encoding="utf-8")

    def _rewrite(self, text: str, source: str, place: str, folder: Path) -> Iterator[str]:
        is_code = False
        for line in text.splitlines(keepends=True):
            is_code ^= FENCE.match(line) is not None
            yield line if is_code else LINK.sub(lambda match: self._replace(match, source, place, folder), line)

    def _replace(self, match: re.Match[str], source: str, place: str, folder: Path) -> str:
        target = match["target"]
        if target.startswith(("http://", "https://", "mailto:", "#")):
            return match[0]
        path, mark, anchor = target.partition("#")
        found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        found = f"{found}/README.md" if f"{found}/README.md" in self.places else found
        linked = self.places.get(found) or self._copy_file(found, source, folder)
        relative = posixpath.relpath(linked, posixpath.dirname(place) or ".")
        return f"{match['start']}{relative}{mark}{anchor}{match['end']}"

    def _copy_file(self, found: str, source: str, folder: Path) -> str:
        """Copy a linked file into the site, and return its place. Images of docs keep their place."""
        path = self.root / found
        if not path.is_file():
            raise BrokenLinkError(f"{source} links to {found}, which is not a file")
        is_image = found.startswith("docs/") and path.suffix in {".svg", ".png", ".html"}
        place = found.removeprefix("docs/") if is_image else f"{FILES}/{found}"
        if path.suffix in {".py", ".toml", ".example"} or not path.suffix:
            place += ".txt"  # browsers show it, and do not save it
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        return place
