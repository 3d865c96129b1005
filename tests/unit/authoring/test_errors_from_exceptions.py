"""What clients really raise, over real sockets, and the error that it becomes."""

import errno
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from types import ModuleType

import pytest

from kickai_providers_core.authoring import error_for_exception, system_cause
from kickai_providers_core.values.errors import (
    InvalidReplyError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    UnusableProviderError,
)

CLIENTS = ["httpx", "httpx2", "requests", "urllib3"]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"


def fetch(name: str, url: str, **options: object) -> object:
    """Read an address with one of the clients, as a stream, within a second for each step."""
    client: ModuleType = pytest.importorskip(name)
    if name == "requests":
        return client.get(url, timeout=1, **options).content
    if name == "urllib3":
        with client.PoolManager(retries=False, **options) as pool:
            return pool.request("GET", url, timeout=1.0).data
    with client.Client(timeout=1.0, trust_env=False, **options) as session:
        return session.get(url).content


@contextmanager
def server(behave: Callable[[socket.socket], object]) -> Iterator[int]:
    """Run a server that does one thing with each connection, and give its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                with suppress(OSError):
                    behave(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def failure(call: Callable[[], object]) -> BaseException:
    """Return what a call raises."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        call()
    return caught.value


def unused_port() -> int:
    """Return a port without a listener."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def answer(wire: bytes) -> Callable[[socket.socket], object]:
    """Return a behaviour: read a request, send bytes, close the connection."""

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(wire)

    return behave


@pytest.mark.parametrize("client", CLIENTS)
def test_a_refused_connection(client: str) -> None:
    """The service was not reached; the cause is the operating system's error alone."""
    url = f"http://127.0.0.1:{unused_port()}/secret?key=secret"
    error = error_for_exception(failure(lambda: fetch(client, url)), url=url)
    assert type(error) is ProviderUnavailableError
    assert not error.reached
    assert "Connection refused" in str(error)
    assert "secret" not in str(error)
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.__traceback__ is None


@pytest.mark.parametrize("client", CLIENTS)
def test_an_unknown_host(client: str) -> None:
    """A host that does not exist was not reached."""
    error = error_for_exception(failure(lambda: fetch(client, "http://nowhere.invalid/")))
    assert type(error) is ProviderUnavailableError
    assert not error.reached


@pytest.mark.parametrize("client", CLIENTS)
def test_a_tls_handshake_with_a_server_that_has_none(client: str) -> None:
    """A failed handshake means that the service was not reached, not that it is not trusted."""
    with server(answer(b"HTTP/1.1 400 no\r\n\r\n")) as port:
        error = error_for_exception(failure(lambda: fetch(client, f"https://127.0.0.1:{port}/")))
    assert type(error) is ProviderUnavailableError
    assert not error.reached


@pytest.mark.parametrize("client", CLIENTS)
def test_a_read_that_takes_too_long(client: str) -> None:
    """It is a timeout of the phase that was running."""
    done = threading.Event()
    with server(lambda _: done.wait(20)) as port:
        raised = failure(lambda: fetch(client, f"http://127.0.0.1:{port}/"))
        done.set()
    for phase in ("first_token", "idle", "total"):
        error = error_for_exception(raised, phase=phase)
        assert type(error) is ProviderTimeoutError
        assert error.phase == phase


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("wire", [b"", b"no such protocol\r\n\r\n"])
def test_a_server_that_closes_the_connection(client: str, wire: bytes) -> None:
    """A connection that breaks before an answer means that the service was reached and is unavailable."""
    with server(answer(wire)) as port:
        error = error_for_exception(failure(lambda: fetch(client, f"http://127.0.0.1:{port}/")))
    assert type(error) is ProviderUnavailableError
    assert error.reached


@pytest.mark.parametrize("client", CLIENTS)
def test_an_answer_that_is_cut(client: str) -> None:
    """A connection that breaks within an answer is an invalid reply."""
    with server(answer(HEAD + b"part")) as port:
        exc = failure(lambda: fetch(client, f"http://127.0.0.1:{port}/"))
    assert type(error_for_exception(exc, has_begun=True)) is InvalidReplyError


