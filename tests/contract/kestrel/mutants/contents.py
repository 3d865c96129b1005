"""Mutants that lose or change a part of the answer."""

from __future__ import annotations

import json
from contextlib import aclosing, closing

from attrs import evolve

from kestrel import mapping
from kestrel.client import Client
from kestrel.mutants.altering import alters_answers, alters_errors
from kestrel.mutants.registry import mutant
from kickai_providers_core.values import errors


@mutant("test_blank_pieces_are_no_end")
class EndsAtBlankPieces(Client):
    """Skips pieces of a stream that are white space."""

    def parse_event(self, line):
        """Drop blank text."""
        chunk = super().parse_event(line)
        return chunk if chunk.text.strip() or chunk.finish_reason else evolve(chunk, text="")


@alters_answers("test_leading_and_trailing_space_arrives")
def strips_text(answer):
    """Strips white space from the text of answers."""
    return evolve(answer, text=answer.text.strip()) if len(answer.text) > len("  pong") else answer


@mutant("test_odd_text_arrives")
class SplitsAtEveryLineSeparator(Client):
    """Splits a stream at all characters that Python takes for the end of a line."""

    def stream(self, request, timeout_s):
        """Read lines."""
        rest, chunk = "", None
        with closing(self.receive(request, timeout_s, live=True)) as bodies:
            for body in bodies:
                *lines, rest = (rest + body.decode(errors="replace")).splitlines(keepends=True) or [""]
                lines, rest = ([*lines, rest], "") if rest.endswith("\n") else (lines, rest)
                for line in lines:
                    if line.strip():
                        chunk = self.parse_event(line.encode())
                        yield chunk
        self.check_end(chunk, is_empty=False)


@alters_answers("test_a_long_answer_arrives")
def cuts_long_answers(answer):
    """Cuts answers of more than 64 kB."""
    return evolve(answer, text=answer.text[:65536])


@mutant("test_a_long_answer_arrives")
class ReadsThousandPieces(Client):
    """Ends a stream after a thousand pieces."""

    async def astream(self, request, timeout_s):
        """Count the pieces."""
        count = 0
        async with aclosing(super().astream(request, timeout_s)) as chunks:
            async for chunk in chunks:
                count += 1
                if count < 1000 or chunk.finish_reason:
                    yield chunk


@alters_answers("test_several_tool_calls_arrive")
def returns_one_call(answer):
    """Returns the first call of a tool only."""
    return evolve(answer, tool_calls=answer.tool_calls[:1])


@alters_answers("test_several_tool_calls_arrive")
def turns_calls_round(answer):
    """Returns the calls in the opposite order."""
    return evolve(answer, tool_calls=answer.tool_calls[::-1])


@alters_answers("test_several_tool_calls_arrive")
def makes_its_own_call_ids(answer):
    """Replaces the service's ids of calls."""
    return evolve(answer, tool_calls=[evolve(call, id=f"call-{n}") for n, call in enumerate(answer.tool_calls)])


@alters_answers("test_several_tool_calls_arrive")
def empties_arguments(answer):
    """Returns calls without their nested arguments."""

    def flatten(call):
        value = json.loads(call.arguments)
        return evolve(call, arguments={name: part for name, part in value.items() if not isinstance(part, dict)})

    return evolve(answer, tool_calls=[flatten(call) for call in answer.tool_calls])


@alters_answers("test_calls_of_the_same_tool_stay_apart")
def merges_calls_by_name(answer):
    """Keeps one call of each tool."""
    return evolve(answer, tool_calls=tuple({call.name: call for call in answer.tool_calls}.values()))


@alters_answers("test_text_and_tool_calls_arrive_together")
def drops_text_of_answers_with_calls(answer):
    """Drops the text of an answer with calls."""
    return evolve(answer, text="") if answer.tool_calls else answer


@alters_answers("test_every_token_count_arrives")
def drops_cached_tokens(answer):
    """Does not count cached tokens."""
    return evolve(answer, usage=answer.usage and evolve(answer.usage, cached_tokens=0))


@alters_answers("test_every_token_count_arrives")
def drops_reasoning_tokens(answer):
    """Does not count reasoning tokens."""
    return evolve(answer, usage=answer.usage and evolve(answer.usage, reasoning_tokens=0))


@mutant("test_the_services_model_is_named")
class EchoesTheModel(Client):
    """Names the model of the request, whichever one answered."""

    def invoke(self, request, timeout_s):
        """Name the request's model."""
        return evolve(super().invoke(request, timeout_s), model=request.model)


@mutant("test_the_request_id_is_kept")
class DropsTheRequestId(Client):
    """Does not read the service's id of the request."""

    def name_request(self, answer, head):
        """Leave the id out."""
        return answer


@alters_errors("test_errors_keep_the_request_id")
def drops_the_request_id_of_errors(error, status, headers, body):
    """Does not read the service's id of a request that failed."""
    error.request_id = None
    return error


@alters_answers("test_reasoning_is_no_answer")
def adds_reasoning_to_the_text(answer):
    """Takes what the model thought for a part of its answer."""
    return evolve(answer, text=answer.reasoning + answer.text, reasoning="")


@alters_answers("test_reasoning_is_no_answer")
def drops_reasoning(answer):
    """Drops what the model thought."""
    return evolve(answer, reasoning="")


class ReadsReasonsItself(Client):
    """Looks the word of the service up by itself."""

    def look_up(self, word):
        """Look it up."""

    def parse_reply(self, body):
        """Look the word up first."""
        value = mapping.parse_object(body)
        if "why" in value:
            self.look_up(value["why"])
        return super().parse_reply(body)


