"""A service that cannot be reached, closes the connection, or responds with something that is not an answer."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.helpers.parameters import format_id, in_each_mode
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import (
    CloseEarly,
    EmptyBody,
    HugeBody,
    Malformed,
    NotHttp,
    RedirectLoop,
    Reset,
    ShortBody,
    Status,
    WrongContentType,
    WrongShape,
    closed_port,
    no_tls,
)
from kickai_providers_core.values.errors import InvalidReplyError, ProviderError, ProviderUnavailableError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.faults import Fault

__all__ = ["BrokenServiceTests"]

UNREADABLE = {
    "half": b'{"half": [',
    "no-utf-8": b"\xff\xfe",
    "null": b"null",
    "list": b"[]",
    "text": b'"text"',
    "number": b"7",
    "deep": b"[" * 100_000,
}
"""Bodies without an answer: some are not JSON, and the last one is nested too deeply for Python's parser."""


class BrokenServiceTests(ProviderSpec):
    """Every failure becomes a `ProviderError`, and the next call works."""

    @in_each_mode
    def test_a_refused_connection_is_unavailable(self, harness: ProviderHarness, mode: Mode) -> None:
        """A refused connection is a `ProviderUnavailableError`."""
        harness.attempt_at(mode, f"http://127.0.0.1:{closed_port()}").raises(ProviderUnavailableError)

    @in_each_mode
    @pytest.mark.parametrize("how", ["refused", "unknown host", "no TLS"])
    def test_a_service_that_was_not_reached_is_reported_as_such(
        self, harness: ProviderHarness, mode: Mode, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The error has ``reached=False`` when no connection was made, so that the provider's breaker counts it."""
        if how == "no TLS" and not self.speaks_tls:
            pytest.skip("not applicable: speaks_tls is False")
        _make_host_unknown(monkeypatch, "service.invalid")
        with no_tls() as plain:
            url = {
                "refused": f"http://127.0.0.1:{closed_port()}",
                "unknown host": f"http://service.invalid:{plain}",
                "no TLS": f"https://127.0.0.1:{plain}",
            }[how]
            error = harness.attempt_at(mode, url).raises(ProviderUnavailableError)
        assert not error.reached, f"expected reached=False when no connection can be made ({how}), got True: {error}"

    @in_each_mode
    def test_a_service_that_failed_was_reached(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error of a server error has ``reached=True``."""
        error = harness.attempt(mode, Status(500, "unavailable")).raises(ProviderUnavailableError)
        assert error.reached, f"expected reached=True when the service answered, got False: {error}"

    @in_each_mode
    @pytest.mark.parametrize("fault", [Reset(), CloseEarly()], ids=format_id)
    def test_a_connection_lost_before_the_answer_is_unavailable(
        self, harness: ProviderHarness, mode: Mode, fault: Fault
    ) -> None:
        """A connection that is closed or reset before the answer is a failure of the service."""
        harness.attempt(mode, fault).raises(ProviderUnavailableError, InvalidReplyError)

    @in_each_mode
    @pytest.mark.parametrize("fault", [Reset(10_000), CloseEarly(10_000), ShortBody()], ids=format_id)
    def test_a_truncated_answer_is_no_answer(self, harness: ProviderHarness, mode: Mode, fault: Fault) -> None:
        """A truncated answer is an error."""
        harness.attempt(mode, fault).raises(InvalidReplyError, ProviderUnavailableError)

    @in_each_mode
    @pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
    def test_a_malformed_body_is_an_invalid_reply(self, harness: ProviderHarness, mode: Mode, body: bytes) -> None:
        """Status 200 with an unreadable body is an `InvalidReplyError`."""
        harness.attempt(mode, Malformed(body)).raises(InvalidReplyError)

    @in_each_mode
    def test_an_empty_body_is_an_invalid_reply(self, harness: ProviderHarness, mode: Mode) -> None:
        """Status 200 without a body is an `InvalidReplyError`."""
        harness.attempt(mode, EmptyBody()).raises(InvalidReplyError)

    @in_each_mode
    def test_a_wrong_content_type_is_an_invalid_reply(self, harness: ProviderHarness, mode: Mode) -> None:
        """A login page with status 200 is an `InvalidReplyError`."""
        harness.attempt(mode, WrongContentType()).raises(InvalidReplyError)

    @in_each_mode
    @pytest.mark.parametrize("value", [{}, {"unexpected": True}, [{}], {"error": "down"}], ids=str)
    def test_a_wrong_shape_is_an_invalid_reply(self, harness: ProviderHarness, mode: Mode, value: object) -> None:
        """Status 200 with other JSON is an `InvalidReplyError`, or unavailable when the JSON reports an error."""
        kinds = (InvalidReplyError, ProviderUnavailableError) if "error" in str(value) else (InvalidReplyError,)
        harness.attempt(mode, WrongShape(value)).raises(*kinds)

    @in_each_mode
    def test_another_protocol_is_typed(self, harness: ProviderHarness, mode: Mode) -> None:
        """A port that speaks another protocol is a failure of the service."""
        harness.attempt(mode, NotHttp()).raises(ProviderUnavailableError, InvalidReplyError)

    @in_each_mode
    def test_a_redirect_loop_is_typed(self, harness: ProviderHarness, mode: Mode) -> None:
        """Endless redirects are a failure of the service."""
        harness.attempt(mode, RedirectLoop()).raises(ProviderUnavailableError, InvalidReplyError)

    @in_each_mode
    def test_a_huge_body_is_typed(self, harness: ProviderHarness, mode: Mode) -> None:
        """A body of many megabytes that is not an answer is a failure of the service."""
        harness.attempt(mode, HugeBody()).raises(InvalidReplyError, ProviderUnavailableError)

    @in_each_mode
    @pytest.mark.parametrize(
        "fault", [Status(503, "unavailable"), Reset(), Reset(10_000), Malformed(), NotHttp()], ids=format_id
    )
    def test_the_next_call_works(self, harness: ProviderHarness, mode: Mode, fault: Fault) -> None:
        """The next call of the same provider, on the same thread and event loop, works after a failure."""
        first, second = harness.attempt_twice(mode, fault)
        first.raises(ProviderError)
        if self.wire is None and second.raised is not None:
            second.raises(ProviderError)  # settings_for may return settings with which every call fails
            return
        assert second.text == "pong", f"expected 'pong' from the call after the failure, got {second.text!r}"


def _make_host_unknown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the resolver not know a name; the machine's own may take long to say so."""
    resolve = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        if host in {name, name.encode()}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
