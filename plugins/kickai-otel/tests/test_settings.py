"""Settings in code and in the environment."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from scene import PROMPT, Scene

from kickai_otel import MetricNames, OtelSettings, conventions


def test_the_version_is_that_of_the_distribution():
    """The scope's version is the one in the project file."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == conventions.VERSION


def test_an_empty_environment_has_the_defaults():
    """Empty variables count as absent."""
    empty = {"KICKAI_OTEL_METRIC_NAMES": "", "KICKAI_OTEL_MAX_VALUES": " ", "KICKAI_OTEL_PROVIDER_NAMES": ""}

    assert OtelSettings.from_env({}) == OtelSettings.from_env(empty) == OtelSettings()


def test_each_variable_sets_its_setting():
    """All three together."""
    env = {
        "KICKAI_OTEL_METRIC_NAMES": "both",
        "KICKAI_OTEL_MAX_VALUES": "7",
        "KICKAI_OTEL_PROVIDER_NAMES": "eu=gcp.gemini, tgi = huggingface",
    }

    assert OtelSettings.from_env(env) == OtelSettings(
        metric_names=MetricNames.BOTH,
        max_values=7,
        provider_names={"eu": "gcp.gemini", "tgi": "huggingface"},
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KICKAI_OTEL_METRIC_NAMES", "newest"),
        ("KICKAI_OTEL_MAX_VALUES", "0"),
        ("KICKAI_OTEL_MAX_VALUES", "many"),
        ("KICKAI_OTEL_PROVIDER_NAMES", "eu"),
        ("KICKAI_OTEL_PROVIDER_NAMES", "=gcp.gemini"),
    ],
)
def test_an_invalid_variable_is_named_with_its_value(variable, value):
    """The message says what, where and what was expected."""
    with pytest.raises(ValueError, match=f"^{variable} must be .*, got '{value}'$"):
        OtelSettings.from_env({variable: value})


@pytest.mark.parametrize(
    ("stated", "error"),
    [
        ({"metric_names": "newest"}, ValueError),
        ({"max_values": 0}, ValueError),
        ({"max_values": True}, ValueError),
        ({"max_open_requests": 1.5}, ValueError),
        ({"provider_names": ["eu"]}, TypeError),
        ({"provider_names": {"eu": 1}}, TypeError),
    ],
)
def test_an_invalid_setting_is_named(stated, error):
    """In code, the message names the attribute."""
    (name,) = stated
    with pytest.raises(error, match=rf"^OtelSettings\.{name} must"):
        OtelSettings(**stated)


def test_an_instance_can_have_a_stated_provider_name():
    """It replaces the default one, on spans and metrics."""
    scene = Scene(settings=OtelSettings(provider_names={"actor": "huggingface"}))
    with scene.open() as resolver:
        resolver.chain("actor:ok").invoke(PROMPT)
    scene.close()
    ((attributes, _),) = scene.collect()["gen_ai.client.inference.duration"]

    assert scene.spans[0].attributes["gen_ai.provider.name"] == attributes["gen_ai.provider.name"] == "huggingface"
