"""The examples in the documentation of the toolkit run, and print what the pages show."""

from __future__ import annotations

import json
import re
import threading
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pytest

from kickai_providers_core import authoring

DOCS = Path(__file__).parents[3] / "docs"
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


def test_every_section_has_an_example():
    """A part without an example would not be tested."""
    assert set(EXAMPLES) == set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))


def test_every_part_is_in_the_page():
    """Each public name of the toolkit is documented."""
    asynchronous = {name for name in authoring.__all__ if name.startswith("a") and name[1:] in authoring.__all__}
    plain = set(authoring.__all__) - asynchronous - {"HttpAttempt", "HttpTransport", "ServerSentEvent"}
    assert sorted(name for name in plain if name not in PAGE) == []