@pytest.mark.parametrize("client", CLIENTS)
def test_a_body_that_cannot_be_decompressed(client: str) -> None:
    """A body that is not compressed as its header says is an invalid reply."""
    wire = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\noops"
    with server(answer(wire)) as port:
        exc = failure(lambda: fetch(client, f"http://127.0.0.1:{port}/"))
    assert type(error_for_exception(exc, has_begun=True)) is InvalidReplyError


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
def test_a_proxy_that_refuses(client: str) -> None:
    """When a proxy refuses, the service was not reached."""
    with server(answer(b"HTTP/1.1 403 no\r\ncontent-length: 0\r\n\r\n")) as port:
        exc = failure(lambda: fetch(client, "https://example.invalid/", proxy=f"http://127.0.0.1:{port}"))
    error = error_for_exception(exc)
    assert type(error) is ProviderUnavailableError
    assert not error.reached
    assert "proxy" in str(error)


@pytest.mark.parametrize(
    ("variables", "options", "what"),
    [
        ({"HTTPS_PROXY": "socks5://127.0.0.1:9"}, {"proxy": "socks5://127.0.0.1:9"}, "socksio"),
        ({"HTTPS_PROXY": "nonsense://x"}, {"proxy": "nonsense://x"}, "HTTPS_PROXY"),
    ],
)
def test_variables_that_cannot_be_used(variables: dict[str, str], options: dict[str, object], what: str) -> None:
    """The error names the variable, and does not count as an outage of the service."""
    exc = failure(lambda: fetch("httpx", "https://127.0.0.1:9/", **options))
    if isinstance(exc, ValueError):
        pytest.skip("this version refuses the scheme with a plain ValueError")
    error = error_for_exception(exc, url="https://127.0.0.1:9/", environ=variables)
    assert type(error) is UnusableProviderError
    assert what in str(error)


def test_the_variables_of_requests() -> None:
    """A missing bundle and a missing package for SOCKS are faults of this machine."""
    for options, variables, what in (
        ({"verify": "/nowhere"}, {"REQUESTS_CA_BUNDLE": "/nowhere"}, "REQUESTS_CA_BUNDLE"),
        ({"proxies": {"https": "socks5://x:1"}}, {"https_proxy": "socks5://x:1"}, "PySocks"),
    ):
        exc = failure(lambda options=options: fetch("requests", "https://127.0.0.1:9/", **options))
        error = error_for_exception(exc, client="requests", environ=variables)
        assert type(error) is UnusableProviderError
        assert what in str(error)


def _untrusted() -> ssl.SSLCertVerificationError:
    exc = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    exc.verify_message = "self-signed certificate"
    return exc


def test_a_missing_file_of_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that cannot load the certificates of ``SSL_CERT_FILE`` names that variable."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    exc = failure(import_module("httpx").create_ssl_context)
    error = error_for_exception(exc)
    assert type(error) is UnusableProviderError
    assert "SSL_CERT_FILE" in str(error)
    assert "/nowhere/ca.pem" in str(error)


def _behind(module: str, name: str, reason: BaseException) -> BaseException:
    exc = getattr(import_module(module), name)("failed")
    exc.__cause__ = reason
    return exc


