"""Every error status, errors within streams, and what an error says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from kickai_providers_core.testing.contract.helpers.constants import KEY, PROMPT
from kickai_providers_core.testing.contract.helpers.json_search import find_leaves
from kickai_providers_core.testing.contract.helpers.parameters import id_of, in_each_mode, in_each_stream
from kickai_providers_core.testing.contract.helpers.requirements import find_key_fields, require_key, require_stream
from kickai_providers_core.testing.contract.helpers.sending import exchange
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import CloseEarly, ErrorPiece, Malformed, Reset, ShortBody, Status, WrongShape
from kickai_providers_core.values import errors
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.faults import Fault

__all__ = ["StatusTests"]

MESSAGE_KEYS = frozenset({"message", "detail", "error", "error_message", "msg"})
"""The names under which services usually send a text for people. A code or a type does not count."""

ABOUT_REQUEST = (errors.UnsupportedRequestError, errors.InvalidRequestError)
OUTAGE = (errors.ProviderUnavailableError, errors.ProviderTimeoutError)
MODEL = errors.ModelNotFoundError

BY_STATUS: dict[int, tuple[type[ProviderError], ...]] = {
    400: (*ABOUT_REQUEST, errors.ContextLengthExceededError),
    401: (errors.AuthenticationError,),
    402: (errors.QuotaExhaustedError,),
    403: (errors.AuthenticationError,),
    404: (MODEL,),
    405: (MODEL, *ABOUT_REQUEST, *OUTAGE),
    407: (errors.UnusableProviderError, *OUTAGE, *ABOUT_REQUEST),
    408: OUTAGE,
    409: OUTAGE,
    410: (MODEL, *ABOUT_REQUEST, *OUTAGE),
    413: (*ABOUT_REQUEST, errors.ContextLengthExceededError),
    414: (*ABOUT_REQUEST, *OUTAGE, errors.ContextLengthExceededError),
    422: ABOUT_REQUEST,
    423: (MODEL, *ABOUT_REQUEST, *OUTAGE),
    424: OUTAGE,
    425: OUTAGE,
    429: (errors.RateLimitedError, errors.QuotaExhaustedError),
    451: (errors.ContentFilteredError, *ABOUT_REQUEST, *OUTAGE),
    501: (*OUTAGE, errors.UnsupportedRequestError),
    503: (*OUTAGE, errors.RateLimitedError),
    529: (*OUTAGE, errors.RateLimitedError),
}
"""What each status may become when the body explains nothing. The guide gives the reasons."""

OTHER_4XX = (*ABOUT_REQUEST, *OUTAGE)
WORDS = "canary-words-of-the-service"

KINDS = {
    "rate_limit": (429, errors.RateLimitedError),
    "quota": (402, errors.QuotaExhaustedError),
    "auth": (401, errors.AuthenticationError),
    "context_length": (400, errors.ContextLengthExceededError),
    "content_filter": (400, errors.ContentFilteredError),
    "unavailable": (503, errors.ProviderUnavailableError),
}


class StatusTests(ProviderSpec):
    """An error of the service keeps what the core needs, and repeats nothing that the service said."""

    @in_each_mode
    def test_every_status_has_its_class(self, harness: ProviderHarness, mode: Mode) -> None:
        """Each status from 400 to 599 that nothing explains becomes an error of a class that fits, with the status."""
        harness.server  # skips the test without a wire  # noqa: B018
        wrong = []
        for code in range(400, 600):
            error = harness.attempt(mode, Status(code, body=b"{}")).raises(ProviderError)
            expected = BY_STATUS.get(code, OUTAGE if code >= 500 else OTHER_4XX)
            # The class itself: an AuthenticationError is an UnusableProviderError too.
            if type(error) not in expected or error.status_code != code:
                names = " or ".join(kind.__name__ for kind in expected)
                wrong.append(f"{code}: expected {names}, got {type(error).__name__} (status_code {error.status_code})")
        failed = [line for line in wrong if line.partition(":")[0] not in self._unsaid()]
        assert not failed, "\n".join(failed)

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 401, 404, 429, 500])
    def test_the_services_words_are_in_no_error(self, harness: ProviderHarness, mode: Mode, code: int) -> None:
        """Neither the words of the service nor the prompt, which it may repeat, are in an error or its causes."""
        exchange(harness, mode)
        said = _with_words(harness, code)
        error = harness.attempt(mode, Status(code, body=said)).raises(ProviderError)
        _check_words(error)

    @in_each_mode
    def test_exposed_words_never_hold_the_key(self, harness: ProviderHarness, mode: Mode) -> None:
        """With ``expose_service_messages`` an error may quote the service, but not where it repeats the key."""
        exchange(harness, mode)
        said = _with_words(harness, 500, f" {KEY.reveal()}")
        quiet = harness.attempt(mode, Status(500, body=said)).raises(ProviderError)
        assert not quiet.service_message, "service_message is set without expose_service_messages"
        error = harness.attempt(mode, Status(500, body=said), expose_service_messages=True).raises(ProviderError)
        for part, text in _parts_of(error).items():
            assert KEY.reveal() not in text, f"the {part} contains the key, which the service repeated: remove it"

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 500])
    def test_words_are_exposed_on_request(self, harness: ProviderHarness, mode: Mode, code: int) -> None:
        """With ``expose_service_messages`` the error has the service's own message, if its errors have one."""
        exchange(harness, mode)
        said = _with_words(harness, code)
        if not any(leaf.key in MESSAGE_KEYS and WORDS in str(leaf.value) for leaf in find_leaves(json.loads(said))):
            pytest.skip("not applicable: the service's errors have no message")
        error = harness.attempt(mode, Status(code, body=said), expose_service_messages=True).raises(ProviderError)
        assert WORDS in error.service_message, (
            f"expose_service_messages is set, but service_message is {error.service_message!r}, not the message in "
            f"{said.decode()}"
        )

    @in_each_stream
    @pytest.mark.parametrize("kind", KINDS)
    def test_an_error_within_a_stream_has_its_class(self, harness: ProviderHarness, mode: Mode, kind: str) -> None:
        """An error that the service reports within a stream has the class of that error, or is a failed answer."""
        require_stream(harness, mode)
        if kind in self.never_says:
            pytest.skip(f"not applicable: never_says contains {kind}")
        code, expected = KINDS[kind]
        error = harness.attempt(mode, ErrorPiece(1, kind, code)).raises(
            expected, errors.ProviderUnavailableError, errors.InvalidReplyError
        )
        _check_words(error)

    @in_each_stream
    def test_words_within_a_stream_are_in_no_error(self, harness: ProviderHarness, mode: Mode) -> None:
        """The words of an error within a stream are in no error."""
        require_stream(harness, mode)
        exchange(harness, mode)
        _check_words(harness.attempt(mode, ErrorPiece(1, body=_with_words(harness, 503))).raises(ProviderError))

    @in_each_mode
    @pytest.mark.parametrize("fault", [Reset(), CloseEarly(10_000), ShortBody(), Malformed(), WrongShape()], ids=id_of)
    def test_a_service_that_was_reached_is_reported_as_such(
        self, harness: ProviderHarness, mode: Mode, fault: Fault
    ) -> None:
        """The error of a connection that was made and lost has ``reached=True``."""
        harness.server  # skips the test without a wire  # noqa: B018
        error = harness.attempt(mode, fault).raises(ProviderError)
        reached = getattr(error, "reached", True)
        assert reached, f"expected reached=True, since the service was connected ({id_of(fault)}), got False: {error}"

    @pytest.mark.parametrize("code", [401, 403])
    def test_validating_online_finds_a_refused_key(self, harness: ProviderHarness, code: int) -> None:
        """Online validation that calls the service reports a key that the service refuses, without showing it."""
        require_key(harness)
        harness.server.default = Status(code, "auth")
        problems = _validate(harness)
        if not harness.server.requests:
            pytest.skip("not applicable: online validation does not call the service")
        assert any(problem.severity == "error" for problem in problems), (
            f"the service answered {code} to online validation, which returned {[*map(str, problems)]}: "
            "return a Problem of severity error"
        )

    @pytest.mark.parametrize("code", [500, 503])
    def test_validating_online_blames_no_key_for_an_outage(self, harness: ProviderHarness, code: int) -> None:
        """Online validation does not report a key as refused when the service is out of order."""
        require_key(harness)
        harness.server.default = Status(code, "unavailable")
        blamed = [
            each for each in _validate(harness) if each.path in find_key_fields(harness) and each.severity == "error"
        ]
        assert not blamed, f"the service answered {code}, but validation blames the key: {[*map(str, blamed)]}"

    def test_validating_online_shows_no_key(self, harness: ProviderHarness) -> None:
        """Online validation sends the key in headers only, and shows neither it nor the words of the service."""
        require_key(harness)
        for fault in (None, Status(401, "auth"), Status(500, body=_with_key())):
            if fault is not None:
                harness.server.default = fault
            shown = " ".join(f"{problem!r} {problem}" for problem in _validate(harness))
            assert KEY.reveal() not in shown, f"a Problem of online validation contains the key ({fault})"
            assert WORDS not in shown, f"a Problem of online validation repeats the service's words: {shown}"
        for request in harness.server.requests:
            assert KEY.reveal() not in request.path, "online validation sent the key in the URL"
            assert KEY.reveal().encode() not in request.body, "online validation sent the key in the body"

    def _unsaid(self) -> set[str]:
        """Return the statuses of kinds of error that the service does not have."""
        statuses = {
            "auth": ("401", "403"),
            "quota": ("402",),
            "model_not_found": ("404",),
            "rate_limit": ("429",),
        }
        return {code for kind in self.never_says for code in statuses.get(kind, ())}


