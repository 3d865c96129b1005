"""The page: everything is escaped, nothing is loaded, and each chart has a table."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from report_cells import FLASH, START_S, Recorder

from kickai_providers_core.operations.charts import Chart, Series, render_chart
from kickai_providers_core.operations.html_page import render_page
from kickai_providers_core.operations.report_building import ReportContext, build_report

HOUR_S = 3600
EVIL = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x1b[31m\u202e"
VOID = {"meta", "link", "line", "path", "wbr"}


class Page(HTMLParser):
    """Reads a page: its elements, attributes and text, and whether they are nested correctly."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Record an element."""
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Record an element without content."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        """Require the end of the innermost element."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Record text."""
        self.words.append(data)


def render(recorder, **context):
    """Return the page of a recorder's cells."""
    until_s = START_S + 5 * HOUR_S
    times = {"since_s": START_S, "until_s": until_s, "now_s": until_s}
    return render_page(build_report(recorder.cells, ReportContext(**times | context)))


@pytest.fixture
def recorder():
    """Return a recorder with requests over hours, and errors."""
    recorder = Recorder()
    for hour in (0, 1, 4):
        recorder.answer(count=90, role="team_manager", at_s=hour * HOUR_S)
        recorder.answer("gemini", FLASH, count=8, role="squad_selector", at_s=hour * HOUR_S)
        recorder.fail(count=2, at_s=hour * HOUR_S)
    return recorder


def test_the_page_is_well_formed_and_loads_nothing(recorder):
    """No script, no address, no image, and a policy that forbids them."""
    text = render(recorder)
    page = Page(text)
    assert not {"script", "img", "iframe", "object", "form"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | {"src", "style", "action"} & names
    addresses = [value for name, value in page.attributes if name == "href"]
    assert all(value == "data:," or value.startswith("#") for value in addresses)
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", text)
    assert "url(" not in text
    assert "@import" not in text
    assert dict(page.attributes)["lang"] == "en"


def test_names_from_services_are_escaped(recorder):
    """Models, roles, providers, errors, reasons and arms; control characters are removed."""
    recorder.answer(EVIL, EVIL, count=5, role=EVIL, arm="candidate", first=(EVIL, EVIL))
    recorder.fail(EVIL)
    recorder.fail_attempt(EVIL, EVIL, EVIL, 50)
    recorder.cell(EVIL, EVIL).counters[f"skips.{EVIL}"] = 1
    recorder.cell(EVIL, EVIL).counters[f"feedback.{EVIL}.ok"] = 1
    text = render(recorder, role=None) + render(recorder, role=EVIL)
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text
    Page(render(recorder))


def test_every_chart_has_a_table_with_its_figures(recorder):
    """A row for each period with requests, and a sentence for screen readers."""
    text = render(recorder)
    charts = re.findall(r"<figure>(.*?)</figure>", text, re.DOTALL)
    assert len(charts) == 4
    for chart in charts:
        assert 'role="img" aria-label="' in chart
        assert chart.count('<tr><th scope="row">') == 3
    assert "Share of requests by provider: huggingface 90.0 %, gemini 8.0 %" in text


def test_headings_and_tables_are_labelled_once(recorder):
    """Ids are unique, and every reference has its target."""
    attributes = Page(render(recorder)).attributes
    ids = [value for name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    references = {value for name, value in attributes if name == "aria-labelledby"}
    assert references <= set(ids)


def test_a_status_does_not_depend_on_colour(recorder):
    """A mark and a word."""
    assert '<span class="status pass">✓ pass</span>' in render(recorder)


def test_an_empty_report_is_a_page():
    """Without charts."""
    text = render(Recorder())
    Page(text)
    assert "<figure>" not in text


def test_many_providers_are_drawn_as_four_and_others():
    """The table has the same columns."""
    recorder = Recorder()
    for number in range(7):
        recorder.answer(f"p{number}", "m", count=10 - number)
    text = render(recorder)
    assert "</span>others</li>" in text
    assert "</span>p3</li>" in text
    assert "</span>p4</li>" not in text


def test_lines_are_interrupted_where_there_is_no_value():
    """A single period is visible, too."""
    series = Series(name="p50", values=[1.0, None, 2.0, 4.0], style=1)
    chart = Chart(
        title="t",
        summary="s",
        kind="lines",
        series=[series],
        starts_s=[START_S + 60 * at for at in range(4)],
        span_s=60,
        format_value=str,
    )
    assert 'd="M0.0 180.0H250.0M500.0 120.0H750.0L750.0 0.0H1000.0"' in render_chart(chart)
    assert "<span>4.0</span><span>2.0</span><span>0.0</span>" in render_chart(chart)


def test_bars_are_stacked():
    """Each on those of the series before it."""
    series = [Series(name="a", values=[1, None], style=1), Series(name="b", values=[3, 2], style=2)]
    chart = Chart(
        title="t", summary="s", kind="bars", series=series, starts_s=[0, 60], span_s=60, format_value=str, maximum=4
    )
    first, second = re.findall(r'<path class="bar s\d" d="([^"]*)"', render_chart(chart))
    assert first == "M1.0 240.0V180.0H499.0V240.0Z"
    assert second == "M1.0 180.0V0.0H499.0V180.0ZM501.0 240.0V120.0H999.0V240.0Z"
