"""Wrong providers, each different from the good one in one thing, and the test that is meant to find it.

A mutant is a `Client` or a `KestrelPlugin` with a method of its own. ``found_by`` names the test that is there for its
fault, ``also`` those that cannot but see it too.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import suppress
from typing import ClassVar

from attrs import evolve, frozen
from loguru import logger

from kestrel import eager, mapping
from kestrel.client import Client, Patience
from kestrel.plugin import KestrelPlugin
from kickai_providers_core import errors
from kickai_providers_core.hookspecs import hookimpl
from kickai_providers_core.messages import FinishReason, Reply, ReplyChunk


@frozen
class Mutant:
    """One wrong provider.

    Attributes:
        name: Its class's name.
        fault: What is wrong with it.
        kind: The class.
        plugin: The plugin.
        found_by: The test that is meant to find it.
        also: Tests that find it as well.
    """

    name: str
    fault: str
    kind: type
    plugin: object
    found_by: str
    also: frozenset[str] = frozenset()


MUTANTS: dict[str, Mutant] = {}


def mutant(found_by, *also):
    """Enter a class among the mutants."""

    def enter(kind, plugin=None):
        if issubclass(kind, Client):
            plugin = KestrelPlugin()
            plugin.client = kind
        plugin = plugin or kind()
        MUTANTS[kind.__name__] = Mutant(kind.__name__, kind.__doc__.strip(), kind, plugin, found_by, frozenset(also))
        return kind

    return enter


mutant("test_discovery_imports_no_vendor")(eager.EagerPlugin, eager.plugin)

# What comes back.


@mutant("test_an_empty_body_is_an_invalid_reply")
class ReturnsNone(Client):
    """Returns None for an answer without a body."""

    def reply(self, body):
        """Return nothing for nothing."""
        return super().reply(body) if body else None


@mutant("test_a_wrong_shape_is_an_invalid_reply")
class LeaksKeyError(Client):
    """Lets a KeyError through when the answer's JSON has another shape."""

    def reply(self, body):
        """Take it for granted that the text is there."""
        mapping.read(body)["says"]
        return super().reply(body)


@mutant("test_a_malformed_body_is_an_invalid_reply")
class LeaksRecursionError(Client):
    """Lets a RecursionError of the JSON parser through."""

    def reply(self, body):
        """Parse once more, and catch what one thinks of."""
        with suppress(ValueError):
            json.loads(body)
        return super().reply(body)


@mutant("test_usage_is_counted")
class ForgetsUsage(Client):
    """Drops the token counts of a stream."""

    def event(self, line):
        """Leave the usage out."""
        return evolve(super().event(line), usage=None)


@mutant("test_finish_reason_is_length")
class MistakesTheEnd(Client):
    """Takes an answer that ran into its limit for one that the model ended."""

    def reply(self, body):
        """Return an answer that always ended well."""
        reply = super().reply(body)
        return evolve(reply, finish_reason=FinishReason.STOP) if reply.finish_reason is FinishReason.LENGTH else reply


@mutant("test_finish_reason_is_content_filter")
class HidesTheFilter(Client):
    """Passes a withheld answer off as a whole one."""

    def reply(self, body):
        """Return an answer that was never withheld."""
        reply = super().reply(body)
        withheld = reply.finish_reason is FinishReason.CONTENT_FILTER
        return evolve(reply, finish_reason=FinishReason.STOP) if withheld else reply


@mutant("test_the_model_is_named")
class NamesNoModel(Client):
    """Does not say which model answered."""

    def reply(self, body):
        """Leave the model out."""
        return evolve(super().reply(body), model="")


@mutant("test_the_cores_fields_are_left_alone")
class FillsInTheProvider(Client):
    """Fills in what the core fills in."""

    def reply(self, body):
        """Name the provider."""
        return evolve(super().reply(body), provider="kestrel")


