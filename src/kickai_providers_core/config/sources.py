"""The settings as they were written: the file, the environment with its ``.env``, and what code hands over."""

from __future__ import annotations

import io
import os
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from attrs import evolve, field, frozen
from dotenv.parser import Binding, parse_stream

from kickai_providers_core.config.files import (
    LARGEST_BYTES,
    NotUsableError,
    UntrustedError,
    exists,
    read_found,
    read_named,
)
from kickai_providers_core.values.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FILE_NAME", "NOBODY", "Document", "read"]

NOBODY = "none"
"""What ``KICKAI_FALLBACK`` and ``KICKAI_PLUGINS`` say for an empty list; an empty variable counts as unset."""

FILE_NAME = "kickai.toml"
"""The file that is looked for, from the working directory upwards."""

MOST_PARTS = 1000
"""The most dots in one line of a settings file."""

_UNSAID: Any = object()


@frozen(kw_only=True)
class Document:
    """Settings that nobody has looked at yet. They may hold keys: none is in its repr, and it does not pickle.

    Attributes:
        file: The file's path as messages show it; empty when there is none.
        folder: The folder of the file, or the working directory; relative without both.
        tables: What the file says.
        given: What code says; it outranks everything else.
        environment: The environment variables that say something, those of a ``.env`` next to the file included.
        from_dotenv: The names of the variables that come from the ``.env``.
        is_named: Whether somebody named the file, rather than it being found.
        warnings: What is wrong with the ``.env``, and which files were skipped.
    """

    file: str = ""
    folder: Path = field(factory=Path)
    tables: Mapping[str, Any] = field(factory=dict, repr=False)
    given: Mapping[str, Any] = field(factory=dict, repr=False)
    environment: Mapping[str, str] = field(factory=dict, repr=False)
    from_dotenv: frozenset[str] = frozenset()
    is_named: bool = False
    warnings: tuple[Problem, ...] = ()

    @property
    def plugins(self) -> tuple[str, ...] | None:
        """The entry points that may be loaded; None for all.

        It is known before the rest is looked at, since loading a plugin tells which settings there are. When it is
        malformed, nothing may be loaded; `structure` says what is wrong.
        """
        said = _allowed(self.given)
        if said is _UNSAID and "KICKAI_PLUGINS" in self.environment:
            text = self.environment["KICKAI_PLUGINS"]
            said = [name.strip() for name in text.split(",") if name.strip() and text.strip().lower() != NOBODY]
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
            ``KICKAI_CONFIG`` names, else the nearest ``kickai.toml`` from the folder upwards, else none. A file that
            was found, and a ``.env``, is skipped with a warning when somebody else may have written it; see
            `kickai_providers_core.config.files`.
        env: The environment variables. They outrank those of a ``.env`` next to the file, or in the folder when there
            is no file. A variable that is empty or blank counts as unset.
        overrides: What outranks everything else, in the form of the file.
        folder: The working directory when None.

    Raises:
        ConfigError: The file, or the ``.env``, is missing, cannot be read, or is malformed.
    """
    given = dict(overrides or {})
    env = {name: text for name, text in env.items() if text.strip()}
    if isinstance(source, Mapping):
        return Document(folder=folder or Path(), given=overlaid(source, given), environment=env)
    variable = "KICKAI_CONFIG" if source is None and "KICKAI_CONFIG" in env else ""
    named = env[variable] if variable else source
    path: Path | None
    warnings: list[Problem] = []
    if named is not None:
        path = _named(named, folder, variable)
        folder = folder or _working_directory(path.parent)
        tables = _tables(_parsed(_text(read_named, path, folder, variable)), _shown(path, folder))
    else:
        folder = folder or _working_directory()
        path, tables, warnings = _found(folder)
    beside = folder if path is None else path.parent
    variables, more = _dotenv(beside / ".env", folder, is_named=named is not None)
    return Document(
        file="" if path is None else _shown(path, folder),
        folder=beside,
        tables=tables,
        given=given,
        environment={**variables, **env},
        from_dotenv=frozenset(variables) - frozenset(env),
        is_named=named is not None,
        warnings=(*warnings, *more),
    )


def overlaid(base: Mapping[str, Any], over: Mapping[str, Any], depth: int = 3) -> dict[str, Any]:
    """Return tables with those of the second mapping laid over them, down to the fields; a field is replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = depth > 1 and isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = overlaid(below, value, depth - 1) if both else value  # type: ignore[arg-type] # both are mappings
    return merged


def _working_directory(instead: Path | None = None) -> Path:
    """Return the working directory, or another one where it does not exist any more."""
    try:
        return Path.cwd()
    except OSError as exc:
        if instead is not None:
            return instead
        told = (
            f"found a working directory that cannot be used ({_reason(exc)}), expected one to look for {FILE_NAME} in"
        )
    hint = "Change to another directory, or give the full path of the settings file with --config or KICKAI_CONFIG"
    raise ConfigError([Problem(path="", message=told, hint=hint)])


