"""What wheels and source distributions contain."""

from __future__ import annotations

import tarfile
import zipfile
from configparser import ConfigParser
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from release.distributions import CORE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from release.distributions import Distribution

__all__ = ["find_sdist_problems", "find_wheel_problems"]

ADDED = {CORE: {"kickai_providers_core/cli/plugins.toml"}}
"""Files of a wheel that are not in its ``src`` folder."""

IN_SDIST = ("PKG-INFO", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")

FIELDS = (
    "Summary",
    "Requires-Python",
    "License-Expression",
    "License-File",
    "Author",
    "Keywords",
    "Description-Content-Type",
)


def find_wheel_problems(wheel: Path, distribution: Distribution, core_version: str) -> Iterator[str]:
    """Yield what is wrong in a wheel: missing or surplus files, metadata that do not match the project."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        info = f"{distribution.stem}.dist-info"
        metadata = archive.read(f"{info}/METADATA").decode() if f"{info}/METADATA" in names else ""
        points = archive.read(f"{info}/entry_points.txt").decode() if f"{info}/entry_points.txt" in names else ""
    expected = {path.relative_to(distribution.folder / "src").as_posix() for path in _source_files(distribution)}
    expected |= ADDED.get(distribution.name, set())
    found = {name for name in names if not name.startswith(f"{info}/")}
    yield from (f"{wheel.name}: {name} is missing" for name in sorted(expected - found))
    yield from (f"{wheel.name}: {name} does not belong there" for name in sorted(found - expected))
    for name in (f"{distribution.package}/py.typed", f"{info}/licenses/LICENSE", f"{info}/RECORD"):
        if name not in names:
            yield f"{wheel.name}: {name} is missing"
    yield from (f"{wheel.name}: {problem}" for problem in _find_metadata_problems(metadata, distribution, core_version))
    parser = ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    parser.read_string(points)
    declared = distribution.project.get("entry-points", {}).get("kickai.providers", {})
    if dict(parser["kickai.providers"] if parser.has_section("kickai.providers") else {}) != declared:
        yield f"{wheel.name}: its entry points are not those of pyproject.toml"


def _source_files(distribution: Distribution) -> Iterator[Path]:
    for path in (distribution.folder / "src").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path):
            yield path


def _find_metadata_problems(text: str, distribution: Distribution, core_version: str) -> Iterator[str]:
    metadata = HeaderParser().parsestr(text)
    for field, value in (("Name", distribution.name), ("Version", distribution.version)):
        if metadata[field] != value:
            yield f"{field} is {metadata[field]!r}, not {value!r}"
    yield from (f"{field} is missing" for field in FIELDS if not metadata[field])
    if not str(metadata.get_payload()).strip():
        yield "the README is missing"
    if "Typing :: Typed" not in metadata.get_all("Classifier", []):
        yield "the classifier 'Typing :: Typed' is missing"
    for line in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(line)
        if requirement.url is not None:
            yield f"it requires an address, which PyPI refuses: {line}"
        if requirement.name == CORE and not requirement.specifier.contains(core_version, prereleases=True):
            yield f"it requires {requirement}, which excludes the core's version {core_version}"


def find_sdist_problems(sdist: Path, distribution: Distribution) -> Iterator[str]:
    """Yield which files are missing in a source distribution."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = [path.relative_to(distribution.folder).as_posix() for path in _source_files(distribution)]
    yield from (f"{sdist.name}: {name} is missing" for name in (*IN_SDIST, *sources) if name not in names)
    yield from (
        f"{sdist.name}: {name} does not belong there" for name in sorted(names) if name.endswith((".pyc", ".env"))
    )
