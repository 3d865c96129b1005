"""The examples in the documentation of the toolkit run, and print what the pages show."""

from __future__ import annotations

import json
import re
import sys
import threading
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest

from kickai_providers_core import AuthenticationError, Resolver, authoring

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "writing-a-provider.md").read_text(encoding="utf-8")
MODULE = re.compile(r'^```python title="(?P<name>\w+)\.py"\n(?P<source>.*?)^```$', re.DOTALL | re.MULTILINE)
PAGE = (DOCS / "authoring.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"^## (?P<title>[^\n]+)\n(?:(?!^## ).)*?^```python\n(?P<source>.*?)^```\n\n```text\n(?P<shown>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
EXAMPLES = {found["title"]: (found["source"], found["shown"]) for found in EXAMPLE.finditer(PAGE)}


class Osprey(BaseHTTPRequestHandler):
    """A service that speaks the Chat Completions protocol."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer({"data": [{"id": "osprey-1"}]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/answer":
            self._answer({"text": "Everybody."})
            return
        if self.headers["authorization"] != "Bearer canary":
            self._answer({"error": {"message": "invalid api key"}}, status=401)
        elif request["stream"]:
            pieces = [{"delta": {"content": text}} for text in ("Every", "body.")] + [
                {"delta": {}, "finish_reason": "stop"}
            ]
            events = [{"model": request["model"], "choices": [piece]} for piece in pieces]
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            self._send(body.encode(), "text/event-stream", 200)
        else:
            message = {"content": "Everybody."}
            self._answer({"model": request["model"], "choices": [{"message": message, "finish_reason": "stop"}]})

    def _answer(self, document, status=200):
        self._send(json.dumps(document).encode(), "application/json", status)

    def _send(self, body, content_type, status):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture(scope="module")
def port():
    """Return the port of the service."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osprey)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_example_prints_what_the_page_shows(title, port):
    """Each example is a program of its own."""
    source, shown = EXAMPLES[title]
    out = StringIO()
    program = compile(source.replace(":7070", f":{port}"), f"authoring.md, {title}", "exec")
    with redirect_stdout(out):
        exec(program, {"__name__": "example"})  # noqa: S102  a page of this repository
    assert out.getvalue() == shown


@pytest.fixture
def guide(tmp_path, monkeypatch):
    """Return a function that imports a module of the guide."""
    for found in MODULE.finditer(GUIDE):
        (tmp_path / f"{found['name']}.py").write_text(found["source"], encoding="utf-8")
        monkeypatch.delitem(sys.modules, found["name"], raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return import_module


def test_the_shortest_provider_of_the_guide_answers(guide, port, monkeypatch):
    """Its program prints what the page shows, and the provider has 25 lines of code at most."""
    oracle = guide("kickai_oracle")
    lines = [line for line in Path(oracle.__file__).read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 25
    program, shown = re.search(
        r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE
    ).groups()
    path = Path(oracle.__file__)
    path.write_text(path.read_text(encoding="utf-8").replace(":7070", f":{port}"), encoding="utf-8")
    monkeypatch.delitem(sys.modules, "kickai_oracle")
    out = StringIO()
    with redirect_stdout(out):
        exec(compile(program, "writing-a-provider.md", "exec"), {"__name__": "example"})  # noqa: S102  as above
    assert out.getvalue() == shown


@pytest.mark.parametrize("key", ["canary", "wrong"])
def test_the_http_provider_of_the_guide_answers(guide, port, key):
    """Whole answers, streams, and a key that is refused."""
    settings = {"providers": {"falcon": {"base_url": f"http://127.0.0.1:{port}"}}}
    plugins = {"falcon": guide("kickai_falcon").plugin}
    with Resolver.from_settings(settings, env={"FALCON_KEY": key}, plugins=plugins) as resolver:
        chain = resolver.chain("falcon:falcon-2")
        if key == "canary":
            assert (chain.invoke("Who?").text, chain.invoke("Who?").model) == ("Everybody.", "falcon-2")
            assert [chunk.text for chunk in chain.stream("Who?") if chunk.text] == ["Every", "body."]
        else:
            with pytest.raises(ExceptionGroup) as caught:
                chain.invoke("Who?")
            assert type(caught.value.exceptions[0]) is AuthenticationError


def test_every_section_has_an_example():
    """A part without an example would not be tested."""
    assert set(EXAMPLES) == set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))


def test_every_part_is_in_the_page():
    """Each public name of the toolkit is documented."""
    asynchronous = {name for name in authoring.__all__ if name.startswith("a") and name[1:] in authoring.__all__}
    plain = set(authoring.__all__) - asynchronous - {"HttpAttempt", "HttpTransport", "ServerSentEvent"}
    assert sorted(name for name in plain if name not in PAGE) == []
