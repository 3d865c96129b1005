"""The summary of a docstring, and what it says about each parameter or field.

It reads the simple forms of three styles: Google (https://google.github.io/styleguide/pyguide.html#383-functions-and-methods),
Sphinx (``:param name: …``) and NumPy (https://numpydoc.readthedocs.io/en/latest/format.html). Anything else is ignored.
"""

from __future__ import annotations

import inspect
import re

__all__ = ["parse_docstring"]

GOOGLE_SECTION = re.compile(r"(Args|Arguments|Parameters|Attributes):$")
GOOGLE_ITEM = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
SPHINX_ITEM = re.compile(r":(?:param|parameter|arg|ivar)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
NUMPY_SECTION = re.compile(r"(Parameters|Other Parameters|Attributes)$")
NUMPY_ITEM = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")
ANY_SECTION = re.compile(r"[A-Z][A-Za-z ]*:$|:\w+.*:|[=-]{3,}$")


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a docstring as one line, and the descriptions of its parameters by name."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    return _find_summary(lines), _find_google(lines) | _find_numpy(lines) | _find_sphinx(lines)


def _find_summary(lines: list[str]) -> str:
    summary: list[str] = []
    for line in lines:
        if not line.strip() or ANY_SECTION.match(line):
            break
        summary.append(line.strip())
    return " ".join(summary)


def _count_indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _find_google(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, line in enumerate(lines):
        if GOOGLE_SECTION.match(line):
            found |= _read_items(lines[place + 1 :])
    return found


def _read_items(lines: list[str]) -> dict[str, str]:
    """Return the items of a Google section, which is indented and ends with the first line that is not."""
    found: dict[str, str] = {}
    depth, name = 0, ""
    for line in lines:
        if not line.strip():
            continue
        if not _count_indent(line):
            break
        depth = depth or _count_indent(line)
        item = GOOGLE_ITEM.match(line.strip()) if _count_indent(line) == depth else None
        if item is not None:
            name = item[1]
            found[name] = item[2]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _find_numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    is_open = False
    for place, line in enumerate(lines):
        is_heading = place + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[place + 1]) is not None
        if is_heading:
            is_open, names = NUMPY_SECTION.match(line) is not None, []
        elif not is_open or not line.strip() or re.fullmatch(r"-{3,}", line):
            continue
        elif _count_indent(line):
            for name in names:
                found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            item = NUMPY_ITEM.match(line)
            names = re.split(r"\s*,\s*", item[1]) if item is not None else []
            found |= dict.fromkeys(names, "")
    return found


def _find_sphinx(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        item = SPHINX_ITEM.match(line)
        if item is not None:
            name = item[1]
            found[name] = item[2]
        elif name and line.strip() and _count_indent(line):
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            name = ""
    return found
