"""The examples of the README run, and its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import fields
from programs import run_program

from kickai_otel import OtelSettings, metric_table
from kickai_otel.settings import VARIABLES

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

PLUGIN = """
from kickai_providers_core import FinishReason, ProviderInfo, ProviderTimeoutError, Reply
from kickai_providers_core.authoring import hooks_for

class Mock:
    def __init__(self, settings):
        pass

    def invoke(self, request, timeout_s):
        if request.model == "timeout":
            raise ProviderTimeoutError("no answer in time")
        return Reply(text=request.messages[-1].content, finish_reason=FinishReason.STOP)

plugin = hooks_for(ProviderInfo(name="mock", summary="answers and fails"), Mock)
"""


def install(folder: Path, name: str, entry_point: str) -> None:
    """Make a distribution with one entry point importable."""
    metadata = folder / f"{name.replace('-', '_')}-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(f"[kickai.providers]\n{entry_point}\n")


def test_the_example_runs_with_installed_plugins(tmp_path):
    """The plugin is found by its entry point, answers reach the application, and spans the console."""
    (tmp_path / "stand_in.py").write_text(PLUGIN)
    install(tmp_path, "kickai-mock", "mock = stand_in:plugin")
    install(tmp_path, "kickai-otel", "otel = kickai_otel.plugin")
    scrape = """
import urllib.request

text = urllib.request.urlopen("http://127.0.0.1:9464/metrics").read().decode()
assert "kickai_request_duration_seconds_count{" in text
resolver.close()
"""
    program = "".join(BLOCKS).replace("9464", "PORT") + scrape.replace("9464", "PORT")
    opening = f"import os, sys; sys.path.insert(0, {str(tmp_path)!r}); os.chdir({str(tmp_path)!r})\n"
    opening += "import socket\nwith socket.socket() as s:\n    s.bind(('127.0.0.1', 0)); PORT = s.getsockname()[1]\n"
    program = program.replace('"http://127.0.0.1:PORT/metrics"', 'f"http://127.0.0.1:{PORT}/metrics"')
    printed = run_program(opening + program, env={"KICKAI_PLUGINS": "kickai-mock,kickai-otel"}).splitlines()

    assert "Who can play on Saturday?" in printed
    assert {"chat timeout", "chat b", "kickai.request"} == set(printed) - {"Who can play on Saturday?"}


def test_each_metric_has_its_row():
    """With its kind and its attributes, in the order of the table of names."""
    section = README.partition("## Metrics")[2]
    rows = re.findall(r"^\| `([\w.]+)` \| (counter|histogram(?:, s)?) \| (.+) \|$", section, re.MULTILINE)
    expected = [
        (
            metric.name,
            ("histogram" if metric.buckets else "counter") + (", s" if metric.unit == "s" else ""),
            ", ".join(f"`{attribute}`" for attribute in metric.attributes),
        )
        for metric in metric_table.METRICS
        if not metric.is_previous
    ]

    assert rows == expected


def test_each_previous_name_is_named():
    """In the table of previous names."""
    for metric in metric_table.METRICS:
        for name in (metric.previous_name, metric.name if metric.is_previous else ""):
            assert name in README


def test_each_setting_has_its_row():
    """With its variable, if it has one, and its default."""
    section = README.partition("## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?:`(\w+)`)? ?\| `(\w+)` \|", section, re.MULTILINE)

    assert {setting: variable for variable, setting in rows if variable} == {v: k for k, v in VARIABLES.items()}
    assert {setting for _, setting in rows} == {field.name for field in fields(OtelSettings)}
