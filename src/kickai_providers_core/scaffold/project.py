"""Writes the folder of a new distribution with copier, which is installed with the extra ``scaffold``."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from attrs import frozen

from kickai_providers_core.plugin_api.installation import CORE, Installation
from kickai_providers_core.values.base_errors import KickaiError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KINDS", "MissingCopierError", "PluginKind", "Project", "Source", "find_source", "write_project"]

PluginKind = Literal["http", "sdk", "local"]

KINDS: Final[tuple[PluginKind, ...]] = ("http", "sdk", "local")

ANSWERS = ".copier-answers.yml"


class MissingCopierError(KickaiError):
    """Copier is not installed."""


@frozen
class Source:
    """Where the template has its history, for ``copier update``.

    Attributes:
        address: The repository; empty if it is unknown.
        commit: The tag or commit in it that is used now.
    """

    address: str = ""
    commit: str = ""


@frozen(kw_only=True)
class Project:
    """A distribution that was written.

    Attributes:
        folder: Its folder.
        files: Its files, relative to the folder.
    """

    folder: Path
    files: Sequence[str]


def write_project(folder: Path, *, name: str, kind: PluginKind, store: bool, source: Source | None = None) -> Project:
    """Write a new distribution. Either the whole folder appears or nothing.

    It uses no network. Blocks.

    Args:
        folder: The folder to create; its parent exists.
        name: The name of the provider, which `check_name` accepts.
        kind: What the provider calls: an HTTP service, a vendor's client library, or a model in the process.
        store: Whether it also opens stores.
        source: Where the template has its history; None to find it in the core's metadata.

    Raises:
        MissingCopierError: Copier is not installed.
        FileExistsError: The folder exists.
        OSError: It cannot be written.
    """
    if find_spec("copier") is None:
        raise MissingCopierError(f"new distributions need copier; run pip install '{CORE}[scaffold]'")
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / folder.name
        _run_copier(made, {"name": name, "kind": kind, "store": store})
        _name_source(made / ANSWERS, source or find_source())
        shutil.move(made, folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Project(folder=folder, files=names)


def _run_copier(folder: Path, answers: dict[str, object]) -> None:
    from copier import run_copy  # noqa: PLC0415  an extra, whose import takes a second

    with as_file(files("kickai_providers_core.scaffold")) as template:
        run_copy(str(template), folder, data=answers, defaults=True, quiet=True)


def find_source() -> Source:
    """Return the repository that contains the template.

    It is the folder or repository that the core was installed from, or else the one that the core's metadata name.
    """
    core = Installation.find()
    release = f"v{core.version}"
    if core.folder is not None:
        is_clone = (core.folder / "copier.yml").is_file()
        return Source(str(core.folder), _describe_head(core.folder) or release) if is_clone else Source()
    if core.commit:
        return Source(f"git+{core.url}", core.commit)
    address = core.project_urls.get("Repository", "")
    return Source(address, release) if address else Source()


def _describe_head(clone: Path) -> str:
    """Return the commit of a clone as copier writes it; empty without git or outside of a clone."""
    import subprocess  # noqa: PLC0415  rarely needed

    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(clone), "describe", "--tags", "--always"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  a fixed command
    return done.stdout.strip() if done.returncode == 0 else ""


def _name_source(answers: Path, source: Source) -> None:
    """Replace the address of the installed template, which has no history, by that of its repository."""
    lines = [line for line in answers.read_text(encoding="utf-8").splitlines() if not line.startswith("_")]
    if source.address:
        lines += [f"_commit: {json.dumps(source.commit)}", f"_src_path: {json.dumps(source.address)}"]
    else:
        lines += ["# To update: set _src_path to the address of the template's repository, and _commit to its tag."]
    answers.write_text("\n".join(lines) + "\n", encoding="utf-8")