@mutant("test_answers_pickle")
class UnpicklableReply(Client):
    """Hands out a reply that holds a lock."""

    def reply(self, body):
        """Return a reply of a class of its own."""

        class OwnReply(Reply):
            pass

        reply = super().reply(body)
        return OwnReply(
            text=reply.text,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            model=reply.model,
            tool_calls=reply.tool_calls,
        )


@mutant("test_text_of_any_language_arrives")
class DecodesPieces(Client):
    """Decodes each packet by itself, and so breaks characters that come in two."""

    async def abodies(self, request, timeout_s, *, live):
        """Replace what cannot be decoded."""
        bodies = super().abodies(request, timeout_s, live=live)
        try:
            async for body in bodies:
                yield body.decode(errors="replace").encode()
        finally:
            await bodies.aclose()


# What is asked.


@mutant("test_the_request_is_not_changed")
class ChangesTheRequest(Client):
    """Moves the stop texts out of the request that it was given."""

    def payload(self, request, *, live):
        """Ask, and change what was asked."""
        asked = super().payload(request, live=live)
        object.__setattr__(request, "stop", ())
        return asked


@mutant("test_fields_are_sent_or_named")
class DropsTheSeed(Client):
    """Leaves the seed out, and does not say so."""

    def payload(self, request, *, live):
        """Ask without the seed."""
        return super().payload(evolve(request, seed=None), live=live)


@mutant("test_the_model_is_asked_for")
class AsksItsOwnModel(Client):
    """Asks for one model, whatever the request names."""

    def payload(self, request, *, live):
        """Ask for the usual model."""
        return super().payload(evolve(request, model="kestrel-1"), live=live)


@mutant("test_the_conversation_keeps_its_order")
class SendsTheLastTurn(Client):
    """Sends the last message alone."""

    def payload(self, request, *, live):
        """Forget the conversation."""
        return super().payload(evolve(request, messages=request.messages[-1:]), live=live)


@mutant("test_any_text_is_sent")
class EncodesStrictly(Client):
    """Lets a UnicodeEncodeError through when the text has a lone surrogate."""

    def payload(self, request, *, live):
        """Encode first."""
        for message in request.messages:
            message.content.encode()
        return super().payload(request, live=live)


@mutant("test_tools_are_offered")
class ForgetsTools(Client):
    """Claims tools, and sends their names alone."""

    def payload(self, request, *, live):
        """Leave the schemas out."""
        asked = super().payload(request, live=live)
        return {**asked, "tools": [{"name": tool["name"]} for tool in asked.get("tools", ())]}


# Refusals.


class Refuses(Client):
    """Takes one status for another error."""

    taken: ClassVar = {}

    def refusal(self, status, headers, body):
        """Return the wrong class."""
        error = super().refusal(status, headers, body)
        kind = self.taken.get(type(error))
        return kind("no", status_code=status, retry_after_s=error.retry_after_s) if kind else error


@mutant("test_429_is_rate_limited")
class TakesLimitsForOutages(Refuses):
    """Takes 429 for an outage."""

    taken: ClassVar = {errors.RateLimitedError: errors.ProviderUnavailableError}


@mutant("test_401_is_an_authentication_error", "test_403_is_an_authentication_error")
class TakesKeysForOutages(Refuses):
    """Takes 401 and 403 for an outage."""

    taken: ClassVar = {errors.AuthenticationError: errors.ProviderUnavailableError}


@mutant("test_404_is_model_not_found")
class TakesModelsForRequests(Refuses):
    """Takes 404 for a wrong request."""

    taken: ClassVar = {errors.ModelNotFoundError: errors.InvalidRequestError}


@mutant("test_402_is_quota_exhausted")
class TakesCreditForLimits(Refuses):
    """Takes 402 for a rate limit."""

    taken: ClassVar = {errors.QuotaExhaustedError: errors.RateLimitedError}


@mutant("test_400_is_an_invalid_request")
class TakesRequestsForOutages(Refuses):
    """Takes 400 for an outage."""

    taken: ClassVar = {errors.InvalidRequestError: errors.ProviderUnavailableError}


