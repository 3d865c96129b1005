"""That the key goes into a request's headers and nowhere else, and that a user's words stay out of errors and logs."""

from __future__ import annotations

import io
import logging
import pickle
import sys
import traceback
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from kickai_providers_core.testing.contract.givens import KEY, MODES, PROMPT, id_of
from kickai_providers_core.testing.contract.needs import need_key, need_stream
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.testing.faults import (
    Cut,
    ErrorPiece,
    FaultServer,
    Malformed,
    NotHttp,
    Ok,
    Redirect,
    Reset,
    Silence,
    Status,
    closed_port,
)
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.outcome import Outcome
    from kickai_providers_core.testing.contract.subject import Subject
    from kickai_providers_core.testing.faults import Fault

__all__ = ["Secrecy"]

ANSWER = "canary-answer: nobody can"
FAULTS: tuple[Fault, ...] = (Status(401, "auth"), Status(500, "unavailable"), Reset(), Malformed(), NotHttp())

in_each_mode = pytest.mark.parametrize("mode", MODES)
of_each_fault = pytest.mark.parametrize("fault", FAULTS, ids=id_of)


class Secrecy(Supplied):
    """A canary key is found nowhere."""

    @in_each_mode
    def test_the_key_is_in_no_url(self, subject: Subject, mode: Mode) -> None:
        """The address of a request, which every proxy logs, does not hold the key."""
        need_key(subject)
        subject.attempt(mode)
        assert subject.server.requests, "no request was made"
        assert all(KEY.reveal() not in request.path for request in subject.server.requests)

    @in_each_mode
    def test_the_key_is_in_no_body(self, subject: Subject, mode: Mode) -> None:
        """The body of a request does not hold the key."""
        need_key(subject)
        subject.attempt(mode)
        assert subject.server.requests, "no request was made"
        assert all(KEY.reveal().encode() not in request.body for request in subject.server.requests)

    @in_each_mode
    def test_the_key_follows_no_redirect(self, subject: Subject, mode: Mode) -> None:
        """A redirect to another address does not take the key along."""
        need_key(subject)
        with FaultServer(subject.server.wire) as elsewhere:
            subject.attempt(mode, Redirect(f"{elsewhere.url}/elsewhere"))
            told = " ".join(f"{request.path} {request.headers} {request.body!r}" for request in elsewhere.requests)
        assert KEY.reveal() not in told, "the key went to another address"

    def test_the_key_is_in_no_repr(self, subject: Subject) -> None:
        """Neither the settings nor the provider, nor what it holds, show the key."""
        need_key(subject)
        subject.attempt("invoke")
        shown = [repr(subject.settings), str(subject.settings), repr(subject.provider), str(subject.provider)]
        shown += [repr(value) for value in getattr(subject.provider, "__dict__", {}).values()]
        assert all(KEY.reveal() not in text for text in shown)

    def test_the_key_is_in_no_problem(self, subject: Subject) -> None:
        """What validation says does not hold the key."""
        need_key(subject)
        problems = subject.hook.kickai_validate_provider(settings=subject.settings, online=False) or ()
        assert KEY.reveal() not in " ".join(map(repr, problems))

    def test_the_key_is_in_no_pickle(self, subject: Subject) -> None:
        """Neither the settings nor the provider can be pickled with the key in it."""
        need_key(subject)
        for value in (subject.settings, subject.provider):
            try:
                data = pickle.dumps(value)
            except Exception:  # noqa: BLE001, S112 - whatever cannot be pickled holds no key
                continue
            assert KEY.reveal().encode() not in data

    @in_each_mode
    @of_each_fault
    def test_the_key_is_in_no_error(self, subject: Subject, mode: Mode, fault: Fault) -> None:
        """Neither an error, nor its traceback with local variables, nor its causes show the key."""
        _check_error(subject, subject.attempt(mode, fault))

    @in_each_mode
    def test_the_key_is_in_no_refusals_error(self, subject: Subject, mode: Mode) -> None:
        """The same of a connection that is refused, when the request with its headers is still in somebody's hands."""
        _check_error(subject, subject.attempt_at(mode, f"http://127.0.0.1:{closed_port()}"))

    @in_each_mode
    def test_the_key_is_in_no_timeouts_error(self, subject: Subject, mode: Mode) -> None:
        """The same of an error that a timeout ends with."""
        _check_error(subject, subject.attempt(mode, Silence(), timeout_s=self.patience_s, as_core=True))

    @pytest.mark.parametrize("mode", ["stream", "astream"])
    @pytest.mark.parametrize("fault", [Cut(1), ErrorPiece(1)], ids=id_of)
    def test_the_key_is_in_no_streams_error(self, subject: Subject, mode: Mode, fault: Fault) -> None:
        """The same of a stream that breaks half-way."""
        need_stream(subject, mode)
        _check_error(subject, subject.attempt(mode, fault))

    @in_each_mode
    @of_each_fault
    def test_nothing_secret_is_logged(self, subject: Subject, mode: Mode, fault: Fault) -> None:
        """With every logger at its most talkative no log line, and nothing printed, holds the key or the prompt."""
        with _overheard(self.plugin) as lines:
            subject.attempt(mode, fault)
            subject.attempt(mode)
            told = "\n".join([*lines, lines.printed])
            assert PROMPT not in told, "the prompt is logged"
            error = subject.attempt(mode, fault).raises(ProviderError)
            logger.opt(exception=error).error("A provider failed")
            told = "\n".join([*lines, lines.printed])
        assert KEY.reveal() not in told, "the key is logged"

    @in_each_mode
    @of_each_fault
    def test_the_users_words_are_in_no_error(self, subject: Subject, mode: Mode, fault: Fault) -> None:
        """No error holds the prompt, or what the service answered."""
        server = subject.server
        server.default = Ok(ANSWER)
        body = f'{{"error": "{ANSWER} {PROMPT}", "message": "{ANSWER} {PROMPT}"'.encode()
        fault = Malformed(body) if isinstance(fault, Malformed) else fault
        error = subject.attempt(mode, fault).raises(ProviderError)
        for text in (str(error), repr(error), repr(error.args), error.message):
            assert PROMPT not in text, "the prompt is in the error"
            assert ANSWER not in text, "the service's answer is in the error"