def _named(named: str | os.PathLike[str], folder: Path | None, variable: str) -> Path:
    """Return the path of a file that somebody named; a relative one starts at the folder."""
    try:
        path = Path(named).expanduser()
    except RuntimeError:
        told = f"found the path {os.fspath(named)!r} without a home directory, expected a TOML file"
        raise ConfigError([Problem(path="", source=variable, message=told, hint="Write the whole path")]) from None
    return path if path.is_absolute() else (folder or _working_directory()) / path


def _found(folder: Path) -> tuple[Path | None, Mapping[str, Any], list[Problem]]:
    """Return the nearest settings file from a folder upwards, what it says, and the files that were skipped."""
    skipped = []
    for above in (folder, *folder.parents):
        path = above / FILE_NAME
        if not exists(path):  # a folder of that name is none
            continue
        try:
            parsed = _parsed(_text(partial(read_found, above=above != folder), path, folder))
        except _SkippedError as skip:
            skipped.append(skip.problem)
            continue
        return path, _tables(parsed, _shown(path, folder)), skipped
    return None, {}, skipped


class _SkippedError(Exception):
    """A found file that is not used; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _text(reader: Callable[[Path], bytes], path: Path, folder: Path, variable: str = "") -> str:
    """Return a file's text; a byte order mark, as Windows' editor writes it, is no part of it."""
    shown, skipped = _shown(path, folder), False
    hint = f"The variable {variable} names it" if variable else ""
    try:
        return reader(path).decode("utf-8-sig")
    except FileNotFoundError:
        told = "found no such file, expected a TOML file"
    except UnicodeDecodeError as exc:
        told = f"found bytes that are not UTF-8 from position {exc.start}, expected text"
    except NotUsableError as exc:
        told = f"found {exc}, expected a regular file of at most {LARGEST_BYTES // 1024} KiB"
        skipped = reader is not read_named and "KiB" not in str(exc)
    except UntrustedError as exc:
        told = f"found a file that is not used because {exc}, expected one that only you and root may write"
        skipped = True
    except (OSError, ValueError) as exc:
        told = f"found a file that cannot be read ({_reason(exc)}), expected text"
    problem = Problem(path="", source=shown, message=told, hint=hint)
    if skipped:
        raise _SkippedError(evolve(problem, hint=_how_to_use(path), severity="warning"))
    raise ConfigError([problem])  # out here: the decoding error holds the whole content


def _how_to_use(path: Path) -> str:
    if path.name == FILE_NAME:
        return "To use it anyway, name it with --config, or with KICKAI_CONFIG in the environment of the process"
    return (
        "To use it anyway, name the settings file next to it with --config, or with KICKAI_CONFIG in the environment "
        "of the process"
    )


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _tables(parsed: tuple[Mapping[str, Any], str], shown: str) -> Mapping[str, Any]:
    tables, told = parsed
    if told:
        hint = "Quote strings, and write true and false in lower case" if told.endswith("Invalid value") else ""
        raise ConfigError([Problem(path="", source=shown, message=told, hint=hint)])
    return tables


def _parsed(text: str) -> tuple[Mapping[str, Any], str]:
    """Return the tables, or what is wrong with the text: an exception out of here would hold it."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_PARTS:  # a key that deep takes the parser minutes
            return {}, f"found a key of more than {MOST_PARTS} parts in line {number}, expected a settings file"
    try:
        return tomllib.loads(text), ""
    except tomllib.TOMLDecodeError as exc:
        what, _, where = str(exc).rpartition(" (at ")
        return {}, f"found invalid TOML at {where.rstrip(')')}, expected TOML 1.0: {what}"
    except ValueError:
        return {}, "found a number that is too long to be read, expected TOML 1.0"
    except RecursionError:
        return {}, "found arrays or tables that are nested too deeply, expected a settings file"


def _dotenv(path: Path, folder: Path, *, is_named: bool) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return the variables of a ``.env``, literally: without the shell's ``${…}``."""
    if not exists(path):  # a folder of that name is usually a virtual environment
        return {}, ()
    shown = _shown(path, folder)
    reader = read_named if is_named else partial(read_found, above=path.parent != folder)
    try:
        bindings, nul_line = _bindings(_text(reader, path, folder))
    except _SkippedError as skip:
        return {}, (skip.problem,)
    if nul_line:
        del bindings
        told = f"found a NUL character in line {nul_line}, expected text"
        raise ConfigError([Problem(path="", source=shown, message=told)])
    variables: dict[str, str] = {}
    problems = []
    for binding in bindings:
        told = ""
        if binding.error:
            told = f"found a line {binding.original.line} that cannot be read, expected NAME=value"
        elif binding.key == "KICKAI_CONFIG":
            told = "found KICKAI_CONFIG, expected it in the environment of the process, since a .env cannot set it"
        elif binding.key is not None and binding.value is not None and binding.value.strip():
            variables[binding.key] = binding.value
        if told:
            problems.append(Problem(path="", source=shown, message=told, severity="warning"))
    return variables, tuple(problems)


def _bindings(text: str) -> tuple[list[Binding], int]:
    """Return the lines of a ``.env``, and the number of the first line with a NUL character; 0 for none."""
    before, nul, _ = text.partition("\0")
    return ([], before.count("\n") + 1) if nul else ([*parse_stream(io.StringIO(text))], 0)