@mutant("test_a_long_prompt_is_context_length_exceeded")
class TakesLengthForRequests(Refuses):
    """Takes a prompt that is too long for any wrong request."""

    taken: ClassVar = {errors.ContextLengthExceededError: errors.InvalidRequestError}


@mutant("test_a_withheld_answer_is_content_filtered")
class RoutesRoundRefusals(Refuses):
    """Takes a refusal for any outage, so that another provider would be asked."""

    taken: ClassVar = {errors.ContentFilteredError: errors.ProviderUnavailableError}


@mutant("test_an_error_without_the_vendors_body_is_typed", "test_a_redirect_loop_is_typed")
class ReadsEveryError(Client):
    """Lets a ValueError through when an error's body is no JSON."""

    def refusal(self, status, headers, body):
        """Parse first."""
        json.loads(body)
        return super().refusal(status, headers, body)


@mutant("test_a_retry_after_date_is_kept")
class ReadsSecondsOnly(Client):
    """Drops a Retry-After that is a date."""

    def refusal(self, status, headers, body):
        """Take numbers alone."""
        delay = headers.get("retry-after", "")
        return super().refusal(status, headers if delay.isdecimal() else {}, body)


@mutant("test_retry_after_seconds_are_kept")
class ForgetsTheDelayOfOutages(Client):
    """Drops the Retry-After of a 503."""

    def refusal(self, status, headers, body):
        """Look at it for 429 alone."""
        return super().refusal(status, headers if status == 429 else {}, body)


@mutant("test_errors_pickle")
class UnpicklableError(Client):
    """Hangs a lock on its errors."""

    def refusal(self, status, headers, body):
        """Return an error that cannot go to another process."""
        error = super().refusal(status, headers, body)
        error.lock = threading.Lock()
        return error


# Time.


@mutant("test_a_dripping_body_times_out", "test_slow_headers_time_out")
class RenewsItsPatience(Client):
    """Holds its timeout for each read, and not for the whole."""

    def ask(self, request, timeout_s):
        """Start the clock again with each byte."""
        return RenewsItsPatience._Renewing(self.settings).ask(request, timeout_s)

    class _Renewing(Client):
        def wait_s(self, patience):
            left = patience.wait_s()
            patience.ends += 10
            return left


@mutant("test_the_time_to_connect_has_a_timeout_of_its_own")
class ConnectsForEver(Client):
    """Connects for as long as the whole may take."""

    def connect(self, patience):
        """Return a new connection."""
        patience.phase = "total"
        return super().connect(patience)


@mutant("test_a_slow_first_token_times_out")
class WaitsForTheFirstToken(Client):
    """Waits for the first piece of a stream as long as for the whole."""

    def wait_s(self, patience):
        """Pass over the first phase."""
        if patience.phase == "first_token":
            return patience.ends - time.monotonic()
        return super().wait_s(patience)


@mutant("test_a_stall_times_out")
class WaitsBetweenTokens(Client):
    """Waits for further pieces of a stream as long as for the whole."""

    def wait_s(self, patience):
        """Pass over the last phase."""
        if patience.phase == "idle":
            return max(0.001, patience.ends - time.monotonic())
        return super().wait_s(patience)


@mutant(
    "test_patience_is_respected",
    "test_a_huge_body_is_typed",
    "test_the_loop_is_not_blocked",
    "test_tasks_do_not_wait_for_each_other",
    "test_the_time_to_connect_has_a_timeout_of_its_own",
)
class Impatient(Client):
    """Gives the service a tenth of a second, whatever it is told."""

    def ask(self, request, timeout_s):
        """Hurry."""
        return super().ask(request, min(timeout_s, 0.1))

    async def aask(self, request, timeout_s):
        """Hurry."""
        return await super().aask(request, min(timeout_s, 0.1))


@mutant("test_a_refused_connection_is_unavailable")
class LeaksTheVendorsError(Client):
    """Lets an exception of its vendor's through when nobody listens."""

    def connect(self, patience):
        """Fail as a client of a vendor's does."""
        try:
            return super().connect(patience)
        except ConnectionRefusedError:
            raise RuntimeError("VendorConnectError") from None


