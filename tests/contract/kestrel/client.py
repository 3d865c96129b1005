"""The wire: one connection for each request, its timeouts held to the millisecond, sync and async."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from contextlib import closing
from urllib.parse import urlsplit

from kestrel import mapping
from kestrel.http import Incoming
from kickai_providers_core.values.errors import InvalidReplyError, ProviderTimeoutError, ProviderUnavailableError

PATH = "/v1/answers"


class Patience:
    """How long to wait for the next bytes, and what it is called when that is over."""

    def __init__(self, settings, timeout_s, *, live):
        self.settings = settings
        self.ends = time.monotonic() + timeout_s
        self.phase = "connect"
        self.began = time.monotonic()
        self.reached = False
        self.live = live

    def wait_s(self):
        """Return the seconds to wait from now."""
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

    def went_on(self, phase):
        """Go on to the next phase; only streams have any once connected."""
        self.reached, self.began = True, time.monotonic()
        self.phase = phase if self.live else "total"

    def error(self):
        """Return the error of the wait that was too long."""
        return ProviderTimeoutError(f"the service took too long ({self.phase})", phase=self.phase)


class Client:
    """One account of the service. Safe to share: nothing of a call is kept in it."""

    def __init__(self, settings):
        self.settings = settings
        address = urlsplit(settings.url)
        self.scheme, self.host, self.port = address.scheme, address.hostname, address.port

    # What is sent.

    def message(self, request, *, live):
        """Return the bytes of a request."""
        body = json.dumps(self.payload(request, live=live)).encode()
        lines = [f"POST {self.path()} HTTP/1.1", f"host: {self.host}", *self.headers(), f"content-length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def path(self):
        """Return where requests go."""
        return PATH

    def headers(self):
        """Return the headers that every request has."""
        return [f"x-kestrel-key: {self.settings.key.reveal()}", "content-type: application/json", "connection: close"]

    def payload(self, request, *, live):
        """Return the body of a request."""
        return mapping.payload(request, live=live)

    # What comes back.

    def reply(self, body):
        """Return the answer that a body holds."""
        return mapping.reply(body)

    def refusal(self, status, headers, body):
        """Return the error that an answer stands for which is no success."""
        return mapping.refusal(status, headers, body)

    def event(self, line):
        """Return the chunk that a line of a stream holds."""
        return mapping.event(mapping.read(line))

    def ended(self, chunk):
        """See a stream to its end, after its last chunk or none."""
        if chunk is None or chunk.finish_reason is None:
            raise InvalidReplyError("the stream ended before the service said why")

    def lost(self, patience):
        """Return the error of a connection that broke, or that could not be made."""
        return ProviderUnavailableError("the connection was refused or lost", reached=patience.reached)

    # Sync.

    def ask(self, request, timeout_s):
        """Return a whole answer."""
        with closing(self.bodies(request, timeout_s, live=False)) as bodies:
            return self.reply(b"".join(bodies))

    def stream(self, request, timeout_s):
        """Yield the chunks of an answer."""
        lines, chunk = Lines(), None
        with closing(self.bodies(request, timeout_s, live=True)) as bodies:
            for body in bodies:
                for line in lines.feed(body):
                    chunk = self.event(line)
                    yield chunk
        self.ended(chunk)

    def bodies(self, request, timeout_s, *, live):
        """Yield the parts of an answer's body as they come; raise what it stands for if it is no success."""
        patience, incoming, refused = Patience(self.settings, timeout_s, live=live), Incoming(), b""
        try:
            with self.connect(patience) as line:
                patience.went_on("first_token")
                line.sendall(self.message(request, live=live))
                while not incoming.done:
                    line.settimeout(self.wait_s(patience))
                    body = incoming.feed(line.recv(65536))
                    if incoming.status == 200:
                        if b"\n" in body:  # a whole event; its bytes one by one are no sign of life
                            patience.went_on("idle")
                        yield body
                    refused += body
        except TimeoutError as error:
            raise (error if isinstance(error, ProviderTimeoutError) else patience.error()) from None
        except OSError:
            raise self.lost(patience) from None
        if incoming.status != 200:
            raise self.refusal(incoming.status, incoming.headers, refused)

    def connect(self, patience):
        """Return a new connection."""
        line = socket.create_connection((self.host, self.port), patience.wait_s())
        if self.scheme != "https":
            return line
        with closing(line):  # wrapping detaches it; a handshake that fails does not
            return ssl.create_default_context().wrap_socket(line, server_hostname=self.host)

    def wait_s(self, patience):
        """Return how long to wait for the next bytes, seconds."""
        return patience.wait_s()

    # Async.

    async def aask(self, request, timeout_s):
        """Return a whole answer."""
        return self.reply(b"".join([body async for body in self.abodies(request, timeout_s, live=False)]))

    async def astream(self, request, timeout_s):
        """Yield the chunks of an answer."""
        lines, chunk = Lines(), None
        bodies = self.abodies(request, timeout_s, live=True)
        try:
            async for body in bodies:
                for line in lines.feed(body):
                    chunk = self.event(line)
                    yield chunk
        finally:
            await bodies.aclose()
        self.ended(chunk)

    async def abodies(self, request, timeout_s, *, live):
        """Yield the parts of an answer's body as they come; raise what it stands for if it is no success."""
        patience, incoming, refused, writer = Patience(self.settings, timeout_s, live=live), Incoming(), b"", None
        try:
            async with asyncio.timeout(patience.wait_s()):
                reader, writer = await self.aconnect()
            patience.went_on("first_token")
            writer.write(self.message(request, live=live))
            while not incoming.done:
                async with asyncio.timeout(self.wait_s(patience)):
                    body = incoming.feed(await reader.read(65536))
                if incoming.status == 200:
                    if b"\n" in body:
                        patience.went_on("idle")
                    yield body
                refused += body
        except TimeoutError as error:
            raise (error if isinstance(error, ProviderTimeoutError) else patience.error()) from None
        except OSError:
            raise self.lost(patience) from None
        finally:
            if writer is not None:
                await self.hang_up(writer)
        if incoming.status != 200:
            raise self.refusal(incoming.status, incoming.headers, refused)

    async def aconnect(self):
        """Return a new connection's reader and writer."""
        tls = ssl.create_default_context() if self.scheme == "https" else None
        return await asyncio.open_connection(self.host, self.port, ssl=tls)

    async def hang_up(self, writer):
        """End a connection; what the other side still sends is of no interest."""
        writer.transport.abort()

    def close(self):
        """Free what is held: nothing."""


class Lines:
    """Cuts what comes into lines."""

    def __init__(self):
        self.rest = b""

    def feed(self, data):
        """Return the lines that are whole now."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line for line in lines if line.strip()]
