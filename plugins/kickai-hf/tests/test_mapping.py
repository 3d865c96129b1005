"""Every exception of the vendor's client, and of what it stands on, becomes an error of the core."""

from __future__ import annotations

import inspect
import json
import pickle
import pkgutil
import ssl
import traceback
from importlib import import_module

import httpcore2
import httpx2
import huggingface_hub
import pytest
from huggingface_hub import errors as hub
from huggingface_hub import inference
from huggingface_hub.utils import hf_raise_for_status
from kickai_providers_core import errors
from kickai_providers_core.provider_settings import ProviderSettings

from kickai_hf.mapping import _RULES, from_exception
from kickai_hf.patience import Patience

ELSEWHERE = {
    # The cache, downloads and uploads.
    "CacheNotFound",
    "CorruptedCacheException",
    "CachedRepoTreeNotFoundError",
    "DryRunError",
    "FileMetadataError",
    "RevisionResolutionError",
    "EntryNotFoundError",
    "LocalEntryNotFoundError",
    "IncompleteSnapshotError",
    "XetDownloadError",
    "FileDuplicationError",
    "HfUriError",
    # Files of models.
    "SafetensorsParsingError",
    "NotASafetensorsRepoError",
    "DDUFError",
    "DDUFCorruptedFileError",
    "DDUFExportError",
    "DDUFInvalidEntryNameError",
    "StrictDataclassError",
    "StrictDataclassDefinitionError",
    "StrictDataclassFieldValidationError",
    "StrictDataclassClassValidationError",
    # Logging in.
    "OIDCError",
    "DeviceCodeError",
    # Managing endpoints, jobs and sandboxes.
    "InferenceEndpointError",
    "InferenceEndpointTimeoutError",
    "SandboxError",
    "SandboxCommandError",
    # The command line.
    "CLIError",
    "ConfirmationError",
    "CLIExtensionInstallError",
}
"""Classes of the client that belong to parts of it which inference never enters. Each was looked up in its source."""


def is_mapped(kind):
    """Say whether the table names a class, or one above it that is no more general than the client's own."""
    return any(above in _RULES for above in kind.__mro__ if above.__module__ != "builtins")


def exceptions_in(package):
    """Return the exception classes that a package defines, wherever in it."""
    found = {}
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            members = inspect.getmembers(import_module(module.name), inspect.isclass)
        except ImportError:  # needs an extra
            continue
        found |= {
            kind.__name__: kind
            for _, kind in members
            if issubclass(kind, BaseException) and kind.__module__.partition(".")[0] == package.__name__
        }
    return found


def public_exceptions_in(module):
    """Return the exception classes that a module has."""
    return {
        name: kind
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__.partition(".")[0] == module.__name__.partition(".")[0]
    }


def test_every_exception_of_the_client_is_mapped():
    """A release of the client that brings a new exception fails here until somebody has decided what it means."""
    unmapped = {name for name, kind in public_exceptions_in(hub).items() if not is_mapped(kind)}
    assert unmapped == ELSEWHERE & set(public_exceptions_in(hub))


def test_inference_defines_no_exception_elsewhere():
    """The parts of the client that inference uses define no exceptions of their own."""
    assert set(exceptions_in(inference)) - set(public_exceptions_in(hub)) == set()


def test_every_exception_of_the_transport_is_mapped():
    """The same of what the client sends with; and that translates all that lies below it."""
    assert {name for name, kind in public_exceptions_in(httpx2).items() if not is_mapped(kind)} == set()
    translated = {kind.__name__ for kind in httpx2._transports.default._load_httpcore_exceptions()}
    assert set(public_exceptions_in(httpcore2)) - translated == {"ConnectionNotAvailable"}  # never leaves its pool


def test_the_client_is_a_release_that_was_looked_at():
    """The minor release that the suite was last seen to pass with."""
    assert huggingface_hub.__version__.startswith("2.4.")


