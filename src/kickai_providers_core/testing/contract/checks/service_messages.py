"""The service's own words in errors: only where the settings ask for them, and never with the key or the prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.helpers.constants import KEY, PROMPT
from kickai_providers_core.testing.contract.helpers.json_search import find_leaves
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode, in_each_stream
from kickai_providers_core.testing.contract.helpers.requirements import require_stream
from kickai_providers_core.testing.contract.helpers.sending import exchange
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import ErrorPiece, Status
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["WORDS", "ServiceMessageTests", "check_words"]

MESSAGE_KEYS = frozenset({"message", "detail", "error", "error_message", "msg"})
"""The names under which services usually send a text for people. A code or a type does not count."""

WORDS = "canary-words-of-the-service"


class ServiceMessageTests(ProviderSpec):
    """An error repeats nothing that the service said, unless the settings ask for it."""

    @in_each_mode
    @pytest.mark.parametrize("code", [400, 401, 404, 429, 500])
    def test_the_services_words_are_in_no_error(self, harness: ProviderHarness, mode: Mode, code: int) -> None:
        """Neither the words of the service nor the prompt, which it may repeat, are in an error or its causes."""
        exchange(harness, mode)
        said = _with_words(harness, code)
        error = harness.attempt(mode, Status(code, body=said)).raises(ProviderError)
        check_words(error)

    @in_each_mode
    def test_exposed_words_never_hold_the_key(self, harness: ProviderHarness, mode: Mode) -> None:
        """With ``expose_service_messages`` an error may quote the service, but not where it repeats the key."""
        exchange(harness, mode)
        said = _with_words(harness, 500, f" {KEY.reveal()}")
        quiet = harness.attempt(mode, Status(500, body=said)).raises(ProviderError)
        assert not quiet.service_message, "service_message is set without expose_service_messages"
        error = harness.attempt(mode, Status(500, body=said), expose_service_messages=True).raises(ProviderError)
        for part, text in _format_parts(error).items():
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
    def test_words_within_a_stream_are_in_no_error(self, harness: ProviderHarness, mode: Mode) -> None:
        """The words of an error within a stream are in no error."""
        require_stream(harness, mode)
        exchange(harness, mode)
        check_words(harness.attempt(mode, ErrorPiece(1, body=_with_words(harness, 503))).raises(ProviderError))


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


def check_words(error: BaseException) -> None:
    """Look for the words of the service, and for the prompt, in an error, its fields, and the errors behind it."""
    seen: BaseException | None = error
    while seen is not None:
        for part, text in _format_parts(seen).items():
            assert WORDS not in text, f"the {part} of {type(seen).__name__} contains the service's words: {text}"
            assert PROMPT not in text, f"the {part} of {type(seen).__name__} contains the prompt: {text}"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _format_parts(error: BaseException) -> dict[str, str]:
    return {"message": str(error), "repr": repr(error), "args": repr(error.args), "fields": repr(vars(error))}