def _validate(harness: ProviderHarness) -> list[errors.Problem]:
    settings = evolve(
        harness.settings, timeout_s=harness.spec.patience_s + 1, connect_timeout_s=harness.spec.patience_s + 1
    )
    return list(harness.hook.kickai_validate_provider(settings=settings, online=True) or ())


def _with_key() -> bytes:
    return json.dumps({"error": {"message": f"{WORDS} {KEY.reveal()}"}}).encode()


def _with_words(harness: ProviderHarness, code: int, more: str = "") -> bytes:
    """Return the service's own error body, with words that repeat the prompt after each of its texts."""
    body = harness.server.wire.error(harness.server.requests[-1], code, "").body
    return json.dumps(_add_words(json.loads(body), f" {WORDS} {PROMPT}{more}")).encode()


def _add_words(value: Any, words: str) -> Any:
    if isinstance(value, dict):
        return {key: _add_words(child, words) for key, child in value.items()}
    if isinstance(value, list):
        return [_add_words(child, words) for child in value]
    return f"{value}{words}" if isinstance(value, str) else value


def _check_words(error: BaseException) -> None:
    """Look for the words of the service, and for the prompt, in an error, its fields, and the errors behind it."""
    seen: BaseException | None = error
    while seen is not None:
        for part, text in _parts_of(seen).items():
            assert WORDS not in text, f"the {part} of {type(seen).__name__} contains the service's words: {text}"
            assert PROMPT not in text, f"the {part} of {type(seen).__name__} contains the prompt: {text}"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _parts_of(error: BaseException) -> dict[str, str]:
    return {"message": str(error), "repr": repr(error), "args": repr(error.args), "fields": repr(vars(error))}
