"""The diagrams are those of the code's own state machines."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "diagrams"


@pytest.fixture(scope="module")
def drawing():
    """Yield the names of the module that draws."""
    path = list(sys.path)
    yield runpy.run_path(str(FOLDER / "drawing.py"))
    sys.path[:] = path


def test_the_pictures_are_up_to_date(drawing):
    """The files are what ``python docs/diagrams/drawing.py`` writes."""
    drawn = drawing["draw_all"]()
    assert drawn == {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.svg")}


def test_every_transition_of_the_breaker_is_in_its_diagram(drawing):
    """Each event and each state that was found by running a breaker is a text of the diagram."""
    texts = [element.text for element in ET.parse(FOLDER / "breaker.svg").iter() if element.text]  # noqa: S314
    transitions = drawing["find_breaker_transitions"]()
    assert {before for before, _, _ in transitions} == {"closed", "open", "half_open"}
    assert [event for _, event, _ in transitions if event not in texts] == []
    assert {"closed", "open", "half-open"} <= set(texts)


def test_the_walk_reaches_every_action(drawing):
    """The requests that are sent meet all actions, so that the diagram lacks none."""
    found = {state for transition in drawing["find_walk_transitions"]() for state in (transition[0], transition[2])}
    actions = {"Call", "Sleep", "WaitForSlot", "Validate", "WaitForOther", "Fail"}
    assert found == actions | {"start", "Reply"}


def test_a_state_without_a_place_is_an_error(drawing):
    """A new state of the code fails the test, and is not left out silently."""
    with pytest.raises(ValueError, match="'paused'"):
        drawing["BREAKER"].draw({("closed", "an event", "paused")})
