"""Which models are retired, and what each takes."""

from __future__ import annotations

from datetime import date

import pytest

from kickai_gemini.models import RETIREMENTS, find_retirement, known_models, served_model, takes_sampling

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("gemini-1.5-flash", "gemini-3.5-flash-lite"),
        ("gemini-1.5-flash-002", "gemini-3.5-flash-lite"),
        ("gemini-1.5-flash-latest", "gemini-3.5-flash-lite"),
        ("gemini-1.5-flash-8b-001", "gemini-3.5-flash-lite"),
        ("models/gemini-1.5-pro", "gemini-3.8-flash"),
        ("gemini-2.0-flash", "gemini-3.5-flash-lite"),
        ("gemini-2.0-flash-lite-001", "gemini-3.5-flash-lite"),
        ("gemini-3-pro-preview", "gemini-3.1-pro-preview"),
        ("gemini-3.1-flash-lite-preview", "gemini-3.1-flash-lite"),
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini-2.5-flash-image", "gemini-2.5-flash-image"),
        ("gemini-3.5-flash-lite", "gemini-3.5-flash-lite"),
        ("gemini-flash-latest", "gemini-flash-latest"),
        ("gemini-pro-latest", "gemini-pro-latest"),
        ("gemma-3-27b-it", "gemma-3-27b-it"),
    ],
)
def test_a_retired_name_leads_to_a_model_that_is_served(named, asked):
    """Retired names, their dated versions and previews lead to the successor; all others stay as they are."""
    assert served_model(named, TODAY) == asked


def test_a_model_is_asked_until_its_day():
    """A model with an announced end is served the day before, and followed by its successor from that day on."""
    assert served_model("gemini-2.5-pro", date(2026, 11, 30)) == "gemini-2.5-pro"
    assert served_model("gemini-2.5-pro", date(2026, 12, 1)) == "gemini-3.8-flash"


def test_successors_of_successors_are_followed():
    """Years from now a name still leads to the last model that is known to be served."""
    assert served_model("gemini-3.1-flash-lite-preview", date(2027, 6, 1)) == "gemini-3.5-flash-lite"


def test_the_end_is_told_ahead():
    """The months before its end, a model is flagged as soon retired."""
    end = find_retirement("gemini-2.5-flash")
    assert end.is_soon(TODAY)
    assert not end.is_soon(date(2026, 1, 1))
    assert not end.is_soon(date(2026, 12, 1))
    assert end.is_over(date(2026, 12, 1))


def test_no_successor_is_retired_before_its_model():
    """The table leads nowhere that has ended already."""
    for end in RETIREMENTS:
        after = find_retirement(end.successor)
        assert after is None or after.on > end.on, end
        assert served_model(end.model, date(2030, 1, 1)) not in {each.model for each in RETIREMENTS}


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("gemini-2.5-flash", True),
        ("gemini-3.1-flash-lite", True),
        ("gemini-3.1-pro-preview", True),
        ("gemini-3.5-flash", True),
        ("gemini-3-flash-preview", True),
        ("gemma-3-27b-it", True),
        ("gemini-3.5-flash-lite", False),
        ("models/gemini-3.6-flash", False),
        ("gemini-3.8-flash", False),
        ("gemini-3.10-flash", False),
        ("gemini-4-argon", False),
        ("gemini-flash-latest", False),
    ],
)
def test_newer_models_take_no_sampling(model, takes):
    """Temperature and top_p are deprecated from 3.5 Flash-Lite and 3.6 Flash on."""
    assert takes_sampling(model) is takes


def test_what_is_known_names_successors_of_the_retired_only():
    """The description of the provider tells windows of models that are served, and successors of those that are not."""
    models = known_models(TODAY)
    assert models["gemini-1.5-flash"].successor == "gemini-3.5-flash-lite"
    assert models["gemini-2.5-flash"].successor is None
    assert models["gemini-3.5-flash-lite"].context_window == 1_048_576
    assert known_models(date(2026, 12, 1))["gemini-2.5-flash"].successor == "gemini-3.5-flash-lite"
