"""The sources of settings: the file, the environment with its ``.env``, and the overrides of the code."""

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

from kickai_providers_core.config.trusted_files import (
    MAX_BYTES,
    NotUsableError,
    UntrustedError,
    exists,
    read_found,
    read_named,
)
from kickai_providers_core.values.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FILE_NAME", "NONE", "SettingsDocument", "find_value", "merge_tables", "read"]

NONE = "none"
"""The value of ``KICKAI_FALLBACK`` and ``KICKAI_PLUGINS`` for an empty array; an empty variable counts as unset."""

FILE_NAME = "kickai.toml"
"""The name of the settings file, which is searched for in the working directory and above."""

MAX_KEY_PARTS = 1000
"""The most parts of a dotted key. The parser takes minutes for longer ones."""

_UNSET: Any = object()


@frozen(kw_only=True)
class SettingsDocument:
    """Settings as they were written. They may hold keys: the repr shows none, and a document cannot be pickled.

    Attributes:
        file: The path of the file as messages show it; empty when there is none.
        folder: The folder of the file, or the working directory; relative without both.
        tables: The settings of the file.
        overrides: The settings of the code; they replace all others.
        environment: The environment variables that are not blank, including those of a ``.env`` next to the file.
        from_dotenv: The names of the variables that come from the ``.env``.
        is_named: Whether the file was named, not found.
        warnings: What is wrong with the ``.env``, and which files were ignored.
    """

    file: str = ""
    folder: Path = field(factory=Path)
    tables: Mapping[str, Any] = field(factory=dict, repr=False)
    overrides: Mapping[str, Any] = field(factory=dict, repr=False)
    environment: Mapping[str, str] = field(factory=dict, repr=False)
    from_dotenv: frozenset[str] = frozenset()
    is_named: bool = False
    warnings: tuple[Problem, ...] = ()

    @property
    def plugins(self) -> tuple[str, ...] | None:
        """The entry points that may be loaded; None for all.

        They are needed before the other settings are structured, since the plugins define what settings there are.
        A malformed list allows none; `structure` reports what is wrong with it.
        """
        allowed = _find_allow_list(self.overrides)
        if allowed is _UNSET and "KICKAI_PLUGINS" in self.environment:
            text = self.environment["KICKAI_PLUGINS"]
            allowed = [name.strip() for name in text.split(",") if name.strip() and text.strip().lower() != NONE]
        if allowed is _UNSET:
            allowed = _find_allow_list(self.tables)
        if allowed is _UNSET or allowed is None:
            return None
        is_valid = isinstance(allowed, list | tuple) and all(isinstance(name, str) for name in allowed)
        return tuple(allowed) if is_valid else ()

    def describe_source(self, variable: str) -> str:
        """Return the source of an environment variable: ``environment NAME`` or ``.env NAME``."""
        return f"{'.env' if variable in self.from_dotenv else 'environment'} {variable}"

    def __reduce__(self) -> Never:
        message = "a SettingsDocument cannot be pickled, because it may hold keys"
        raise TypeError(message)


def _find_allow_list(tables: Mapping[str, Any]) -> Any:
    kickai = tables.get("kickai", {})
    return kickai.get("plugins", _UNSET) if isinstance(kickai, Mapping) else getattr(kickai, "plugins", ())