@pytest.mark.parametrize(
    ("exc", "what"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.ENFILE, "Too many open files"), "ulimit -n"),
        (_behind("httpx", "ConnectError", OSError(errno.EMFILE, "x")), "ulimit -n"),
        (_untrusted(), "self-signed certificate"),
        (ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED"), "not trusted"),
        (_behind("httpx", "ConnectError", _untrusted()), "not trusted at https://example.org"),
        (_behind("httpx2", "ConnectError", _untrusted()), "SSL_CERT_FILE"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/nowhere/key.pem"), "/nowhere/key.pem"),
        (PermissionError(errno.EACCES, "Denied", "/root/key.pem"), "/root/key.pem"),
        (ImportError("no", name="socksio"), "socksio"),
        (import_module("httpx").InvalidURL("x"), "check the settings"),
        (import_module("httpx").LocalProtocolError("secret header"), "check the settings"),
    ],
)
def test_faults_of_this_machine(exc: BaseException, what: str) -> None:
    """The error says what to do, and does not count as an outage of the service."""
    error = error_for_exception(exc, url="https://user:secret@example.org/secret", environ={})
    assert type(error) is UnusableProviderError
    assert what in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("exc", "phase", "kind"),
    [
        (import_module("httpx").ConnectTimeout("x"), "connect", ProviderTimeoutError),
        (import_module("httpx2").PoolTimeout("x"), "connect", ProviderTimeoutError),
        (import_module("requests").ConnectTimeout("x"), "connect", ProviderTimeoutError),
        (_behind("httpx", "ConnectError", TimeoutError(errno.ETIMEDOUT, "x")), "connect", ProviderTimeoutError),
        (TimeoutError(), "idle", ProviderTimeoutError),
        (TimeoutError(errno.ETIMEDOUT, "x"), None, ProviderUnavailableError),
        (ConnectionResetError(errno.ECONNRESET, "x"), None, ProviderUnavailableError),
        (OSError(errno.EHOSTUNREACH, "x"), None, ProviderUnavailableError),
        (RuntimeError("secret"), None, ProviderUnavailableError),
        (ExceptionGroup("g", [OSError(errno.ENETUNREACH, "x")]), None, ProviderUnavailableError),
    ],
)
def test_other_exceptions(exc: BaseException, phase: str | None, kind: type[ProviderError]) -> None:
    """Each exception has its error; an unknown one is named by its class alone."""
    error = error_for_exception(exc, phase="idle")
    assert type(error) is kind
    assert getattr(error, "phase", None) == phase
    assert "secret" not in str(error)


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
async def test_a_handshake_that_takes_too_long_in_an_event_loop(client: str) -> None:
    """It is a timeout of connecting; the errors by which asyncio waits are not mistaken for faults."""
    module = import_module(client)
    done = threading.Event()
    with server(lambda _: done.wait(20)) as port:
        async with module.AsyncClient(timeout=0.3, trust_env=False) as session:
            try:
                await session.get(f"https://127.0.0.1:{port}/")
            except module.HTTPError as exc:
                error = error_for_exception(exc)
        done.set()
    assert type(error) is ProviderTimeoutError
    assert error.phase == "connect"


@pytest.mark.parametrize("exc", [ssl.SSLWantReadError(2, "x"), ssl.SSLWantWriteError(3, "x"), BlockingIOError(11, "x")])
def test_errors_that_only_mean_wait_are_not_faults(exc: OSError) -> None:
    """Behind a timeout such an error is neither a fault nor the cause."""
    late = TimeoutError()
    late.__context__ = exc
    error = error_for_exception(late)
    assert type(error) is ProviderTimeoutError
    assert error.__cause__ is None


@pytest.mark.parametrize("code", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED, errno.EADDRNOTAVAIL])
def test_numbers_of_the_system_for_unreached_hosts(code: int) -> None:
    """They mean that the service was not reached, whatever the class and the message."""
    error = error_for_exception(OSError(code, "other words"), url="http://[::1]:11434/x")
    assert isinstance(error, ProviderUnavailableError)
    assert not error.reached
    assert "http://[::1]:11434" in str(error)
    assert "other words" not in str(error)


def test_a_circle_of_causes() -> None:
    """A circle of causes does no harm, and the exception is not changed."""
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__context__ = second, first
    assert isinstance(error_for_exception(first), ProviderUnavailableError)
    assert first.__cause__ is second
    assert system_cause(first) is None


def test_an_earlier_failure_is_not_this_one() -> None:
    """An error of the core is returned as it is; one that was being handled when another was raised is ignored."""
    limited = RateLimitedError("x")
    assert error_for_exception(limited) is limited
    exc = ValueError("x")
    exc.__context__ = limited
    assert type(error_for_exception(exc)) is ProviderUnavailableError
    refused = RuntimeError("y")
    refused.__context__ = ConnectionRefusedError(errno.ECONNREFUSED, "x")
    refused.__suppress_context__ = True
    assert error_for_exception(refused).reached  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("exc", "kind"),
    [(socket.gaierror(-2, "Name or service not known"), socket.gaierror), (ssl.SSLError(1, "x"), ssl.SSLError)],
)
def test_the_cause_is_a_copy_without_frames(exc: OSError, kind: type[OSError]) -> None:
    """It is of the same class."""
    exc.__context__ = RuntimeError("secret")
    cause = system_cause(exc)
    assert type(cause) is kind
    assert cause is not exc
    assert cause.__context__ is None


@pytest.mark.parametrize("url", ["", "http://[", "not a url", "http://h:99999/"])
def test_an_invalid_address(url: str) -> None:
    """It is left out of the message."""
    assert str(error_for_exception(TimeoutError(), url=url)) == "no answer in time"


def test_no_more_threads() -> None:
    """A thread that cannot be started is a fault of this machine, not of the service."""
    error = error_for_exception(RuntimeError("can't start new thread"))
    assert type(error) is UnusableProviderError
    assert "threads" in error.message