GATED = {"x-error-code": "GatedRepo"}
TOO_LONG = "`inputs` must have less than 1024 tokens. Given: 2000"
REQUEST = httpx2.Request("POST", "http://h/v1/chat/completions")
DOWN = httpx2.Response(503, headers={"x-request-id": "r", "retry-after": "4"}, request=REQUEST)


def http(kind, response=DOWN, **fields):
    """Return an error of the client that carries a response."""
    response = httpx2.Response(request=REQUEST, **fields) if fields else response
    return kind("x", response=response)


def tgi(kind, said, cause=None):
    """Return an error of TGI's as the client raises it."""
    error = kind(said)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("raised", "error", "fields"),
    [
        (http(hub.HfHubHTTPError), errors.ProviderUnavailableError, {"status_code": 503, "retry_after_s": 4.0}),
        (http(hub.BadRequestError, status_code=400, json={"error": "no"}), errors.InvalidRequestError, {}),
        (http(hub.GatedRepoError, status_code=403, headers=GATED), errors.ModelNotFoundError, {}),
        (http(hub.RepositoryNotFoundError, status_code=404), errors.ModelNotFoundError, {}),
        (hub.InferenceTimeoutError("x"), errors.ProviderTimeoutError, {"phase": "total"}),
        (tgi(hub.ValidationError, TOO_LONG), errors.ContextLengthExceededError, {"limit_tokens": 1024}),
        (tgi(hub.ValidationError, "temperature must be positive"), errors.InvalidRequestError, {}),
        (tgi(hub.OverloadedError, "Model is overloaded"), errors.RateLimitedError, {}),
        (tgi(hub.GenerationError, "failed"), errors.ProviderUnavailableError, {}),
        (tgi(hub.IncompleteGenerationError, "failed"), errors.InvalidReplyError, {}),
        (tgi(hub.UnknownError, None), errors.ProviderUnavailableError, {}),
        (tgi(hub.UnknownError, {"message": "x", "code": 429}), errors.RateLimitedError, {"status_code": 429}),
        (tgi(hub.UnknownError, "x", http(hub.HfHubHTTPError)), errors.ProviderUnavailableError, {"request_id": "r"}),
        (hub.OfflineModeIsEnabled("x"), errors.ProviderUnavailableError, {}),
        (hub.LocalTokenNotFoundError("x"), errors.AuthenticationError, {}),
        (hub.HFValidationError("x"), errors.ModelNotFoundError, {}),
        (httpx2.ConnectTimeout("x"), errors.ProviderTimeoutError, {"phase": "connect"}),
        (httpx2.PoolTimeout("x"), errors.ProviderTimeoutError, {"phase": "total"}),
        (httpx2.ReadTimeout("x"), errors.ProviderTimeoutError, {"phase": "total"}),
        (httpx2.WriteTimeout("x"), errors.ProviderTimeoutError, {"phase": "total"}),
        (httpx2.ConnectError("x"), errors.ProviderUnavailableError, {}),
        (httpx2.ReadError("x"), errors.ProviderUnavailableError, {}),
        (httpx2.WriteError("x"), errors.ProviderUnavailableError, {}),
        (httpx2.CloseError("x"), errors.ProviderUnavailableError, {}),
        (httpx2.ProxyError("x"), errors.ProviderUnavailableError, {}),
        (httpx2.UnsupportedProtocol("x"), errors.ProviderUnavailableError, {}),
        (httpx2.LocalProtocolError("x"), errors.ProviderUnavailableError, {}),
        (httpx2.RemoteProtocolError("x"), errors.ProviderUnavailableError, {}),
        (httpx2.DecodingError("x"), errors.InvalidReplyError, {}),
        (httpx2.TooManyRedirects("x"), errors.ProviderUnavailableError, {}),
        (httpx2.HTTPStatusError("x", request=REQUEST, response=DOWN), errors.ProviderUnavailableError, {}),
        (httpx2.InvalidURL("x"), errors.ProviderUnavailableError, {}),
        (httpx2.CookieConflict("x"), errors.ProviderUnavailableError, {}),
        (httpx2.StreamConsumed(), errors.ProviderUnavailableError, {}),
        (httpx2.ResponseNotRead(), errors.ProviderUnavailableError, {}),
        (json.JSONDecodeError("x", "the answer", 0), errors.InvalidReplyError, {}),
        (UnicodeDecodeError("utf-8", b"the answer", 0, 1, "x"), errors.InvalidReplyError, {}),
        (ValueError("the answer"), errors.InvalidReplyError, {}),
        (AttributeError("x"), errors.InvalidReplyError, {}),
        (KeyError("choices"), errors.InvalidReplyError, {}),
        (IndexError("x"), errors.InvalidReplyError, {}),
        (TypeError("x"), errors.InvalidReplyError, {}),
        (RecursionError("x"), errors.InvalidReplyError, {}),
        (TimeoutError(), errors.ProviderTimeoutError, {"phase": "total"}),
        (ssl.SSLError("x"), errors.ProviderUnavailableError, {}),
        (ConnectionResetError(104, "x"), errors.ProviderUnavailableError, {}),
        (RuntimeError("Event loop is closed"), errors.ProviderUnavailableError, {}),
        (MemoryError(), errors.ProviderUnavailableError, {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)  # fmt: skip
def test_an_exception_becomes_its_error(raised, error, fields):
    """Each class, and what it carries, is translated; the result pickles."""
    made = from_exception(raised, Patience(ProviderSettings(), 10.0), answering=False)
    assert type(made) is error
    assert {name: getattr(made, name) for name in fields} == fields
    assert str(pickle.loads(pickle.dumps(made))) == str(made)


def test_an_answer_that_breaks_off_is_told_from_none():
    """The same protocol error means a cut answer once the service has begun to answer."""
    broken = httpx2.RemoteProtocolError("peer closed connection")
    patience = Patience(ProviderSettings(), 10.0)
    assert type(from_exception(broken, patience, answering=True)) is errors.InvalidReplyError


def test_the_cause_is_there_without_what_it_saw():
    """An error keeps its cause without frames and chain; a cause that may hold a part of the answer is not kept."""
    patience = Patience(ProviderSettings(), 10.0)

    def fail(canary):
        try:
            raise httpcore2.ReadError(canary)
        except httpcore2.ReadError as exc:
            raise httpx2.ReadError("it broke") from exc

    try:
        fail("canary")
    except httpx2.ReadError as exc:
        made = from_exception(exc, patience, answering=True)
    assert type(made.__cause__) is httpx2.ReadError
    assert str(made.__cause__) == "it broke"
    assert made.__cause__.__traceback__ is made.__cause__.__cause__ is made.__cause__.__context__ is None
    assert "canary" not in "".join(traceback.format_exception(made))
    malformed = json.JSONDecodeError("x", "the answer", 0)
    assert from_exception(malformed, patience, answering=True).__cause__ is None


def test_errors_of_the_core_are_let_through():
    """What is translated already stays as it is."""
    error = errors.RateLimitedError("slowly")
    assert from_exception(error, Patience(ProviderSettings(), 10.0), answering=False) is error


@pytest.mark.parametrize("body", [b'["x"]', b'"x"', b"{", b"", b"null", b'{"errors": [7]}', b'{"error": {"a": 1}}'])
@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_whatever_the_clients_own_check_raises_is_translated(status, body):
    """The client's own reading of an error fails on some bodies; that is an error of the core as well."""
    response = httpx2.Response(status, content=body, request=httpx2.Request("POST", "http://h/v1/chat/completions"))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - that it is any is the point
        hf_raise_for_status(response)
    made = from_exception(caught.value, Patience(ProviderSettings(), 10.0), answering=False)
    assert isinstance(made, errors.ProviderError)