# Streams.


@mutant("test_a_stream_without_a_finish_reason_is_no_answer")
class TrustsTheEnd(Client):
    """Takes the end of a stream for the end of the answer."""

    def ended(self, chunk):
        """Be content with any piece."""
        if chunk is None:
            super().ended(chunk)


@mutant(
    "test_a_cut_stream_is_no_answer",
    "test_a_truncated_answer_is_no_answer",
    "test_pieces_come_before_an_error",
    "test_the_key_is_in_no_streams_error",
)
class EndsCutStreams(Client):
    """Ends a stream well when its connection is lost half-way."""

    def stream(self, request, timeout_s):
        """Make do with what came."""
        seen = False
        try:
            for chunk in super().stream(request, timeout_s):
                seen = True
                yield chunk
        except errors.InvalidReplyError as error:
            if not seen or "connection" not in error.message:
                raise
            yield ReplyChunk(finish_reason=FinishReason.STOP)


@mutant("test_a_malformed_event_is_an_invalid_reply")
class SkipsMalformedEvents(Client):
    """Passes over an event that cannot be read."""

    def event(self, line):
        """Make do without it."""
        try:
            mapping.read(line)
        except errors.InvalidReplyError:
            return ReplyChunk()
        return super().event(line)


@mutant(
    "test_an_error_event_is_typed", "test_an_error_event_at_the_start_is_typed", "test_the_key_is_in_no_streams_error"
)
class HearsNoErrors(Client):
    """Lets a KeyError through when an event tells of an error."""

    def event(self, line):
        """Take it for granted that there is text."""
        value = mapping.read(line)
        if "problem" in value:
            value["says"]
        return super().event(line)


@mutant("test_pieces_come_as_they_are_sent", "test_pieces_come_before_an_error", "test_an_abandoned_stream_is_closed")
class HoardsPieces(Client):
    """Hands out a stream when it has all of it."""

    def stream(self, request, timeout_s):
        """Gather first."""
        yield from list(super().stream(request, timeout_s))


@mutant("test_an_abandoned_stream_is_closed")
class KeepsAbandonedStreams(Client):
    """Keeps the connection of a stream that was closed half-way."""

    def __init__(self, settings):
        super().__init__(settings)
        self.kept = []

    def stream(self, request, timeout_s):
        """Hold on to the stream below."""
        chunks = super().stream(request, timeout_s)
        self.kept.append(chunks)
        for chunk in chunks:  # noqa: UP028 - that is the fault
            yield chunk


@mutant("test_streams_come_in_pieces", "test_a_stream_without_a_finish_reason_is_no_answer")
class EndsTwice(Client):
    """States the finish reason with every piece."""

    def event(self, line):
        """Say stop, and go on."""
        chunk = super().event(line)
        return chunk if chunk.finish_reason else evolve(chunk, finish_reason=FinishReason.STOP)


# Sharing.


@mutant(
    "test_the_loop_is_not_blocked",
    "test_tasks_do_not_wait_for_each_other",
    "test_cancelling_frees",
    "test_a_cancelled_call_takes_nothing_from_the_next",
)
class BlocksTheLoop(Client):
    """Makes its sync call on the event loop."""

    async def aask(self, request, timeout_s):
        """Block."""
        return self.ask(request, timeout_s)


@mutant("test_two_loops_at_once_work", "test_threads_share_a_provider")
class BelongsToOneLoop(Client):
    """Keeps a semaphore that belongs to the loop in which it was first waited for."""

    def __init__(self, settings):
        super().__init__(settings)
        self.turns = asyncio.Semaphore(3)

    async def aask(self, request, timeout_s):
        """Wait for a turn."""
        async with self.turns:
            return await super().aask(request, timeout_s)


