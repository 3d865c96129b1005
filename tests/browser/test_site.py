"""The documentation site in Chromium: every page on a phone and a desktop, light and dark."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from pathlib import Path

import pytest

SITE = Path(os.environ.get("KICKAI_SITE", ""))
PAGES = sorted(path.parent.relative_to(SITE).as_posix() for path in SITE.rglob("index.html")) if SITE.name else []
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}

pytestmark = pytest.mark.skipif(not PAGES, reason="runs in nox -s site, which builds the site first")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture(scope="module")
def address():
    """Serve the site on a loopback port, and return its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=[(size, scheme) for size in SIZES for scheme in ("light", "dark")], ids="-".join, scope="module")
def opened(request, browser):
    """Yield a page of a size and scheme, with the requests that it sends and what it logs."""
    size, scheme = request.param
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True)
    page.sent, page.logged = [], []
    page.on("request", lambda sent: page.sent.append(sent.url))
    page.on("console", lambda message: page.logged.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.logged.append(str(error)))
    page.scheme = scheme
    yield page
    page.close()


@pytest.mark.parametrize("place", PAGES)
def test_a_page_is_good_to_read(opened, address, axe, place):
    """It fits the width, follows the colour scheme, sends nothing elsewhere, has no errors, and passes axe-core."""
    opened.sent.clear()
    opened.logged.clear()
    response = opened.goto(f"{address}/{place}/", wait_until="load")
    assert response.status == 200
    assert [url for url in opened.sent if not url.startswith((address, "data:", "blob:"))] == []
    assert opened.logged == []
    width = opened.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    assert opened.evaluate("document.body.dataset.mdColorScheme") == ("slate" if opened.scheme == "dark" else "default")
    assert opened.evaluate("[...document.images].filter(image => !image.naturalWidth).map(image => image.src)") == []
    opened.add_script_tag(content=axe)
    found = opened.evaluate("axe.run('article', {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa']})")
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == []


def test_every_link_within_the_site_works():
    """Each link leads to a file of the site, and to a heading in it."""
    import html.parser
    from urllib.parse import unquote, urldefrag, urljoin, urlsplit

    class Links(html.parser.HTMLParser):
        """Collects the links and the ids of a page."""

        def __init__(self):
            super().__init__()
            self.links, self.ids = [], set()

        def handle_starttag(self, tag, attrs):
            """Note a link or an id."""
            values = dict(attrs)
            self.ids.add(values.get("id"))
            if tag == "a" and values.get("href"):
                self.links.append(values["href"])

    parsed = {}
    for path in SITE.rglob("*.html"):
        parsed[path] = Links()
        parsed[path].feed(path.read_text(encoding="utf-8"))
    broken = []
    for path, page in parsed.items():
        base = f"http://site/{path.relative_to(SITE).as_posix().removesuffix('index.html')}"
        for link in page.links if path.name == "index.html" else ():
            whole, anchor = urldefrag(urljoin(base, link))
            if urlsplit(whole).netloc != "site":
                continue
            target = SITE / unquote(urlsplit(whole).path.lstrip("/"))
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (anchor and target in parsed and unquote(anchor) not in parsed[target].ids):
                broken.append((path.parent.name, link))
    assert broken == []


def test_llms_txt_lists_every_page():
    """It names each page of the navigation once, in Markdown that is part of the site."""
    lines = (SITE / "llms.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# kickai-providers"
    listed = [line.partition("](")[2].partition(")")[0] for line in lines if line.startswith("- [")]
    assert len(listed) == len(set(listed)) >= 30
    assert [place for place in listed if not (SITE / place).is_file()] == []
    assert not any("http" in place for place in listed)
