"""The base of every error, and the two that refuse what a caller passed."""

from __future__ import annotations

from typing import Any, ClassVar

from kickai_providers_core.values.jsonable import Jsonable, plain

__all__ = ["ArgumentTypeError", "ArgumentValueError", "KickaiError", "restore"]


def restore(cls: type[KickaiError], args: tuple[Any, ...], state: dict[str, Any]) -> KickaiError:
    """Return the error that was pickled or copied; no constructor runs."""
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
        record: dict[str, Any] = {"error": type(self).__name__, "message": self._sentence()}
        for kind in reversed(type(self).__mro__):
            for name in vars(kind).get("RECORDED", ()):
                record[name] = plain(getattr(self, name))
        return record

    def _sentence(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return restore, (type(self), self.args, self.__dict__.copy())


class ArgumentTypeError(KickaiError, TypeError):
    """A value that the caller passed has the wrong type; nothing was sent.

    It blames no target: a plugin that builds a malformed `Reply` fails its own attempt, and the next target is called.
    """


class ArgumentValueError(KickaiError, ValueError):
    """A value that the caller passed has the right type and is not allowed; nothing was sent.

    It blames no target, as `ArgumentTypeError`.
    """
