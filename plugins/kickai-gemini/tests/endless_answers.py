"""A service that sends endless answers, and a process that calls it.

``python endless_answers.py CLIENT TIMEOUT PORT`` prints a JSON array for each call: the answer, the mode, how the call
ended, its seconds, and the growth of the process's peak memory in MiB.
"""

from __future__ import annotations

import json
import resource
import socket
import sys
import threading
import zlib
from contextlib import closing, suppress

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"
JSON, SSE = HEAD % b"application/json", HEAD % b"text/event-stream"
BLOCK = b"x" * 2**16
ZEROS = bytes(2**24)


def chunked(data):
    """Return data as one chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def packed():
    """Yield compressed data that decompresses to endless zeros."""
    pack = zlib.compressobj(9, wbits=31)
    while True:
        yield pack.compress(ZEROS) + pack.flush(zlib.Z_SYNC_FLUSH)


def forever(start, block):
    """Yield a start, then a block endlessly."""
    yield start
    while True:
        yield block


def bomb(start):
    """Yield a head, then an endless compressed body."""
    yield start + b"content-encoding: gzip\r\n\r\n"
    yield from packed()


ANSWERS = {
    "a body": lambda: forever(JSON + b'\r\n{"a": "', BLOCK),
    "a body in chunks": lambda: forever(JSON + b"transfer-encoding: chunked\r\n\r\n", chunked(BLOCK)),
    "an event": lambda: forever(SSE + b"\r\ndata: ", BLOCK),
    "lines of an event": lambda: forever(SSE + b"\r\n", b"data: x\n" * 2**13),
    "comments": lambda: forever(SSE + b"\r\n", b": x\n\n" * 2**13),
    "blank lines": lambda: forever(SSE + b"\r\n", b"\n" * 2**16),
    "small events": lambda: forever(SSE + b"\r\n", b"data: {}\n\n" * 2**12),
    "an array": lambda: forever(JSON + b"\r\n[{}", b",{}" * 2**14),
    "an element": lambda: forever(JSON + b'\r\n[{"a": [', b"{}," * 2**14),
    "a bomb": lambda: bomb(JSON),
    "a bomb of events": lambda: bomb(SSE),
    "an error": lambda: forever(JSON.replace(b"200", b"500") + b"\r\n", BLOCK),
    "a compressed error": lambda: bomb(JSON.replace(b"200", b"400")),
    "a header": lambda: forever(JSON + b"x-more: ", BLOCK),
    "headers": lambda: forever(JSON, b"x-more: x\r\n" * 2**12),
    "a status line": lambda: forever(b"HTTP/1.1 200 ", BLOCK),
    "interim answers": lambda: forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2**10),
    "the size of a chunk": lambda: forever(JSON + b"transfer-encoding: chunked\r\n\r\n1;", BLOCK),
    "trailers": lambda: forever(JSON + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x-more: x\r\n" * 2**12),
}


def answer(connection):
    """Send the endless answer that the model's name selects, as fast as it is read."""
    with suppress(OSError), connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        number = int(received.partition(b"/models/endless-")[2].partition(b":")[0])
        for data in list(ANSWERS.values())[number]():
            connection.sendall(data)


def serve():
    """Serve endless answers on loopback; return the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def main(sdk, timeout_s, port):
    """Request each endless answer in each mode, and print how the call ended."""
    from conftest import KEY, MODES, Caller

    from kickai_gemini.settings import GeminiSettings

    call = Caller(GeminiSettings(base_url=f"http://127.0.0.1:{port}", api_key=KEY, client=sdk))
    with closing(call.provider):
        for number, name in enumerate(ANSWERS):
            for mode in MODES:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                ended = call(mode, timeout_s=timeout_s, model=f"endless-{number}")
                grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
                print(json.dumps([name, mode, type(ended.error).__name__, ended.elapsed_s, grown]), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        print(serve(), flush=True)
        threading.Event().wait()
    else:
        main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