@mutant(
    "test_a_second_loop_works",
    "test_calls_in_turn_get_their_own_answers",
    "test_threads_share_a_provider",
    "test_nothing_secret_is_logged",
)
class RemembersItsLoops(Client):
    """Keeps what belongs to the first loop, and uses it again in the third."""

    def __init__(self, settings):
        super().__init__(settings)
        self.loops = []

    async def astream(self, request, timeout_s):
        """Refuse a third loop."""
        self.loops.append(asyncio.get_running_loop())
        if len(self.loops) > 2 and self.loops[0].is_closed():
            raise RuntimeError("Event loop is closed")
        async for chunk in super().astream(request, timeout_s):
            yield chunk


@mutant("test_threads_share_a_provider")
class MixesThreadsUp(Client):
    """Keeps the request in the client, where another thread overwrites it."""

    def ask(self, request, timeout_s):
        """Look at the request again a moment later."""
        self.asked = request
        time.sleep(0.005)
        return super().ask(self.asked, timeout_s)


@mutant("test_tasks_share_a_provider", "test_two_loops_at_once_work", "test_threads_share_a_provider")
class MixesTasksUp(Client):
    """Keeps the request in the client, where another task overwrites it."""

    async def aask(self, request, timeout_s):
        """Look at the request again a moment later."""
        self.asked = request
        await asyncio.sleep(0.005)
        return await super().aask(self.asked, timeout_s)


@mutant("test_instances_share_nothing")
class SharesItsSettings(KestrelPlugin):
    """Keeps the settings of all instances in one place."""

    latest = None

    def client(self, settings):
        """Return a client whose settings are those of the newest."""
        client = super().client(settings)
        SharesItsSettings.latest = client
        return client

    @hookimpl
    def kickai_invoke_provider(self, provider, request, timeout_s):
        """Ask the newest client."""
        return SharesItsSettings.latest.ask(request, timeout_s)


# Freeing.


@mutant("test_nothing_is_retried")
class TriesAgain(Client):
    """Asks a second time after an outage."""

    def ask(self, request, timeout_s):
        """Ask, and ask again before giving up."""
        try:
            return super().ask(request, timeout_s)
        except errors.ProviderUnavailableError:
            with suppress(errors.ProviderError):
                super().ask(request, timeout_s)
            raise


@mutant("test_cancelling_frees")
class LeavesACancelledCall(Client):
    """Leaves a call that was cancelled to itself."""

    async def aask(self, request, timeout_s):
        """Go on in a task of its own."""
        self.call = asyncio.ensure_future(super().aask(request, timeout_s))
        return await asyncio.shield(self.call)


HELD_BY_CANCELLING = (
    "test_silence_times_out",
    "test_a_late_answer_times_out",
    "test_slow_headers_time_out",
    "test_a_dripping_body_times_out",
    "test_connecting_times_out",
    "test_the_next_call_works_after_a_timeout",
)
"""Timeouts that the core holds by cancelling."""


@mutant("test_cancelling_frees", *HELD_BY_CANCELLING)
class SwallowsCancellation(Client):
    """Takes a cancellation for an outage."""

    async def aask(self, request, timeout_s):
        """Return an error of its own."""
        try:
            return await super().aask(request, timeout_s)
        except asyncio.CancelledError:
            raise errors.ProviderUnavailableError("cancelled") from None


@mutant(
    "test_cancelling_a_stream_frees",
    *HELD_BY_CANCELLING,
    "test_a_slow_first_token_times_out",
    "test_a_stall_times_out",
    "test_a_stall_ends_with_the_whole_timeout",
    "test_the_key_is_in_no_timeouts_error",
)
class SwallowsAStreamsCancellation(Client):
    """Ends a stream well when it is cancelled."""

    async def astream(self, request, timeout_s):
        """End instead."""
        chunks = super().astream(request, timeout_s)
        with suppress(asyncio.CancelledError):
            async for chunk in chunks:
                yield chunk


@mutant("test_no_thread_is_left")
class LeavesAThread(Client):
    """Starts a thread for each call, and never ends it."""

    def ask(self, request, timeout_s):
        """Ask, and leave somebody waiting."""
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().ask(request, timeout_s)


