"""Which models are retired, and which take sampling parameters."""

from __future__ import annotations

from datetime import date

import pytest

from kickai_gemini.known_models import (
    RETIREMENTS,
    build_model_infos,
    choose_served_model,
    find_retirement,
    takes_sampling,
)

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("name", "model"),
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
def test_retired_model_leads_to_its_successor(name, model):
    """Retired models, their dated versions and previews lead to the successor; others are unchanged."""
    assert choose_served_model(name, TODAY) == model


def test_model_is_used_until_its_last_day():
    """A model is used until the day before its retirement."""
    assert choose_served_model("gemini-2.5-pro", date(2026, 11, 30)) == "gemini-2.5-pro"
    assert choose_served_model("gemini-2.5-pro", date(2026, 12, 1)) == "gemini-3.8-flash"


def test_successors_of_successors_are_followed():
    """The last successor is used."""
    assert choose_served_model("gemini-3.1-flash-lite-preview", date(2027, 6, 1)) == "gemini-3.5-flash-lite"


def test_retirement_is_announced():
    """A model is flagged in the half year before its retirement."""
    end = find_retirement("gemini-2.5-flash")
    assert end.is_soon(TODAY)
    assert not end.is_soon(date(2026, 1, 1))
    assert not end.is_soon(date(2026, 12, 1))
    assert end.is_over(date(2026, 12, 1))


def test_successors_outlive_their_models():
    """No successor is retired before the model that it replaces."""
    for end in RETIREMENTS:
        after = find_retirement(end.successor)
        assert after is None or after.on > end.on, end
        assert choose_served_model(end.model, date(2030, 1, 1)) not in {each.model for each in RETIREMENTS}


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
def test_newer_models_take_no_sampling_parameters(model, takes):
    """Temperature and top_p are deprecated from 3.5 Flash-Lite and 3.6 Flash on."""
    assert takes_sampling(model) is takes


def test_known_models_have_windows_or_successors():
    """Served models have a context window, and retired ones a successor."""
    models = build_model_infos(TODAY)
    assert models["gemini-1.5-flash"].successor == "gemini-3.5-flash-lite"
    assert models["gemini-2.5-flash"].successor is None
    assert models["gemini-3.5-flash-lite"].context_window == 1_048_576
    assert build_model_infos(date(2026, 12, 1))["gemini-2.5-flash"].successor == "gemini-3.5-flash-lite"
