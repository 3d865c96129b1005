"""The status page of the gateway in a browser: live, wide and narrow, light and dark, by keyboard and screen reader."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sysconfig
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("kickai_gateway", reason="runs in nox -s browser")

PROGRAM = Path(sysconfig.get_path("scripts")) / "kickai"

SETTINGS = """
[kickai]
primary = "mock"
fallback = ["spare"]
plugins = ["mock"]

[providers.spare]
kind = "mock"

[store]
url = "sqlite:///kickai.db"
"""

VIEWS = {
    "phone": {"width": 390, "scheme": "light"},
    "phone-dark": {"width": 390, "scheme": "dark"},
    "desktop": {"width": 1280, "scheme": "light"},
    "desktop-dark": {"width": 1280, "scheme": "dark"},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Yield the address of a gateway that has answered some requests."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "kickai.toml").write_text(SETTINGS)
    process = subprocess.Popen([str(PROGRAM), "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        url = next(found[1] for line in process.stderr if (found := re.search(r"serving (\S+)/v1", line)))
        for model in ("kickai", "kickai", "mock:down,spare", "kickai:team_manager"):
            ask(url, model)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def ask(url, model):
    """Send a request to the gateway."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    request = urllib.request.Request(  # noqa: S310  our own address
        f"{url}/v1/chat/completions", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        assert response.status == 200


@pytest.fixture
def view(request, browser, url):
    """Yield the loaded page, what the console said, and the addresses that were requested."""
    view = VIEWS[request.param]
    # axe-core is a script, which the page's own policy forbids.
    context = browser.new_context(
        viewport={"width": view["width"], "height": 900}, color_scheme=view["scheme"], bypass_csp=True
    )
    page, said, requested = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: requested.append(sent.url))
    page.goto(url)
    page.wait_for_selector("#report-frame:not([hidden])", timeout=60_000)
    yield request.param, page, said, requested
    context.close()


@pytest.mark.parametrize("view", VIEWS, indirect=True)
def test_the_page_works_in_every_view(view, axe, url):
    """No error, no request to elsewhere, nothing to scroll sideways, and no finding of axe-core.

    With KICKAI_SCREENSHOTS the screenshots are kept in that folder.
    """
    name, page, said, requested = view
    page.wait_for_timeout(300)
    if folder := os.environ.get("KICKAI_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"gateway-{name}.png"), full_page=True)
    assert said == []
    assert {address.removeprefix(url).split("?")[0] for address in requested} <= {
        *("/", "/status.css", "/status.js", "/status.json", "/report.json", "data:,", "about:srcdoc"),
    }
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.evaluate(axe)
    violations = page.evaluate("axe.run({iframes: false}).then(found => found.violations)")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations] == []


def test_the_page_shows_chains_figures_and_charts(browser, url):
    """And the charts are those of the report."""
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector("#report-frame:not([hidden])", timeout=60_000)
    assert "Ready · 1 worker · store works" in page.text_content("#state")
    card = page.locator(".card", has_text="kickai:team_manager")
    assert card.locator("li").all_text_contents() == ["mock ✓ available", "spare ✓ available"]
    frame = page.frame_locator("#report-frame")
    assert frame.locator("figure svg").count() >= 1
    page.close()


def test_the_page_is_live(browser, url):
    """A further request is counted without loading the page again."""
    page = browser.new_page()
    page.goto(url)
    tile = page.locator(".tiles div", has_text=re.compile("^Requests")).locator("dd")
    tile.wait_for()
    before = int(tile.text_content())
    ask(url, "kickai")
    page.locator(".tiles div", has_text=f"Requests{before + 1}").wait_for()
    page.close()


def test_everything_is_reached_by_keyboard(browser, url):
    """The report in its frame, too."""
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector("#report-frame:not([hidden])", timeout=60_000)
    names = []
    for _ in range(4):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id"))
    assert "report-frame" in names
    page.close()


def test_the_policy_forbids_scripts_in_the_page(browser, url):
    """A script that got past the escaping would not run."""
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(url)
    page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'document.title=1'; document.body.append(s)"
    )
    assert page.title() == "kickai gateway"
    assert any("Content Security Policy" in line for line in said)
    page.close()