@mutant("test_no_task_is_left")
class LeavesATask(Client):
    """Starts a task for each call, and never ends it."""

    async def aask(self, request, timeout_s):
        """Ask, and leave a watch behind."""
        self.watch = asyncio.create_task(asyncio.sleep(60))
        return await super().aask(request, timeout_s)


@mutant("test_no_socket_is_left")
class LeavesASocket(Client):
    """Leaves the socket of a refused request to the garbage collector."""

    def refusal(self, status, headers, body):
        """Open one more."""
        socket.socket()
        return super().refusal(status, headers, body)


@mutant("test_closing_frees_connections", "test_aclosing_frees_connections", "test_no_socket_is_left")
class NeverCloses(Client):
    """Keeps connections open for later, and has no later."""

    def __init__(self, settings):
        super().__init__(settings)
        self.idle = []

    def reply(self, body):
        """Answer, and keep a connection."""
        self.idle.append(self.connect(Patience(self.settings, 1.0, live=False)))
        return super().reply(body)


@mutant("test_closing_twice_is_harmless")
class ClosesOnce(Client):
    """Lets an AttributeError through when it is closed again."""

    def close(self):
        """Close what is there."""
        del self.host


@mutant("test_closing_an_unused_provider_is_harmless")
class ClosesWhatItUsed(Client):
    """Lets an AttributeError through when it is closed and was never used."""

    used = None

    def message(self, request, *, live):
        """Note that it was used."""
        self.used = []
        return super().message(request, live=live)

    def close(self):
        """Close what was used."""
        self.used.clear()


@mutant("test_creating_asks_no_network", "test_validating_offline_asks_no_network")
class ConnectsEarly(Client):
    """Connects to the service when it is created."""

    def __init__(self, settings):
        super().__init__(settings)
        with suppress(OSError):
            self.connect(Patience(settings, 0.05, live=False)).close()


# Secrecy.


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


@mutant("test_the_key_is_in_no_error", "test_the_key_is_in_no_streams_error", "test_the_key_is_in_no_timeouts_error")
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
            from kickai_providers_core.messages import ChatRequest

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


# Validation and description.


@mutant("test_a_missing_key_is_a_problem")
class MissesNothing(KestrelPlugin):
    """Finds no fault with a missing key."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Find nothing."""
        return self.asked(settings) if online and settings.key else []


@mutant("test_validating_online_ends_in_problems")
class RaisesOnline(KestrelPlugin):
    """Lets an error through when it validates online."""

    def asked(self, settings):
        """Raise what the service's answer stands for."""
        from kickai_providers_core.messages import ChatRequest

        self.client(settings).ask(ChatRequest.of("ping"), settings.timeout_s)
        return []


@mutant("test_preparing_tells_how_far_it_is")
class PreparesInWords(KestrelPlugin):
    """Tells how far it is in words of its own."""

    @hookimpl
    def kickai_prepare_provider(self, settings, model):
        """Yield text."""
        yield f"{model}: 100 %"


@mutant("test_validating_offline_asks_no_network")
class AlwaysAsks(KestrelPlugin):
    """Asks the service when it validates offline."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Ask."""
        problems = super().kickai_validate_provider(settings, online)
        return problems or self.asked(settings)


@mutant("test_environment_fills_fields")
class FillsNothing(KestrelPlugin):
    """Reads an environment variable into a field that it does not have."""

    info = evolve(KestrelPlugin.info, environment={"KESTREL_API_KEY": "key", "KESTREL_REGION": "region"})


@mutant("test_every_event_is_taken")
class KnowsEveryEvent(KestrelPlugin):
    """Lets a KeyError through for an event that it does not know."""

    @hookimpl
    def kickai_observe(self, event):
        """Look every attribute up."""
        event.attributes()["gen_ai.operation.name"]


@mutant("test_seam_version_is_known")
class ComesFromThePast(KestrelPlugin):
    """Was written for a seam that never was."""

    info = evolve(KestrelPlugin.info, api_version=0)