def read(
    source: str | os.PathLike[str] | Mapping[str, Any] | None,
    env: Mapping[str, str],
    *,
    overrides: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> SettingsDocument:
    """Read the settings as they were written.

    Args:
        source: A TOML file; or a mapping of the same form, and then no file is read; or None for the file that
            ``KICKAI_CONFIG`` names, or else the nearest ``kickai.toml`` in the folder or above, or else none. A found
            file, and a ``.env`` next to it, is ignored with a warning when somebody else may have written it; see
            `kickai_providers_core.config.trusted_files`.
        env: The environment variables. They replace those of a ``.env`` next to the file, or in the folder when there
            is no file. A variable that is empty or blank counts as unset.
        overrides: Settings in the form of the file that replace all others.
        folder: The folder to search in; the working directory when None.

    Raises:
        ConfigError: The file, or the ``.env``, is missing, cannot be read, or is malformed.
    """
    overrides = dict(overrides or {})
    env = {name: text for name, text in env.items() if text.strip()}
    if isinstance(source, Mapping):
        return SettingsDocument(folder=folder or Path(), overrides=merge_tables(source, overrides), environment=env)
    variable = "KICKAI_CONFIG" if source is None and "KICKAI_CONFIG" in env else ""
    name = env[variable] if variable else source
    path: Path | None
    warnings: list[Problem] = []
    if name is not None:
        path = _resolve_named_path(name, folder, variable)
        folder = folder or _get_working_directory(path.parent)
        tables = _require_tables(_parse_toml(_read_text(read_named, path, folder, variable)), _show(path, folder))
    else:
        folder = folder or _get_working_directory()
        path, tables, warnings = _find_file(folder)
    own_folder = folder if path is None else path.parent
    variables, more = _read_dotenv(own_folder / ".env", folder, is_named=name is not None)
    return SettingsDocument(
        file="" if path is None else _show(path, folder),
        folder=own_folder,
        tables=tables,
        overrides=overrides,
        environment={**variables, **env},
        from_dotenv=frozenset(variables) - frozenset(env),
        is_named=name is not None,
        warnings=(*warnings, *more),
    )


def merge_tables(base: Mapping[str, Any], over: Mapping[str, Any], depth: int = 3) -> dict[str, Any]:
    """Return the tables of both mappings, merged down to the fields; the second one's fields replace the first's."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = depth > 1 and isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = merge_tables(below, value, depth - 1) if both else value  # type: ignore[arg-type] # both are mappings
    return merged


def find_value(tables: Any, path: tuple[str | int, ...]) -> Any:
    """Return the value at a path; None when there is none."""
    for step in path:
        if isinstance(tables, Mapping):
            tables = tables.get(str(step))
        else:
            tables = tables[step] if isinstance(tables, list | tuple) and isinstance(step, int) else None
    return tables


def _get_working_directory(default: Path | None = None) -> Path:
    """Return the working directory, or a default when it does not exist any more."""
    try:
        return Path.cwd()
    except OSError as exc:
        if default is not None:
            return default
        message = f"the working directory cannot be used to look for {FILE_NAME}: {_describe_error(exc)}"
    hint = "Change to another directory, or give the full path of the settings file with --config or KICKAI_CONFIG"
    raise ConfigError([Problem(path="", message=message, hint=hint)])


def _resolve_named_path(name: str | os.PathLike[str], folder: Path | None, variable: str) -> Path:
    """Return the path of a named file; a relative one starts at the folder."""
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        message = f"the path {os.fspath(name)!r} names a home directory that does not exist"
        raise ConfigError([Problem(path="", source=variable, message=message, hint="Write the full path")]) from None
    return path if path.is_absolute() else (folder or _get_working_directory()) / path


def _find_file(folder: Path) -> tuple[Path | None, Mapping[str, Any], list[Problem]]:
    """Return the nearest settings file in a folder or above, its tables, and the files that were ignored."""
    ignored = []
    for above in (folder, *folder.parents):
        path = above / FILE_NAME
        if not exists(path):
            continue
        try:
            parsed = _parse_toml(_read_text(partial(read_found, above=above != folder), path, folder))
        except _IgnoredError as error:
            ignored.append(error.problem)
            continue
        return path, _require_tables(parsed, _show(path, folder)), ignored
    return None, {}, ignored


class _IgnoredError(Exception):
    """A found file that is not used; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


def _show(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _read_text(read_bytes: Callable[[Path], bytes], path: Path, folder: Path, variable: str = "") -> str:
    """Return a file's text, without the byte order mark that some editors on Windows write."""
    source, is_ignored = _show(path, folder), False
    hint = f"The variable {variable} names this file" if variable else ""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except FileNotFoundError:
        message = "file not found"
    except UnicodeDecodeError as exc:
        message = f"not UTF-8 text (invalid byte at position {exc.start})"
    except NotUsableError as exc:
        message = f"must be a regular file of at most {MAX_BYTES // 1024} KiB, got {exc}"
        is_ignored = read_bytes is not read_named and "KiB" not in str(exc)
    except UntrustedError as exc:
        message = f"ignored, because {exc}"
        is_ignored = True
    except (OSError, ValueError) as exc:
        message = f"the file cannot be read: {_describe_error(exc)}"
    problem = Problem(path="", source=source, message=message, hint=hint)
    if is_ignored:
        raise _IgnoredError(evolve(problem, hint=_build_trust_hint(path), severity="warning"))
    raise ConfigError([problem])  # outside of the handlers: a decoding error holds the whole content


def _build_trust_hint(path: Path) -> str:
    what = "it" if path.name == FILE_NAME else "the settings file next to it"
    return f"To use it anyway, name {what} with --config, or with KICKAI_CONFIG in the environment of the process"


def _describe_error(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _require_tables(parsed: tuple[Mapping[str, Any], str], source: str) -> Mapping[str, Any]:
    tables, message = parsed
    if message:
        hint = "Quote strings, and write true and false in lower case" if "Invalid value" in message else ""
        raise ConfigError([Problem(path="", source=source, message=message, hint=hint)])
    return tables


def _parse_toml(text: str) -> tuple[Mapping[str, Any], str]:
    """Return the tables, or what is wrong with the text: an exception would hold the text."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MAX_KEY_PARTS:
            return {}, f"invalid TOML: a key has more than {MAX_KEY_PARTS} parts (at line {number})"
    try:
        return tomllib.loads(text), ""
    except tomllib.TOMLDecodeError as exc:
        return {}, f"invalid TOML: {exc}"
    except ValueError:
        return {}, "invalid TOML: a number is too long"
    except RecursionError:
        return {}, "invalid TOML: arrays or tables are nested too deeply"


def _read_dotenv(path: Path, folder: Path, *, is_named: bool) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return the variables of a ``.env`` as they are written: ``${…}`` is not expanded."""
    if not exists(path):  # a folder of that name is usually a virtual environment
        return {}, ()
    source = _show(path, folder)
    read_bytes = read_named if is_named else partial(read_found, above=path.parent != folder)
    try:
        bindings, nul_line = _parse_dotenv(_read_text(read_bytes, path, folder))
    except _IgnoredError as error:
        return {}, (error.problem,)
    if nul_line:
        del bindings
        raise ConfigError([Problem(path="", source=source, message=f"line {nul_line} has a NUL character")])
    variables: dict[str, str] = {}
    problems = []
    for binding in bindings:
        message = ""
        if binding.error:
            message = f"line {binding.original.line} is ignored (must be NAME=value)"
        elif binding.key == "KICKAI_CONFIG":
            message = "KICKAI_CONFIG is ignored here; set it in the environment of the process"
        elif binding.key is not None and binding.value is not None and binding.value.strip():
            variables[binding.key] = binding.value
        if message:
            problems.append(Problem(path="", source=source, message=message, severity="warning"))
    return variables, tuple(problems)


def _parse_dotenv(text: str) -> tuple[list[Binding], int]:
    """Return the lines of a ``.env``, and the number of the first line with a NUL character; 0 for none."""
    before, nul, _ = text.partition("\0")
    return ([], before.count("\n") + 1) if nul else ([*parse_stream(io.StringIO(text))], 0)
