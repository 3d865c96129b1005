"""A headless Chromium, and axe-core; skipped where they are not installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM = (
    os.environ.get("KICKAI_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
AXE = Path(os.environ.get("KICKAI_AXE", "axe.min.js"))


@pytest.fixture(scope="session")
def browser():
    """Yield the browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="runs in nox -s browser")
    if CHROMIUM is None:
        pytest.fail("no Chromium was found: install it, or set KICKAI_CHROMIUM to its path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe():
    """Return the source of axe-core."""
    if not AXE.is_file():
        pytest.fail(f"axe-core is not at {AXE}: run nox -s browser, or set KICKAI_AXE to axe.min.js")
    return AXE.read_text(encoding="utf-8")
