"""The base classes of all errors."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from kickai_providers_core.values.jsonable import Jsonable, to_json
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.text_length_limits import MESSAGE_LIMIT, NAME_LIMIT, SERVICE_MESSAGE_LIMIT

__all__ = ["ArgumentTypeError", "ArgumentValueError", "AttemptError", "KickaiError", "restore_error"]


def restore_error(cls: type[KickaiError], args: tuple[Any, ...], state: dict[str, Any]) -> KickaiError:
    """Return an error that was pickled or copied, without running its constructor."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class KickaiError(Jsonable, Exception):
    """Base of every error that this project raises on purpose."""

    RECORDED: ClassVar[tuple[str, ...]] = ()
    """The attributes of this class, beyond those of its bases, that `as_dict` returns."""

    def as_dict(self) -> dict[str, Any]:
        """Return the error as JSON: the name of its class as ``error``, its ``message``, and its attributes.

        Neither a prompt nor an answer is in it: ``partial_text`` is left out.
        """
        record: dict[str, Any] = {"error": type(self).__name__, "message": self._format_sentence()}
        for kind in reversed(type(self).__mro__):
            for name in vars(kind).get("RECORDED", ()):
                record[name] = to_json(getattr(self, name))
        return record

    def _format_sentence(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return restore_error, (type(self), self.args, self.__dict__.copy())


class ArgumentTypeError(KickaiError, TypeError):
    """A value that the caller passed has the wrong type; nothing was sent.

    When a plugin raises it, only that attempt fails, and the next target is called.
    """


class ArgumentValueError(KickaiError, ValueError):
    """A value that the caller passed has the right type but is not allowed; nothing was sent.

    When a plugin raises it, only that attempt fails, and the next target is called.
    """


class AttemptError(KickaiError):
    """One failed attempt, without the trace of its request. `ProviderError` is the class to raise and to catch.

    Its attributes are documented there.
    """

    RECORDED: ClassVar[tuple[str, ...]] = (
        "provider",
        "model",
        "status_code",
        "request_id",
        "retry_after_s",
        "service_message",
        "may_retry",
    )

    may_retry: bool | None = None  # for subclasses of plugins that do not call __init__

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        service_message: str = "",
        may_retry: bool | None = None,
    ) -> None:
        message = clean_line(message, MESSAGE_LIMIT)
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.request_id = request_id if request_id is None else clean_line(request_id, NAME_LIMIT)
        self.retry_after_s = _convert_delay(retry_after_s)
        self.service_message = clean_line(service_message, SERVICE_MESSAGE_LIMIT)
        self.may_retry = may_retry if isinstance(may_retry, bool) else None
        self.partial_text = ""

    def copy(self, *, frames: bool = True) -> Self:
        """Return a copy, with the same cause and traceback.

        Args:
            frames: False omits cause and traceback, whose frames hold requests, clients and keys.
        """
        copy: Self = restore_error(type(self), self.args, self.__dict__.copy())  # type: ignore[assignment]
        if frames:
            copy.__cause__, copy.__context__ = self.__cause__, self.__context__
            copy.__suppress_context__ = self.__suppress_context__
            copy.__traceback__ = self.__traceback__
        return copy

    copied = copy  # the name of the first releases

    def __str__(self) -> str:
        target = f"{self.provider}:{self.model}" if self.model else self.provider
        known = [f"HTTP {self.status_code}"] if self.status_code is not None else []
        if self.request_id:
            known.append(f"request {self.request_id}")
        text = f"{self.message} ({', '.join(known)})" if known else self.message
        if self.service_message:
            text = f'{text}; the service said: "{self.service_message}"'
        return f"{target}: {text}" if target else text

    def _format_sentence(self) -> str:
        return self.message


def _convert_delay(seconds: object) -> float | None:
    """Return the seconds, or None when the value is not a delay: a service may state anything."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        return None
    return seconds
