"""The settings as they were written: the file, the environment with its ``.env``, and what code hands over."""

from __future__ import annotations

import io
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Never

from attrs import field, frozen
from dotenv.parser import parse_stream

from kickai_providers_core.errors import ConfigError, Problem

__all__ = ["FILE_NAME", "Document", "read"]

FILE_NAME = "kickai.toml"
"""The file that is looked for, from the working directory upwards."""

_UNSAID: Any = object()


@frozen(kw_only=True)
class Document:
    """Settings that nobody has looked at yet. They may hold keys: none is in its repr, and it does not pickle.

    Attributes:
        file: The file's path as messages show it; empty when there is none.
        folder: The folder of the file, or the working directory.
        tables: What the file says.
        given: What code says; it outranks everything else.
        environment: The environment variables, those of a ``.env`` beside the file included.
        from_dotenv: The names of the variables that come from the ``.env``.
        warnings: What is wrong with the ``.env``.
    """

    file: str = ""
    folder: Path = field(factory=Path.cwd)
    tables: Mapping[str, Any] = field(factory=dict, repr=False)
    given: Mapping[str, Any] = field(factory=dict, repr=False)
    environment: Mapping[str, str] = field(factory=dict, repr=False)
    from_dotenv: frozenset[str] = frozenset()
    warnings: tuple[Problem, ...] = ()

    @property
    def plugins(self) -> tuple[str, ...] | None:
        """The entry points that may be loaded; None for all.

        It is known before the rest is looked at, since loading a plugin tells which settings there are. When it is
        malformed, nothing may be loaded; `structure` says what is wrong.
        """
        said = _allowed(self.given)
        if said is _UNSAID and "KICKAI_PLUGINS" in self.environment:
            said = [name.strip() for name in self.environment["KICKAI_PLUGINS"].split(",") if name.strip()]
        if said is _UNSAID:
            said = _allowed(self.tables)
        if said is _UNSAID or said is None:
            return None
        proper = isinstance(said, list | tuple) and all(isinstance(name, str) for name in said)
        return tuple(said) if proper else ()

    def origin(self, variable: str) -> str:
        """Return where an environment variable comes from, as sources and problems tell it."""
        return f"{'.env' if variable in self.from_dotenv else 'environment'} {variable}"

    def __reduce__(self) -> Never:
        message = "a Document is never pickled: it may hold keys"
        raise TypeError(message)


def _allowed(tables: Mapping[str, Any]) -> Any:
    kickai = tables.get("kickai", {})
    return kickai.get("plugins", _UNSAID) if isinstance(kickai, Mapping) else getattr(kickai, "plugins", ())


def read(
    source: str | os.PathLike[str] | Mapping[str, Any] | None,
    env: Mapping[str, str],
    *,
    overrides: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Document:
    """Read the settings as they are written, without looking at what they mean.

    Args:
        source: A TOML file; a mapping of the same form, and then no file is read; or None for the file that
            ``KICKAI_CONFIG`` names, else the nearest ``kickai.toml`` from the folder upwards, else none.
        env: The environment variables. They outrank those of a ``.env`` beside the file, or in the folder when there
            is no file.
        overrides: What outranks everything else, in the form of the file.
        folder: The working directory when None.

    Raises:
        ConfigError: The file, or the ``.env``, is missing, cannot be read, or is malformed.
    """
    folder = folder or Path.cwd()
    given = dict(overrides or {})
    if isinstance(source, Mapping):
        return Document(folder=folder, given=overlaid(source, given), environment=dict(env))
    told_by = "" if source is not None else env.get("KICKAI_CONFIG", "")
    path = _found(folder) if source is None and not told_by else folder / Path(source or told_by).expanduser()
    beside = folder if path is None else path.parent
    tables = {} if path is None else _toml(path, folder, "KICKAI_CONFIG" if told_by else "")
    variables, warnings = _dotenv(beside / ".env", folder)
    return Document(
        file="" if path is None else _shown(path, folder),
        folder=beside,
        tables=tables,
        given=given,
        environment={**variables, **env},
        from_dotenv=frozenset(variables) - frozenset(env),
        warnings=warnings,
    )


def overlaid(base: Mapping[str, Any], over: Mapping[str, Any], depth: int = 3) -> dict[str, Any]:
    """Return tables with those of the second mapping laid over them, down to the fields; a field is replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = depth > 1 and isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = overlaid(below, value, depth - 1) if both else value  # type: ignore[arg-type] # both are mappings
    return merged


def _found(folder: Path) -> Path | None:
    """Return the nearest settings file from a folder upwards; a folder of that name is none."""
    return next((path for above in (folder, *folder.parents) if _is_file(path := above / FILE_NAME)), None)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 # which takes a folder that may not be looked into for one without it


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _text(path: Path, folder: Path, variable: str = "") -> str:
    """Return a file's text; a byte order mark, as Windows' editor writes it, is no part of it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as exc:
        if isinstance(exc, FileNotFoundError):
            told = "found no such file, expected a TOML file"
        elif isinstance(exc, UnicodeDecodeError):
            told = f"found bytes that are no UTF-8 from position {exc.start}, expected text"
        else:
            told = f"found a file that cannot be read ({_reason(exc)}), expected text"
        hint = f"The variable {variable} names it" if variable else ""
        problem = Problem(path="", source=_shown(path, folder), message=told, hint=hint)
    raise ConfigError([problem])  # out here: the decoding error holds the whole content


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _toml(path: Path, folder: Path, variable: str) -> Mapping[str, Any]:
    tables, told = _parsed(_text(path, folder, variable))
    if told:
        hint = "Text stands in quotes, and true and false are small" if told.endswith("Invalid value") else ""
        raise ConfigError([Problem(path="", source=_shown(path, folder), message=told, hint=hint)])
    return tables


def _parsed(text: str) -> tuple[Mapping[str, Any], str]:
    """Return the tables, or what is wrong with the text: an exception out of here would hold it."""
    try:
        return tomllib.loads(text), ""
    except tomllib.TOMLDecodeError as exc:
        what, _, where = str(exc).rpartition(" (at ")
        return {}, f"found bad TOML at {where.rstrip(')')}, expected TOML 1.0: {what}"
    except RecursionError:
        return {}, "found arrays or tables within each other beyond measure, expected a settings file"


def _dotenv(path: Path, folder: Path) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return the variables of a ``.env``, as they stand: without the shell's ``${…}``."""
    if not _is_file(path):  # a folder of that name is usually a virtual environment
        return {}, ()
    variables: dict[str, str] = {}
    problems = []
    for binding in parse_stream(io.StringIO(_text(path, folder))):
        if binding.error:
            told = f"found a line {binding.original.line} that cannot be read, expected NAME=value"
            problems.append(Problem(path="", source=_shown(path, folder), message=told, severity="warning"))
        elif binding.key is not None and binding.value is not None:
            variables[binding.key] = binding.value
    return variables, tuple(problems)
