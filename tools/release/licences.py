"""The licences of what an environment contains, from its bill of materials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["find_licence_problems"]

FREE = re.compile(
    r"apache|\bMIT\b|\bBSD|\bISC\b|\bPSF|python software foundation|python-2\.0|MPL|mozilla|unlicense|\bCC0"
    r"|\bzlib\b|0BSD|\bHPND\b|public domain",
    re.IGNORECASE,
)
"""Licences that an application may combine with its own. Every part of an expression must be one of them."""

KNOWN: Mapping[str, str] = {}
"""Distributions without a usable statement, and what their files say."""


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
        text = entry.get("expression") or licence.get("id") or licence.get("name")
        if text and text.strip().lower() not in {"unknown", "declared license of '" + component["name"].lower() + "'"}:
            yield text.strip()


def _is_free(licence: str) -> bool:
    """Return whether a licence is free: of alternatives (OR) one is enough, of a conjunction (AND) all must be."""
    return any(
        all(FREE.search(part) for part in re.split(r"\bAND\b", alternative))
        for alternative in re.split(r"\bOR\b", licence)
    )
