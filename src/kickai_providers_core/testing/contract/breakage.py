"""A service that cannot be reached, breaks off, or answers with something else than an answer."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.givens import MODES, id_of
from kickai_providers_core.testing.contract.supplied import Supplied
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
    from kickai_providers_core.testing.contract.subject import Subject
    from kickai_providers_core.testing.faults import Fault

__all__ = ["Breakage"]

UNREADABLE = {
    "half": b'{"half": [',
    "no-utf-8": b"\xff\xfe",
    "null": b"null",
    "list": b"[]",
    "text": b'"text"',
    "number": b"7",
    "deep": b"[" * 100_000,
}
"""Bodies that hold no answer: some are no JSON, and the last one is deeper than Python's parser can follow."""

in_each_mode = pytest.mark.parametrize("mode", MODES)


class Breakage(Supplied):
    """Whatever breaks is told as a typed error, and the next call works."""

    @in_each_mode
    def test_a_refused_connection_is_unavailable(self, subject: Subject, mode: Mode) -> None:
        """With nobody listening the service is out of reach."""
        subject.attempt_at(mode, f"http://127.0.0.1:{closed_port()}").raises(ProviderUnavailableError)

    @in_each_mode
    @pytest.mark.parametrize("how", ["refused", "unknown host", "no TLS"])
    def test_a_service_that_was_not_reached_is_reported_as_such(
        self, subject: Subject, mode: Mode, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An error has ``reached=False`` when no connection could be made, so that the provider's breaker counts it."""
        if how == "no TLS" and not self.speaks_tls:
            pytest.skip("not applicable: the provider speaks plain HTTP only")
        _know_no_host(monkeypatch, "service.invalid")
        with no_tls() as plain:
            url = {
                "refused": f"http://127.0.0.1:{closed_port()}",
                "unknown host": f"http://service.invalid:{plain}",
                "no TLS": f"https://127.0.0.1:{plain}",
            }[how]
            error = subject.attempt_at(mode, url).raises(ProviderUnavailableError)
        assert not error.reached, f"{how}: the error has reached=True: {error}"

    @in_each_mode
    def test_a_service_that_failed_was_reached(self, subject: Subject, mode: Mode) -> None:
        """An answer with a server error comes from a service that was reached."""
        error = subject.attempt(mode, Status(500, "unavailable")).raises(ProviderUnavailableError)
        assert error.reached, f"the service answered, and the error has reached=False: {error}"

    @in_each_mode
    @pytest.mark.parametrize("fault", [Reset(), CloseEarly()], ids=id_of)
    def test_a_connection_lost_before_the_answer_is_unavailable(
        self, subject: Subject, mode: Mode, fault: Fault
    ) -> None:
        """A connection that ends, or is reset, before the answer begins is the service's failure."""
        subject.attempt(mode, fault).raises(ProviderUnavailableError, InvalidReplyError)

    @in_each_mode
    @pytest.mark.parametrize("fault", [Reset(10_000), CloseEarly(10_000), ShortBody()], ids=id_of)
    def test_a_truncated_answer_is_no_answer(self, subject: Subject, mode: Mode, fault: Fault) -> None:
        """An answer that ends half-way never passes for a whole one."""
        subject.attempt(mode, fault).raises(InvalidReplyError, ProviderUnavailableError)

    @in_each_mode
    @pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
    def test_a_malformed_body_is_an_invalid_reply(self, subject: Subject, mode: Mode, body: bytes) -> None:
        """A success whose body cannot be read is no answer."""
        subject.attempt(mode, Malformed(body)).raises(InvalidReplyError)

    @in_each_mode
    def test_an_empty_body_is_an_invalid_reply(self, subject: Subject, mode: Mode) -> None:
        """A success without a body is no answer."""
        subject.attempt(mode, EmptyBody()).raises(InvalidReplyError)

    @in_each_mode
    def test_a_wrong_content_type_is_an_invalid_reply(self, subject: Subject, mode: Mode) -> None:
        """A login page with status 200 is no answer."""
        subject.attempt(mode, WrongContentType()).raises(InvalidReplyError)

    @in_each_mode
    @pytest.mark.parametrize("value", [{}, {"unexpected": True}, [{}], {"error": "down"}], ids=str)
    def test_a_wrong_shape_is_an_invalid_reply(self, subject: Subject, mode: Mode, value: object) -> None:
        """A success with JSON that is no answer is an error; where it tells of one, of any transient kind."""
        kinds = (InvalidReplyError, ProviderUnavailableError) if "error" in str(value) else (InvalidReplyError,)
        subject.attempt(mode, WrongShape(value)).raises(*kinds)

    @in_each_mode
    def test_another_protocol_is_typed(self, subject: Subject, mode: Mode) -> None:
        """A port at which something else speaks is a service that does not work."""
        subject.attempt(mode, NotHttp()).raises(ProviderUnavailableError, InvalidReplyError)

    @in_each_mode
    def test_a_redirect_loop_is_typed(self, subject: Subject, mode: Mode) -> None:
        """Redirects without end end in an error."""
        subject.attempt(mode, RedirectLoop()).raises(ProviderUnavailableError, InvalidReplyError)

    @in_each_mode
    def test_a_huge_body_is_typed(self, subject: Subject, mode: Mode) -> None:
        """A body of many megabytes that is no answer is an error."""
        subject.attempt(mode, HugeBody()).raises(InvalidReplyError, ProviderUnavailableError)

    @in_each_mode
    @pytest.mark.parametrize(
        "fault", [Status(503, "unavailable"), Reset(), Reset(10_000), Malformed(), NotHttp()], ids=id_of
    )
    def test_the_next_call_works(self, subject: Subject, mode: Mode, fault: Fault) -> None:
        """A failure leaves nothing behind in the provider that would spoil the next call."""
        subject.attempt(mode, fault).raises(ProviderError)
        assert subject.attempt(mode).text == "pong"


def _know_no_host(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Answer for one name as a resolver does that does not know it; a real one may take long to say so."""
    resolve = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        if host in {name, name.encode()}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
