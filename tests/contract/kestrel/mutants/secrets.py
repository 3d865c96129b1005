"""Mutants that leak the key."""

from __future__ import annotations

import tempfile
from pathlib import Path

from attrs import evolve
from loguru import logger

from kestrel.client import Client
from kestrel.mutants.registry import mutant
from kickai_providers_core.values import errors


@mutant("test_the_key_is_in_no_url")
class SendsKeyInUrl(Client):
    """Sends the key in the URL too."""

    def path(self):
        """Return a path with the key."""
        return f"{super().path()}?key={self.settings.key.reveal()}"


@mutant("test_the_key_is_in_no_body")
class SendsKeyInBody(Client):
    """Sends the key in the body too."""

    def build_payload(self, request, *, live):
        """Return a body with the key."""
        return {**super().build_payload(request, live=live), "key": self.settings.key.reveal()}


@mutant("test_the_key_is_sent", "test_instances_share_nothing")
class SendsNoKey(Client):
    """Does not send its key."""

    def headers(self):
        """Return headers without the key."""
        return ["content-type: application/json", "connection: close"]


@mutant("test_nothing_secret_is_logged")
class LogsItsHeaders(Client):
    """Logs the headers that it sends."""

    def headers(self):
        """Log the headers."""
        headers = super().headers()
        logger.debug("Asking with {}", headers)
        return headers


@mutant(
    "test_the_key_is_in_no_error",
    "test_the_key_is_in_no_connection_error",
    "test_the_key_is_in_no_stream_error",
    "test_the_key_is_in_no_timeout_error",
)
class KeepsKeyInVariable(Client):
    """Keeps the headers in a local variable while errors pass through."""

    def receive(self, request, timeout_s, *, live, head=None):
        """Keep the key in a local variable."""
        headers = self.headers()
        yield from super().receive(request, timeout_s, live=live, head=head)
        del headers


@mutant(
    "test_the_key_is_in_no_repr",
    "test_the_key_is_in_no_error",
    "test_the_key_is_in_no_connection_error",
    "test_the_key_is_in_no_stream_error",
    "test_the_key_is_in_no_timeout_error",
)
class ShowsKeyInRepr(Client):
    """Shows its key in its repr."""

    def __repr__(self):
        return f"Client({self.settings.key.reveal()})"


@mutant("test_the_key_follows_no_redirect")
class FollowsRedirects(Client):
    """Follows redirects to other addresses, and sends the key there."""

    def build_error(self, status, headers, body):
        """Call the address in the redirect."""
        place = headers.get("location", "")
        if place.startswith("http://"):
            from kickai_providers_core.values.requests import ChatRequest

            Client(evolve(self.settings, url=place)).invoke(ChatRequest.of("again"), 1.0)
        return super().build_error(status, headers, body)


@mutant("test_the_prompt_and_the_answer_are_in_no_error")
class QuotesTheService(Client):
    """Puts the service's response into its errors."""

    def parse_reply(self, body):
        """Raise an error with the body."""
        try:
            return super().parse_reply(body)
        except errors.InvalidReplyError:
            raise errors.InvalidReplyError(f"cannot read {body!r}") from None


@mutant("test_the_key_is_in_no_file")
class WritesTheKeyToAFile(Client):
    """Leaves the key in a temporary file."""

    def __init__(self, settings):
        super().__init__(settings)
        if settings.key:
            Path(tempfile.gettempdir(), "kestrel.cfg").write_text(settings.key.reveal())
