"""A fast service of the Chat Completions protocol: ``python upstream.py``. It prints its port.

The model says what it does: ``instant``, ``delay-MS`` answers after that time, ``chunks-N`` streams N chunks, and
``stall`` sends one chunk and then nothing.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "bench",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Anna and Ben can play."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15},
}
BODY = json.dumps(ANSWER).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    """Return one event of a stream, as a chunk of HTTP."""
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


WORD = event({"content": "Anna "})
FIRST = event({"role": "assistant", "content": ""})
END = event({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n" + LAST


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
            )
            request = json.loads(await reader.readexactly(length))
            kind, _, number = request["model"].partition("-")
            if kind == "delay":
                await asyncio.sleep(int(number) / 1000)
            if not request.get("stream"):
                writer.write(WHOLE)
            elif kind == "stall":
                writer.write(HEAD + FIRST + WORD)
                await asyncio.sleep(600)
            else:
                writer.write(HEAD + FIRST)
                for _ in range(int(number) if kind == "chunks" else 10):
                    writer.write(WORD)
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(END)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
