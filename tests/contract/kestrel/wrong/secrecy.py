"""Providers that cannot keep a key to themselves."""

from __future__ import annotations

from attrs import evolve
from loguru import logger

from kestrel.client import Client
from kestrel.wrong.register import mutant
from kickai_providers_core.values import errors


@mutant("test_the_key_is_in_no_url")
class PutsTheKeyInTheUrl(Client):
    """Sends the key as a parameter of the address too."""

    def path(self):
        """Return an address with the key in it."""
        return f"{super().path()}?key={self.settings.key.reveal()}"


@mutant("test_the_key_is_in_no_body")
class PutsTheKeyInTheBody(Client):
    """Sends the key in the body too."""

    def payload(self, request, *, live):
        """Return a body with the key in it."""
        return {**super().payload(request, live=live), "key": self.settings.key.reveal()}


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
        """Return the headers, and log them."""
        headers = super().headers()
        logger.debug("Asking with {}", headers)
        return headers


@mutant(
    "test_the_key_is_in_no_error",
    "test_the_key_is_in_no_refusals_error",
    "test_the_key_is_in_no_streams_error",
    "test_the_key_is_in_no_timeouts_error",
)
class HoldsTheKeyInAVariable(Client):
    """Keeps the headers in a variable where its errors pass through."""

    def bodies(self, request, timeout_s, *, live):
        """Answer, with the key in a local variable."""
        headers = self.headers()
        yield from super().bodies(request, timeout_s, live=live)
        del headers


@mutant(
    "test_the_key_is_in_no_repr",
    "test_the_key_is_in_no_error",
    "test_the_key_is_in_no_refusals_error",
    "test_the_key_is_in_no_streams_error",
    "test_the_key_is_in_no_timeouts_error",
)
class ShowsTheKey(Client):
    """Shows its key in its repr."""

    def __repr__(self):
        return f"Client({self.settings.key.reveal()})"


@mutant("test_the_key_follows_no_redirect")
class FollowsRedirects(Client):
    """Follows a redirect to wherever it leads, with the key."""

    def refusal(self, status, headers, body):
        """Ask there."""
        place = headers.get("location", "")
        if place.startswith("http://"):
            from kickai_providers_core.values.requests import ChatRequest

            Client(evolve(self.settings, url=place)).ask(ChatRequest.of("again"), 1.0)
        return super().refusal(status, headers, body)


@mutant("test_the_users_words_are_in_no_error")
class QuotesTheService(Client):
    """Puts what the service sent into its errors."""

    def reply(self, body):
        """Quote the body."""
        try:
            return super().reply(body)
        except errors.InvalidReplyError:
            raise errors.InvalidReplyError(f"cannot read {body!r}") from None