@mutant("test_an_unknown_finish_reason_is_typed")
class RaisesKeyErrorForUnknownReasons(ReadsReasonsItself):
    """Raises KeyError for a finish reason that it does not know."""

    def look_up(self, word):
        """Accept known words, and null."""
        if word is not None:
            mapping.REASONS[word]


@mutant("test_a_null_finish_reason_is_typed")
class RaisesAttributeErrorForNull(ReadsReasonsItself):
    """Raises AttributeError when the finish reason is null."""

    def look_up(self, word):
        """Write the word in small letters."""
        word.lower()


class ReplacesReasons(Client):
    """Replaces the finish reason of a whole answer before it is read."""

    def replace(self, word):
        """Return the word that is read instead."""
        return word

    def parse_reply(self, body):
        """Replace the word."""
        value = mapping.parse_object(body)
        if "why" in value:
            value["why"] = self.replace(value["why"])
        return super().parse_reply(json.dumps(value).encode())


@mutant("test_an_unknown_finish_reason_is_typed")
class TakesUnknownReasonsForStop(ReplacesReasons):
    """Returns an answer whose finish reason it does not know as a whole one."""

    def replace(self, word):
        """Accept every word, but not null."""
        return word if word is None or word in mapping.REASONS else "done"


@mutant("test_a_null_finish_reason_is_typed")
class TakesNullForStop(ReplacesReasons):
    """Returns an answer whose finish reason is null as a whole one."""

    def replace(self, word):
        """Accept null."""
        return "done" if word is None else word


@mutant("test_an_empty_answer_is_no_answer")
class AcceptsEmptyAnswers(Client):
    """Returns a stream without any text as an answer."""

    def check_end(self, chunk, *, is_empty):
        """Accept it."""
        super().check_end(chunk, is_empty=False)


@mutant("test_all_modes_agree")
class OmitsInOneModeOnly(Client):
    """Says in one mode that a field was omitted."""

    async def ainvoke(self, request, timeout_s):
        """Name a field."""
        return evolve(await super().ainvoke(request, timeout_s), omitted=("top_p",))


@alters_errors("test_429_for_spent_credit_is_quota_exhausted")
def reads_spent_credit_as_a_limit(error, status, headers, body):
    """Takes used-up credit for a rate limit when the status is 429."""
    return errors.RateLimitedError("no", status_code=status) if status == 429 else error


@alters_errors("test_every_status_has_its_class")
def reads_529_as_a_bad_request(error, status, headers, body):
    """Takes an overload for a request that is invalid for everyone."""
    return errors.InvalidRequestError("no", status_code=status) if status == 529 else error


@alters_errors("test_every_status_has_its_class")
def reads_409_as_a_refused_key(error, status, headers, body):
    """Takes a conflict for a refused key."""
    return errors.AuthenticationError("no", status_code=status) if status == 409 else error


@alters_errors("test_every_status_has_its_class")
def keeps_usual_statuses_only(error, status, headers, body):
    """Leaves the status out when it is unusual."""
    if status % 100 > 30:
        error.status_code = None
    return error


@alters_errors("test_the_services_words_are_in_no_error")
def quotes_the_services_errors(error, status, headers, body):
    """Puts the words of the service into the messages of its errors."""
    return type(error)(f"{error.message}: {body[:300]!r}", status_code=status, retry_after_s=error.retry_after_s)


@mutant("test_the_services_words_are_in_no_error")
class ChainsTheServicesErrors(Client):
    """Raises its errors from one with the words of the service."""

    def invoke(self, request, timeout_s):
        """Add a cause."""
        try:
            return super().invoke(request, timeout_s)
        except errors.AuthenticationError as error:
            raise error from ValueError(str(self.said))

    def build_error(self, status, headers, body):
        """Keep the words."""
        self.said = body
        return super().build_error(status, headers, body)


@mutant("test_exposed_words_never_hold_the_key")
class ExposesTheKey(Client):
    """Quotes the service as it is when the settings allow quotes."""

    def clean_message(self, message):
        """Leave the key in."""
        return message


@mutant("test_words_are_exposed_on_request")
class HidesTheServicesMessage(Client):
    """Ignores the setting for the service's own messages."""

    def clean_message(self, message):
        """Hide it."""
        return ""


@mutant("test_an_error_within_a_stream_has_its_class")
class ReadsStreamErrorsAsLimits(Client):
    """Takes every error within a stream for a rate limit."""

    def parse_event(self, line):
        """Replace the error."""
        try:
            return super().parse_event(line)
        except errors.ProviderError as error:
            if "problem" not in line.decode(errors="replace"):
                raise
            raise errors.RateLimitedError("slow down", status_code=error.status_code) from None


@mutant("test_words_within_a_stream_are_in_no_error")
class QuotesStreamErrors(Client):
    """Quotes an error that comes within a stream."""

    def parse_event(self, line):
        """Quote the line."""
        try:
            return super().parse_event(line)
        except errors.ProviderError:
            raise errors.ProviderUnavailableError(f"the stream failed: {line[:300]!r}") from None


@mutant("test_a_service_that_was_reached_is_reported_as_such")
class NeverSaysReached(Client):
    """Reports every lost connection as one that was never made."""

    def build_connection_error(self, timeouts):
        """Say so."""
        return errors.ProviderUnavailableError("the connection was refused or lost", reached=False)
