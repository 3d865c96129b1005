"""The entry points of the installed distributions. A broken distribution does not affect the others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attrs import frozen
from loguru import logger

from kickai_providers_core.plugin_api.hookspecs import ENTRY_POINT_GROUP
from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import Distribution, EntryPoint
    from pathlib import Path

__all__ = ["UnreadableDistribution", "find_entry_points"]

ENTRY_POINTS_FILE = "entry_points.txt"


@frozen(eq=False, repr=False)
class UnreadableDistribution(Value):
    """A distribution whose plugins, if it has any, cannot be read.

    Attributes:
        distribution: The distribution's name, or the name of its folder.
        reason: The reason, as a clause.
    """

    distribution: str
    reason: str


def find_entry_points() -> tuple[EntryPoint | UnreadableDistribution, ...]:
    """Return the plugins that the installed distributions declare, without importing them.

    A distribution with damaged metadata is returned as an `UnreadableDistribution` if it mentions the group
    ``kickai.providers`` or cannot be read at all. Otherwise it is skipped.
    """
    found: list[EntryPoint | UnreadableDistribution] = []
    seen: set[str] = set()
    for distribution in _find_distributions():
        try:
            name = _parse_folder_name(distribution)
            # Imports find the first one on the path; the others are leftovers.
            if not name or name not in seen:
                seen.add(name)
                found += _load_entry_points(distribution)
        except Exception as exc:  # noqa: BLE001  a third-party finder may return anything
            logger.debug("skipped a distribution: reading its metadata raised {error}", error=type(exc).__name__)
    return tuple(found)


def _find_distributions() -> Iterable[Distribution]:
    from importlib.metadata import MetadataPathFinder, distributions  # noqa: PLC0415  its import takes as long as that of the core

    try:
        return list(distributions())
    except Exception as exc:  # noqa: BLE001  any package may add a finder to sys.meta_path
        logger.debug("a distribution finder raised {error}; searching sys.path only", error=type(exc).__name__)
        return list(MetadataPathFinder.find_distributions())


def _load_entry_points(distribution: Distribution) -> Iterator[EntryPoint | UnreadableDistribution]:  # noqa: C901  one check after the other
    """Yield the plugins of one distribution, or the reason why they cannot be read."""
    try:
        text = distribution.read_text(ENTRY_POINTS_FILE)
    except Exception as exc:  # noqa: BLE001  not UTF-8, or not readable
        fault, content = _describe_read_error(exc), _read_entry_points(distribution)
    else:
        if text is None:
            if _has_entry_points_file(distribution):  # importlib.metadata treats an unreadable file as a missing one
                yield UnreadableDistribution(
                    _choose_display_name(distribution),
                    f"its {ENTRY_POINTS_FILE} cannot be read; reinstall it or remove it",
                )
            return
        fault, content = "", text.encode(errors="surrogateescape")
    if content is not None and ENTRY_POINT_GROUP.encode() not in content:
        if fault:
            logger.debug(
                "skipped the entry points of {name}: {fault}", name=_choose_display_name(distribution), fault=fault
            )
        return
    if fault:
        yield UnreadableDistribution(
            _choose_display_name(distribution),
            f"its {ENTRY_POINTS_FILE} cannot be read ({fault}); reinstall it or remove it",
        )
        return
    try:
        points = [point for point in distribution.entry_points if point.group == ENTRY_POINT_GROUP]
    except Exception as exc:  # noqa: BLE001  a malformed line
        yield UnreadableDistribution(
            _choose_display_name(distribution),
            f"its {ENTRY_POINTS_FILE} is malformed ({_describe_read_error(exc)}); reinstall it or remove it",
        )
        return
    if not points:
        return
    if not _read_declared_name(distribution):
        # For example the remains of a removed package, whose module is missing or belongs to another package.
        yield UnreadableDistribution(
            _choose_display_name(distribution), "its METADATA is missing or damaged; reinstall it or remove it"
        )
        return
    yield from points


def _describe_read_error(error: Exception) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeError) else type(error).__name__


def _choose_display_name(distribution: Distribution) -> str:
    return _read_declared_name(distribution) or _parse_folder_name(distribution) or "an unnamed distribution"


def _read_declared_name(distribution: Distribution) -> str:
    """Return the name in the distribution's METADATA; empty if there is none."""
    try:
        metadata: Any = distribution.metadata
        name: object = metadata["Name"]
        version: object = metadata["Version"]
    except Exception:  # noqa: BLE001  the file may be missing or damaged in any way
        return ""
    return name.strip() if isinstance(name, str) and isinstance(version, str) else ""


def _find_folder(distribution: Distribution) -> Path | None:
    from pathlib import Path  # noqa: PLC0415  its import takes a while

    path: object = getattr(distribution, "_path", None)
    return path if isinstance(path, Path) else None


def _parse_folder_name(distribution: Distribution) -> str:
    """Return the distribution's name from its folder, normalized as in PEP 503; empty if unknown."""
    folder = _find_folder(distribution)
    name = folder.stem.partition("-")[0] if folder is not None else _read_declared_name(distribution)
    return "-".join(filter(None, name.lower().replace("_", "-").replace(".", "-").split("-")))


def _has_entry_points_file(distribution: Distribution) -> bool:
    folder = _find_folder(distribution)
    return folder is not None and os.path.lexists(folder / ENTRY_POINTS_FILE)


def _read_entry_points(distribution: Distribution) -> bytes | None:
    """Return the entry points as bytes; None if they cannot be read."""
    folder = _find_folder(distribution)
    try:
        return (folder / ENTRY_POINTS_FILE).read_bytes() if folder is not None else None
    except OSError:
        return None
