"""The licences of what an environment contains, from its bill of materials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["find_licence_problems"]

FREE = re.compile(
    r"apache|\bMIT\b|\bBSD|\bISC\b|\bPSF|python software foundation|python-2\.0|MPL|mozilla|unlicense|\bCC0"
    r"|\bzlib\b|0BSD|CNRI-Python|\bHPND\b|public domain",
    re.IGNORECASE,
)
"""Licences that an application may combine with its own. Every part of an expression must be one of them."""

KNOWN: Mapping[str, str] = {
    "cel-python": "Apache-2.0",  # its file LICENSE
    "crewai": "MIT",  # its README
    "crewai-cli": "MIT",  # the repository of crewai
    "crewai-core": "MIT",  # the repository of crewai
    "overrides": "Apache-2.0",  # its field License, which is not an SPDX expression; so are those below
    "protobuf": "BSD-3-Clause",
    "pypdfium2": "BSD-3-Clause AND Apache-2.0",
    "uritemplate": "BSD-3-Clause OR Apache-2.0",
}
"""Distributions whose metadata have no statement that the bill of materials takes over, and what they say elsewhere."""


def find_licence_problems(bill: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield the components of a CycloneDX document that have no licence, or one that is not free."""
    for component in bill.get("components", []):
        name = component["name"]
        stated = sorted(_list_licences(component)) or ([KNOWN[name]] if name in KNOWN else [])
        if not stated:
            yield f"{where}: {name} {component.get('version', '')} states no licence"
        elif not any(_is_free(licence) for licence in stated):
            yield f"{where}: {name} {component.get('version', '')} has the licence {'; '.join(stated)[:200]}"


def _list_licences(component: Mapping[str, Any]) -> Iterator[str]:
    for entry in component.get("licenses", []):
        licence = entry.get("license", {})
        text = entry.get("expression") or licence.get("id") or licence.get("name") or ""
        if text.startswith("declared license of"):  # free text, which the name only announces
            text = licence.get("text", {}).get("content", "")
        if text.strip() and text.strip().lower() != "unknown":
            yield text.strip()


def _is_free(licence: str) -> bool:
    """Return whether a licence is free: of alternatives (OR) one is enough, of a conjunction (AND) all must be."""
    return any(
        all(FREE.search(part) for part in re.split(r"\bAND\b", alternative))
        for alternative in re.split(r"\bOR\b", licence)
    )
