"""The page of the report in a browser: wide and narrow, light and dark, on paper, by keyboard and to screen readers."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from report_cells import FLASH, QWEN, START_S, Recorder

from kickai_providers_core.operations.html_page import render_page
from kickai_providers_core.operations.report_building import ReportContext, build_report

ROLES = ("player_coordinator", "message_processor", "finance_manager", "performance_analyst", "squad_selector")
HOURS = 96
LONG_NAME = "an/organisation-with-a-long-name/and-a-model-with-a-very-long-name-Instruct-2507-FP8:together"

VIEWS = {
    "phone": {"width": 390, "scheme": "light", "media": "screen"},
    "phone-dark": {"width": 390, "scheme": "dark", "media": "screen"},
    "desktop": {"width": 1280, "scheme": "light", "media": "screen"},
    "desktop-dark": {"width": 1280, "scheme": "dark", "media": "screen"},
    "print": {"width": 794, "scheme": "light", "media": "print"},
}


def build_page():
    """Return the page of four days of a rollout, with names that try to break it."""
    draws, recorder = random.Random(1), Recorder()
    for hour in range(HOURS):
        for role in ROLES:
            place = {"role": role, "at_s": hour * 3600}
            free = 2 + hour // 4
            recorder.answer(count=free, latency_s=draws.lognormvariate(-0.5, 0.5), arm="candidate", **place)
            recorder.answer("gemini", FLASH, count=26 - free, latency_s=draws.lognormvariate(0, 0.4), **place)
            if draws.random() < 0.2:
                recorder.fail(count=draws.randint(1, 3), **place)
                recorder.answer("gemini", FLASH, first=("huggingface", "RateLimitedError"), arm="candidate", **place)
                recorder.fail_attempt("huggingface", QWEN, "RateLimitedError", estimated=900, arm="candidate", **place)
    recorder.answer("other", LONG_NAME, count=40, role="<script>document.title='broken'</script>", latency_s=4)
    recorder.fail_attempt("other", LONG_NAME, "UnsupportedRequestError", 40)
    until_s = START_S + HOURS * 3600
    context = ReportContext(since_s=START_S, until_s=until_s, now_s=until_s, shares={"": 0.5})
    return render_page(build_report(recorder.cells, context))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return the path of the page."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(build_page(), encoding="utf-8")
    return path


@pytest.fixture(params=VIEWS)
def view(request, browser, path):
    """Yield the page in one of the views, what the console said, and the addresses that were requested."""
    view = VIEWS[request.param]
    # axe-core is a script, which the page's own policy forbids.
    context = browser.new_context(viewport={"width": view["width"], "height": 900}, bypass_csp=True)
    page, said, requested = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: requested.append(sent.url))
    page.emulate_media(media=view["media"], color_scheme=view["scheme"])
    page.goto(path.as_uri())
    yield request.param, page, said, requested
    context.close()


def test_the_page_works_in_every_view(view, axe, path):
    """No error, no request, nothing to scroll sideways but tables, and no finding of axe-core.

    With KICKAI_SCREENSHOTS the screenshots are kept in that folder.
    """
    name, page, said, requested = view
    if folder := os.environ.get("KICKAI_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"report-{name}.png"), full_page=True)
    assert said == []
    assert requested == [path.as_uri()]
    assert page.title().startswith("LLM traffic")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.evaluate(axe)
    violations = page.evaluate("axe.run().then(found => found.violations)")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations] == []


def test_the_page_is_dark_when_the_system_is(browser, path):
    """Text and background change places."""
    colours = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(path.as_uri())
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        context.close()
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}


def test_the_policy_of_the_page_forbids_scripts(browser, path, tmp_path):
    """Even one that got past the escaping would not run."""
    broken = tmp_path / "broken.html"
    script = "<script>document.title='broken'</script>"
    broken.write_text(path.read_text(encoding="utf-8").replace("<main>", f"<main>{script}"), encoding="utf-8")
    page = browser.new_page()
    page.goto(broken.as_uri())
    assert page.title().startswith("LLM traffic")
    page.close()


def test_everything_is_reached_by_keyboard(browser, path):
    """Links, tables that scroll, and the data of a chart, which Enter opens."""
    page = browser.new_page()
    page.goto(path.as_uri())
    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.tagName")
        names.append(name)
        if name == "SUMMARY":
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.parentElement.open")
            assert page.evaluate("document.activeElement.parentElement.querySelectorAll('tbody tr').length") == HOURS
            break
    assert names[:3] == ["A", "A", "A"]
    assert {"DIV", "SUMMARY"} <= set(names)
    page.close()


def test_charts_have_names_for_screen_readers(browser, path):
    """An image with a sentence, in a figure with a caption."""
    page = browser.new_page()
    page.goto(path.as_uri())
    images = page.get_by_role("img")
    assert images.count() == 4
    assert images.nth(0).get_attribute("aria-label").startswith("Share of requests by provider: ")
    assert page.get_by_role("rowheader", name="Mean response time", exact=True).count() == 1
    page.close()


def test_a_printed_page_has_the_charts_but_not_their_data(browser, path, tmp_path):
    """As a PDF, with its pages not cut off."""
    page = browser.new_page()
    page.goto(path.as_uri())
    printed = page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert printed.startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.locator("svg").nth(0).is_visible()
    assert not page.locator("details").nth(0).is_visible()
    page.close()