def _check_error(subject: Subject, outcome: Outcome) -> None:
    """Look for the key in all that can be shown of an error."""
    need_key(subject)
    error = outcome.raises(ProviderError)
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = {
        "message": str(error),
        "repr": repr(error),
        "fields": repr(vars(error)),
        "traceback": "".join(trace.format()),
    }
    for where, text in shown.items():
        assert KEY.reveal() not in text, f"the key is in the error's {where}"


class _Lines(list[str]):
    """Log lines, and whatever was printed meanwhile."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def printed(self) -> str:
        return self.stream.getvalue()


@contextmanager
def _overheard(plugin: object) -> Iterator[_Lines]:
    """Collect what loguru and `logging` are told, at every level and with diagnosis, and what is printed."""
    lines = _Lines()
    package = _package_of(plugin)
    root = logging.getLogger()
    level, handler = root.level, _Handler(lines)
    sink = logger.add(lambda line: lines.append(str(line)), level=0, diagnose=True, backtrace=True, catch=False)
    logger.enable(package)
    root.addHandler(handler)
    root.setLevel(0)
    try:
        with redirect_stdout(lines.stream), redirect_stderr(lines.stream):
            yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        logger.disable(package)
        logger.remove(sink)


def _package_of(plugin: object) -> str:
    module = plugin.__name__ if isinstance(plugin, type(sys)) else type(plugin).__module__
    return module.partition(".")[0]


class _Handler(logging.Handler):
    """Formats every record into a list."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(0)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
