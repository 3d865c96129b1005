"""The Markdown page of a fault matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.testing.fault_matrix.rows import STREAMS, WHOLE_ANSWERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.fault_matrix.rows import FaultRow

__all__ = ["render_document"]

HEAD = "| fault | invoke, ainvoke | stream, astream | details |\n|---|---|---|---|\n"


def render_document(introduction: str, sections: Mapping[str, Sequence[FaultRow]]) -> str:
    """Return the page.

    Args:
        introduction: The text above the tables. ``{faults}`` and ``{cells}`` are replaced by the number of rows, and
            the number of rows times their modes.
        sections: The rows by the heading of their section; an empty heading is left out.
    """
    rows = [row for section in sections.values() for row in section]
    text = introduction.replace("{faults}", str(len(rows)))
    parts = [text.replace("{cells}", str(sum(len(row.modes) for row in rows))).rstrip("\n")]
    for heading, section in sections.items():
        parts += [f"## {heading}"] if heading else []
        parts.append(HEAD + "\n".join(map(_render_row, section)))
    return "\n\n".join(parts) + "\n"


def _render_row(row: FaultRow) -> str:
    cells = [row.name, _render_cell(row, WHOLE_ANSWERS), _render_cell(row, STREAMS), "; ".join(_list_details(row))]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _render_cell(row: FaultRow, modes: tuple[Mode, ...]) -> str:
    possible = [mode for mode in modes if mode in row.modes]
    if not possible:
        return "–"
    only = "" if len(possible) == len(modes) else f" (`{possible[0]}` only)"
    return f"`{row.get_error(possible[0]).__name__}`{only}"


def _list_details(row: FaultRow) -> list[str]:
    details = [row.message] if row.message else []
    details += [f"in a stream: {row.stream_message}"] if row.stream_message else []
    details += [f"`phase` {row.phase}"] if row.phase else []
    if isinstance(row.retry_after_s, tuple):
        details.append("`retry_after_s` {:g} to {:g}".format(*row.retry_after_s))
    elif row.retry_after_s is not None:
        details.append(f"`retry_after_s` {row.retry_after_s:g}")
    details += [f"`status_code` {row.status_code}"] if row.status_code is not None else []
    details += [] if row.reached else ["`reached` False"]
    details += [f"`{name}` {value}" for name, value in row.fields.items()]
    return [*details, row.note] if row.note else details
