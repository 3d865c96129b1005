"""The HTTP client: one connection for each request, sync and async."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from contextlib import closing
from urllib.parse import urlsplit

from attrs import evolve

from kestrel import mapping
from kestrel.http import Incoming
from kickai_providers_core.values.errors import InvalidReplyError, ProviderTimeoutError, ProviderUnavailableError

PATH = "/v1/answers"


class Timeouts:
    """The timeouts of one call, and the phase that it is in."""

    def __init__(self, settings, timeout_s, *, live):
        self.settings = settings
        self.ends = time.monotonic() + timeout_s
        self.phase = "connect"
        self.began = time.monotonic()
        self.reached = False
        self.live = live

    def wait_s(self):
        """Return how long to wait from now, in seconds."""
        own = {
            "connect": self.settings.connect_timeout_s,
            "first_token": self.settings.first_token_timeout_s,
            "idle": self.settings.idle_timeout_s,
        }.get(self.phase, float("inf"))
        now = time.monotonic()
        left, own = self.ends - now, self.began + own - now
        if left < own:
            self.phase = "total"
        if min(left, own) <= 0:
            raise self.error()
        return min(left, own)

    def start_phase(self, phase):
        """Start the next phase; once connected, only streams have phases."""
        self.reached, self.began = True, time.monotonic()
        self.phase = phase if self.live else "total"

    def error(self):
        """Return the error for the timeout that has expired."""
        return ProviderTimeoutError(f"timeout ({self.phase})", phase=self.phase)


class Client:
    """One account of the service. Safe to share, since it keeps no state of a call."""

    def __init__(self, settings):
        self.settings = settings
        address = urlsplit(settings.url)
        self.scheme, self.host, self.port = address.scheme, address.hostname, address.port

    # Requests.

    def encode_request(self, request, *, live):
        """Return the bytes of a request."""
        body = json.dumps(self.build_payload(request, live=live)).encode()
        lines = [f"POST {self.path()} HTTP/1.1", f"host: {self.host}", *self.headers(), f"content-length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def path(self):
        """Return the path of requests."""
        return PATH

    def headers(self):
        """Return the headers of every request."""
        return [f"x-kestrel-key: {self.settings.key.reveal()}", "content-type: application/json", "connection: close"]

    def build_payload(self, request, *, live):
        """Return the body of a request."""
        return mapping.build_payload(request, live=live)

    # Responses.

    def parse_reply(self, body):
        """Return the reply in a body."""
        return mapping.parse_reply(body)

    def build_error(self, status, headers, body):
        """Return the error for a response with an error status."""
        error = mapping.build_error(status, headers, body)
        if self.settings.expose_service_messages:
            error.service_message = self.clean_message(mapping.read_message(body))
        return error

    def clean_message(self, message):
        """Return the service's message without the key."""
        return message.replace(self.settings.key.reveal(), "***")

    def parse_event(self, line):
        """Return the chunk in a line of a stream."""
        return mapping.parse_event(mapping.parse_object(line))

    def name_request(self, answer, head):
        """Return a reply or a chunk with the service's id of the request."""
        return evolve(answer, request_id=head.get("x-kestrel-request"))

    def check_end(self, chunk, *, is_empty):
        """Check the last chunk of a stream; None when it had no chunk."""
        if chunk is None or chunk.finish_reason is None:
            raise InvalidReplyError("the stream ended without a finish reason")
        if is_empty:
            raise InvalidReplyError("the answer is empty")

    def build_connection_error(self, timeouts):
        """Return the error for a connection that failed or was lost."""
        return ProviderUnavailableError("the connection was refused or lost", reached=timeouts.reached)

    # Sync.

    def invoke(self, request, timeout_s):
        """Return a whole answer."""
        head = {}
        with closing(self.receive(request, timeout_s, live=False, head=head)) as bodies:
            return self.name_request(self.parse_reply(b"".join(bodies)), head)

    def stream(self, request, timeout_s):
        """Yield the chunks of an answer."""
        lines, chunk, head, is_empty = Lines(), None, {}, True
        with closing(self.receive(request, timeout_s, live=True, head=head)) as bodies:
            for body in bodies:
                for line in lines.feed(body):
                    chunk = self.name_request(self.parse_event(line), head)
                    is_empty = is_empty and not (chunk.text or chunk.tool_calls)
                    yield chunk
        self.check_end(chunk, is_empty=is_empty)

    def receive(self, request, timeout_s, *, live, head=None):
        """Yield the parts of the response's body as they arrive; raise its error if the status is not 200.

        ``head`` gets the headers of the response.
        """
        timeouts, incoming, error_body = Timeouts(self.settings, timeout_s, live=live), Incoming(), b""
        try:
            with self.connect(timeouts) as line:
                timeouts.start_phase("first_token")
                line.sendall(self.encode_request(request, live=live))
                while not incoming.done:
                    line.settimeout(self.wait_s(timeouts))
                    body = incoming.feed(line.recv(65536))
                    if incoming.status == 200:
                        (head if head is not None else {}).update(incoming.headers)
                        if b"\n" in body:  # a whole event; single bytes do not count as progress
                            timeouts.start_phase("idle")
                        yield body
                    error_body += body
        except TimeoutError as error:
            raise (error if isinstance(error, ProviderTimeoutError) else timeouts.error()) from None
        except OSError:
            raise self.build_connection_error(timeouts) from None
        if incoming.status != 200:
            raise self.build_error(incoming.status, incoming.headers, error_body)

    def connect(self, timeouts):
        """Return a new connection."""
        line = socket.create_connection((self.host, self.port), timeouts.wait_s())
        if self.scheme != "https":
            return line
        with closing(line):  # wrapping detaches it; a handshake that fails does not
            return ssl.create_default_context().wrap_socket(line, server_hostname=self.host)

    def wait_s(self, timeouts):
        """Return how long to wait for the next bytes, in seconds."""
        return timeouts.wait_s()

    # Async.

    async def ainvoke(self, request, timeout_s):
        """Return a whole answer."""
        head = {}
        bodies = [body async for body in self.areceive(request, timeout_s, live=False, head=head)]
        return self.name_request(self.parse_reply(b"".join(bodies)), head)

    async def astream(self, request, timeout_s):
        """Yield the chunks of an answer."""
        lines, chunk, head, is_empty = Lines(), None, {}, True
        bodies = self.areceive(request, timeout_s, live=True, head=head)
        try:
            async for body in bodies:
                for line in lines.feed(body):
                    chunk = self.name_request(self.parse_event(line), head)
                    is_empty = is_empty and not (chunk.text or chunk.tool_calls)
                    yield chunk
        finally:
            await bodies.aclose()
        self.check_end(chunk, is_empty=is_empty)

    async def areceive(self, request, timeout_s, *, live, head=None):
        """Yield the parts of the response's body as they arrive; raise its error if the status is not 200."""
        timeouts, incoming, error_body, writer = Timeouts(self.settings, timeout_s, live=live), Incoming(), b"", None
        try:
            async with asyncio.timeout(timeouts.wait_s()):
                reader, writer = await self.aconnect()
            timeouts.start_phase("first_token")
            writer.write(self.encode_request(request, live=live))
            while not incoming.done:
                async with asyncio.timeout(self.wait_s(timeouts)):
                    body = incoming.feed(await reader.read(65536))
                if incoming.status == 200:
                    (head if head is not None else {}).update(incoming.headers)
                    if b"\n" in body:
                        timeouts.start_phase("idle")
                    yield body
                error_body += body
        except TimeoutError as error:
            raise (error if isinstance(error, ProviderTimeoutError) else timeouts.error()) from None
        except OSError:
            raise self.build_connection_error(timeouts) from None
        finally:
            if writer is not None:
                await self.abort(writer)
        if incoming.status != 200:
            raise self.build_error(incoming.status, incoming.headers, error_body)

    async def aconnect(self):
        """Return a new connection's reader and writer."""
        tls = ssl.create_default_context() if self.scheme == "https" else None
        return await asyncio.open_connection(self.host, self.port, ssl=tls)

    async def abort(self, writer):
        """End a connection, and ignore what the service still sends."""
        writer.transport.abort()

    def close(self):
        """Do nothing: no connection is kept."""


class Lines:
    """Splits bytes into lines."""

    def __init__(self):
        self.rest = b""

    def feed(self, data):
        """Return the lines that are complete now."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line for line in lines if line.strip()]
