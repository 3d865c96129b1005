"""Draws state machines as SVG: ``python docs/diagrams/drawing.py`` writes the files, and a test compares them.

The places of the states are set by hand, the transitions come from `machines`. A state or transition that the code no
longer has, or that has no place, is an error.
"""
# ruff: noqa: INP001

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from attrs import frozen

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests")]

from machines import find_breaker_transitions, find_walk_transitions  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from machines import Transition

STYLE = """\
  text { font: 15px system-ui, sans-serif; fill: #1f2933; text-anchor: middle }
  .event { font-size: 13px; fill: #46525e; paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
  .state { fill: #e3f4f1; stroke: #00796b; stroke-width: 1.5 }
  .end { fill: #eef1f4; stroke: #5b6770; stroke-width: 1.5 }
  .edge { fill: none; stroke: #5b6770; stroke-width: 1.5 }
  .tip { fill: #5b6770 }
  .page { fill: #ffffff }"""
"""The colours have at least the contrast 4.5 to 1. The background is light in dark pages too."""


TIP = """\
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">
<path class="tip" d="M0 0L10 5L0 10z"/></marker></defs>"""


@frozen(kw_only=True)
class State:
    """A state and its place.

    Attributes:
        label: Its text in the diagram.
        x: The middle, in pixels from the left.
        y: The middle, in pixels from the top.
        is_end: Whether nothing follows it.
    """

    label: str
    x: int
    y: int
    is_end: bool = False


@frozen(kw_only=True)
class Diagram:
    """A diagram of a state machine.

    Attributes:
        title: What it shows, for readers who cannot see it.
        size: Width and height in pixels.
        states: The states by name.
        bends: How far each edge is bent to the left of its direction, in pixels; a straight line without an entry.
    """

    title: str
    size: tuple[int, int]
    states: Mapping[str, State]
    bends: Mapping[tuple[str, str], int]

    def draw(self, transitions: Iterable[Transition]) -> str:
        """Return the SVG document.

        Raises:
            ValueError: A state has no place, or none of its transitions exists.
        """
        edges: dict[tuple[str, str], list[str]] = {}
        for before, event, after in sorted(transitions):
            edges.setdefault((before, after), []).append(event)
        used = {name for edge in edges for name in edge}
        if used != set(self.states):
            raise ValueError(f"the states of the code are {sorted(used)}, those of the diagram {sorted(self.states)}")
        width, height = self.size
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f"<style>\n{STYLE}\n</style>",
            TIP,
            f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
        ]
        drawn = [self._draw_edge(edge, events) for edge, events in edges.items()]
        parts += [line for line, _ in drawn] + [label for _, label in drawn]
        parts += [_draw_state(state) for state in self.states.values()]
        return "\n".join([*parts, "</svg>", ""])

    def _draw_edge(self, edge: tuple[str, str], events: list[str]) -> tuple[str, str]:
        start, end = self.states[edge[0]], self.states[edge[1]]
        bend = self.bends.get(edge, 0)
        events = [event for event in events if event]
        if start is end:
            x, y = start.x, start.y - 22
            path = f"M{x - 18} {y}C{x - 40} {y - 44} {x + 40} {y - 44} {x + 18} {y}"
            return _draw_line(path), _draw_words(events, x, y - 44 - 16 * (len(events) - 1))
        dx, dy = end.x - start.x, end.y - start.y
        length = math.hypot(dx, dy)
        mx, my = (start.x + end.x) / 2 + bend * dy / length, (start.y + end.y) / 2 - bend * dx / length
        x0, y0 = _border(start, mx, my)
        x1, y1 = _border(end, mx, my)
        path = f"M{x0:.0f} {y0:.0f}Q{mx:.0f} {my:.0f} {x1:.0f} {y1:.0f}"
        x, y = (x0 + 2 * mx + x1) / 4, (y0 + 2 * my + y1) / 4
        return _draw_line(path), _draw_words(events, round(x), round(y - 8 * (len(events) - 1)) + 4)


def _half_width(state: State) -> float:
    return 22 + 4.2 * len(state.label)


def _border(state: State, x: float, y: float) -> tuple[float, float]:
    """Return where the line from the middle of a state to a point leaves its box."""
    dx, dy = x - state.x, y - state.y
    scale = min(_half_width(state) / abs(dx) if dx else math.inf, 22 / abs(dy) if dy else math.inf)
    return state.x + dx * scale, state.y + dy * scale


def _draw_line(path: str) -> str:
    return f'<path class="edge" d="{path}" marker-end="url(#tip)"/>'


def _draw_words(events: list[str], x: int, y: int) -> str:
    lines = [
        f'<text class="event" x="{x}" y="{y + 16 * row}">{escape(event)}</text>' for row, event in enumerate(events)
    ]
    return "\n".join(lines)


def _draw_state(state: State) -> str:
    half = _half_width(state)
    kind = "end" if state.is_end else "state"
    return (
        f'<rect class="{kind}" x="{state.x - half:.0f}" y="{state.y - 22}" width="{2 * half:.0f}" height="44" rx="10"/>'
        f'<text x="{state.x}" y="{state.y + 5}">{escape(state.label)}</text>'
    )


BREAKER = Diagram(
    title="A closed breaker opens at max_errors. After its cool-down one probe closes or reopens it.",
    size=(720, 400),
    states={
        "closed": State(label="closed", x=90, y=110),
        "open": State(label="open", x=630, y=110),
        "half_open": State(label="half-open", x=360, y=340),
    },
    bends={
        ("closed", "open"): 80,
        ("open", "closed"): -10,
        ("open", "half_open"): 10,
        ("half_open", "open"): -150,
    },
)

WAIT = "Wait"
WAITS = {"Sleep": WAIT, "Validate": WAIT, "WaitForSlot": WAIT}
EVENTS = {"time is up": "over", "validated": "over", "woken, or time is up": "over"}
"""The diagram of the walk has one state for all waits, since each of them can follow each."""

WALK = Diagram(
    title="A request starts with its first target. Calls and waits follow each other until a reply or an error.",
    size=(720, 520),
    states={
        "start": State(label="start", x=360, y=40, is_end=True),
        WAIT: State(label="Sleep, WaitForSlot, Validate", x=150, y=190),
        "Call": State(label="Call", x=480, y=190),
        "WaitForOther": State(label="WaitForOther", x=600, y=340),
        "Fail": State(label="Fail", x=200, y=470, is_end=True),
        "Reply": State(label="Reply", x=480, y=470, is_end=True),
    },
    bends={
        ("Call", WAIT): 26,
        (WAIT, "Call"): 26,
        ("Call", "WaitForOther"): 30,
        ("WaitForOther", "Call"): 20,
        ("start", "Fail"): 0,
        ("WaitForOther", WAIT): 20,
    },
)


def draw_all() -> dict[str, str]:
    """Return the documents by file name."""
    walk = {
        (WAITS.get(before, before), EVENTS.get(event, event), WAITS.get(after, after))
        for before, event, after in find_walk_transitions()
    }
    return {"breaker.svg": BREAKER.draw(find_breaker_transitions()), "walk.svg": WALK.draw(walk)}


if __name__ == "__main__":
    for file_name, document in draw_all().items():
        (HERE / file_name).write_text(document, encoding="utf-8")
