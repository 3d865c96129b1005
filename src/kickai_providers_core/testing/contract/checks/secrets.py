"""The key is only in a request's headers, and neither the prompt nor the answer is in errors or logs."""

from __future__ import annotations

import io
import logging
import pickle
import tempfile
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from kickai_providers_core.testing.contract.helpers.constants import KEY, MODES, PROMPT
from kickai_providers_core.testing.contract.helpers.leaks import find_key_leaks
from kickai_providers_core.testing.contract.helpers.parameters import format_id, in_each_mode, in_each_stream
from kickai_providers_core.testing.contract.helpers.requirements import require_key, require_stream
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.contract.helpers.vendor import get_module_name
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
    from pathlib import Path

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome
    from kickai_providers_core.testing.faults import Fault

__all__ = ["SecretTests"]

ANSWER = "canary-answer: nobody can"
FAULTS: tuple[Fault, ...] = (Status(401, "auth"), Status(500, "unavailable"), Reset(), Malformed(), NotHttp())

with_each_fault = pytest.mark.parametrize("fault", FAULTS, ids=format_id)


class SecretTests(ProviderSpec):
    """The key is not found anywhere else, and the prompt and the answer are not in errors."""

    @in_each_mode
    def test_the_key_is_in_no_url(self, harness: ProviderHarness, mode: Mode) -> None:
        """The URL of a request, which proxies log, does not contain the key."""
        require_key(harness)
        harness.attempt(mode)
        assert harness.server.requests, "the provider sent no request"
        for request in harness.server.requests:
            assert KEY.reveal() not in request.path, "the key is in the URL: send it in a header"

    @in_each_mode
    def test_the_key_is_in_no_body(self, harness: ProviderHarness, mode: Mode) -> None:
        """The body of a request does not contain the key."""
        require_key(harness)
        harness.attempt(mode)
        assert harness.server.requests, "the provider sent no request"
        for request in harness.server.requests:
            assert KEY.reveal().encode() not in request.body, "the key is in the body: send it in a header"

    @in_each_mode
    def test_the_key_follows_no_redirect(self, harness: ProviderHarness, mode: Mode) -> None:
        """The key is not sent to another address after a redirect."""
        require_key(harness)
        with FaultServer(harness.server.wire) as elsewhere:
            harness.attempt(mode, Redirect(f"{elsewhere.url}/elsewhere"))
            sent = " ".join(f"{request.path} {request.headers} {request.body!r}" for request in elsewhere.requests)
        assert KEY.reveal() not in sent, "the key was sent to another address: do not follow redirects"

    def test_validating_online_follows_no_redirect(self, harness: ProviderHarness) -> None:
        """Online validation does not send the key to another address after a redirect."""
        require_key(harness)
        with FaultServer(harness.server.wire) as elsewhere:
            harness.server.default = Redirect(f"{elsewhere.url}/elsewhere")
            list(harness.hook.kickai_validate_provider(settings=harness.settings, online=True) or ())
            sent = " ".join(f"{request.path} {request.headers}" for request in elsewhere.requests)
        assert KEY.reveal() not in sent, "online validation sent the key to another address: do not follow redirects"

    def test_the_key_is_in_no_repr(self, harness: ProviderHarness) -> None:
        """The reprs of the settings, the provider and the provider's attributes do not contain the key."""
        require_key(harness)
        harness.attempt("invoke")
        values = {"the settings": harness.settings, "the provider": harness.provider}
        values |= {f"provider.{name}": value for name, value in getattr(harness.provider, "__dict__", {}).items()}
        for name, value in values.items():
            assert KEY.reveal() not in f"{value!r} {value}", f"the repr of {name} contains the key: keep it in a Secret"

    def test_the_key_is_in_no_problem(self, harness: ProviderHarness) -> None:
        """The problems that validation returns do not contain the key."""
        require_key(harness)
        problems = harness.hook.kickai_validate_provider(settings=harness.settings, online=False) or ()
        assert KEY.reveal() not in " ".join(map(repr, problems)), "a Problem contains the key"

    def test_the_key_is_in_no_file(
        self, harness: ProviderHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Calls write the key to no file, neither a temporary one nor one of the user."""
        require_key(harness)
        for name in (
            "TMPDIR",
            "TEMP",
            "TMP",
            "HOME",
            "USERPROFILE",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "XDG_STATE_HOME",
        ):
            monkeypatch.setenv(name, str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        for mode in MODES:
            harness.attempt(mode, is_new=True)
        files = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.reveal().encode() in path.read_bytes()]
        assert not files, f"the key is in the file {files[0].name}: keep it in memory"

    def test_the_key_is_in_no_pickle(self, harness: ProviderHarness) -> None:
        """Pickles of the settings and the provider do not contain the key."""
        require_key(harness)
        for value in (harness.settings, harness.provider):
            try:
                data = pickle.dumps(value)
            except Exception:  # noqa: BLE001, S112 - what cannot be pickled cannot contain the key
                continue
            assert KEY.reveal().encode() not in data, f"a pickled {type(value).__name__} contains the key"

    @in_each_mode
    @with_each_fault
    def test_the_key_is_in_no_error(self, harness: ProviderHarness, mode: Mode, fault: Fault) -> None:
        """Neither an error, nor its traceback with local variables, nor its causes contain the key."""
        _check_error(harness, harness.attempt(mode, fault))

    @in_each_mode
    def test_the_key_is_in_no_connection_error(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error of a refused connection does not contain the key, although the request was ready to be sent."""
        _check_error(harness, harness.attempt_at(mode, f"http://127.0.0.1:{closed_port()}"))

    @in_each_mode
    def test_the_key_is_in_no_timeout_error(self, harness: ProviderHarness, mode: Mode) -> None:
        """The error of a timeout does not contain the key."""
        _check_error(harness, harness.attempt(mode, Silence(), timeout_s=self.patience_s, as_core=True))

    @in_each_stream
    @pytest.mark.parametrize("fault", [Cut(1), ErrorPiece(1)], ids=format_id)
    def test_the_key_is_in_no_stream_error(self, harness: ProviderHarness, mode: Mode, fault: Fault) -> None:
        """The error of a stream that breaks in the middle does not contain the key."""
        require_stream(harness, mode)
        _check_error(harness, harness.attempt(mode, fault))

    @in_each_mode
    @with_each_fault
    def test_nothing_secret_is_logged(self, harness: ProviderHarness, mode: Mode, fault: Fault) -> None:
        """No log record of any level, and nothing printed, contains the key or the prompt."""
        with _capture_logs(self.plugin) as lines:
            harness.attempt(mode, fault)
            harness.attempt(mode)
            text = "\n".join([*lines, lines.printed])
            assert PROMPT not in text, "the prompt is logged or printed"
            error = harness.attempt(mode, fault).raises(ProviderError)
            logger.opt(exception=error).error("A provider failed")
            text = "\n".join([*lines, lines.printed])
        assert KEY.reveal() not in text, "the key is logged or printed"

    @in_each_mode
    @with_each_fault
    def test_the_prompt_and_the_answer_are_in_no_error(
        self, harness: ProviderHarness, mode: Mode, fault: Fault
    ) -> None:
        """No error contains the prompt or the service's answer."""
        server = harness.server
        server.default = Ok(ANSWER)
        body = f'{{"error": "{ANSWER} {PROMPT}", "message": "{ANSWER} {PROMPT}"'.encode()
        fault = Malformed(body) if isinstance(fault, Malformed) else fault
        error = harness.attempt(mode, fault).raises(ProviderError)
        for text in (str(error), repr(error), repr(error.args), error.message):
            assert PROMPT not in text, f"the error contains the prompt: {text}"
            assert ANSWER not in text, f"the error contains the service's answer: {text}"


def _check_error(harness: ProviderHarness, outcome: CallOutcome) -> None:
    """Look for the key wherever an error can show it."""
    require_key(harness)
    leaks = find_key_leaks(outcome.raises(ProviderError))
    assert not leaks, f"the key is in the error's {' and '.join(leaks)}"


class _Lines(list[str]):
    """Log lines, and what was printed at the same time."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def printed(self) -> str:
        return self.stream.getvalue()


@contextmanager
def _capture_logs(plugin: object) -> Iterator[_Lines]:
    """Collect the records of loguru and `logging` at every level, with local variables, and what is printed."""
    lines = _Lines()
    package = get_module_name(plugin).partition(".")[0]
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


class _Handler(logging.Handler):
    """Formats every record into a list."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(0)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
