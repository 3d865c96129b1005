"""Converts the exceptions of plugins to `ProviderError`s."""

from __future__ import annotations

from contextlib import suppress
from types import NoneType
from typing import NoReturn

from kickai_providers_core.plugin_api.attempt_timer import TIMEOUT_MESSAGES
from kickai_providers_core.plugin_api.awaitables import PluginExitError
from kickai_providers_core.plugin_api.isolation import is_process_exit
from kickai_providers_core.values.errors import ProviderError, ProviderTimeoutError, ProviderUnavailableError

__all__ = ["raise_provider_error"]

PLAIN = (str, int, float, NoneType)


def raise_provider_error(exc: BaseException, summary: str, *, is_complete: bool = False) -> NoReturn:
    """Raise the `ProviderError` for an exception that a plugin has raised.

    Args:
        exc: The exception.
        summary: What failed, for the message.
        is_complete: Whether the summary names the exception already.
    """
    try:
        _clear_pluggys_frames(exc)
        if is_process_exit(exc):
            raise exc
        cause = exc.__cause__ if isinstance(exc, PluginExitError) and exc.__cause__ is not None else exc
        if isinstance(exc, ProviderError):
            fault = _find_fault(exc)
            if not fault:
                raise exc
            raise ProviderUnavailableError(f"{summary}: {type(exc).__name__} {fault}") from None
        if isinstance(exc, TimeoutError):
            raise ProviderTimeoutError(TIMEOUT_MESSAGES["total"]) from exc
        text = summary if is_complete else f"{summary}: {type(cause).__name__}"
        raise ProviderUnavailableError(text) from cause
    finally:
        exc = cause = None  # type: ignore[assignment]  # the error refers to this frame: no reference cycle


def _clear_pluggys_frames(exc: BaseException) -> None:
    """Clear the variables of pluggy's frames that refer to the exception: a reference cycle would hold the request."""
    trace = exc.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "_multicall" and frame.f_globals.get("__package__") == "pluggy":
            with suppress(RuntimeError):  # another thread has raised the same object, and the frame is its own
                frame.clear()
        trace = trace.tb_next


def _is_plain(error: ProviderError) -> bool:
    """Return whether an error is of one of our own classes, with fields that cannot raise: a quick test."""
    if type(error).__module__ != ProviderError.__module__:
        return False
    fields = error.__dict__
    return (
        type(fields.get("message")) is str
        and type(fields.get("provider")) is str
        and error.args == (fields["message"],)
        and fields.get("retry_after_s") is None
        and fields.get("status_code") is None
        and type(fields.get("model")) in PLAIN
        and type(fields.get("request_id")) in PLAIN
        and type(fields.get("service_message")) is str
    )


def _find_fault(error: ProviderError) -> str:
    """Return what is wrong with an error of a plugin's own class; empty when nothing is."""
    if _is_plain(error):
        return ""
    try:
        numbers = (error.retry_after_s, error.status_code)
        texts = (error.message, error.provider, str(error), repr(error), str(error.copy()))
        if error.retry_after_s is not None and not 0 <= error.retry_after_s < float("inf"):
            error.retry_after_s = None  # an invalid delay counts as none
    except BaseException as exc:
        if is_process_exit(exc):
            raise
        return "whose text or fields raise"
    if not all(isinstance(text, str) for text in texts):
        return "whose message is not text"
    if any(isinstance(number, bool) or not isinstance(number, int | float | None) for number in numbers):
        return "whose numbers are not numbers"
    return ""
