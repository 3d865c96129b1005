"""Reads settings files: only regular files of limited size, and found files only when they can be trusted.

A file that was *found*, in the working directory, above it, or next to such a file, has to be a regular file that
belongs to the effective user or to root and that nobody else can write to. No folder on its path may be world-writable,
except for a sticky one when the file belongs to the user. The path is opened folder by folder, without following links,
each folder relative to the one before it. Folders and file are checked with `os.fstat`, and the file is read from the
descriptor that was checked, so a file that is swapped in between is never used. A symbolic link has to belong to the
user or to root; its target and the folders of that are checked in the same way.

A file that was *named* is read regardless of its owner.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_BYTES", "NotUsableError", "UntrustedError", "exists", "read_found", "read_named"]

MAX_BYTES = 1024 * 1024
"""The largest settings file, ``.env`` or secret file that is read."""

MAX_LINKS = 40
"""The most symbolic links on one path, as on Linux."""

ROOT = 0

_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_HERE = _READ | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER_HERE = _FOLDER | getattr(os, "O_NOFOLLOW", 0)

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class NotUsableError(Exception):
    """A file that cannot be used, named or found; the message says what it is, as in ``a directory``."""


class UntrustedError(Exception):
    """A found file that somebody else may have written; the message says why, as in ``it belongs to user 1001``."""


def exists(path: Path) -> bool:
    """Return whether a path exists and is not a directory; a folder that cannot be searched counts as empty."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 # pathlib raises for some of what is caught here
    except (OSError, ValueError):
        return False


def read_named(path: Path) -> bytes:
    """Return the content of a file that was named.

    Raises:
        OSError: It cannot be opened or read.
        NotUsableError: It is not a regular file, or is larger than `MAX_BYTES`.
    """
    return _read_content(os.open(path, _READ))


def read_found(path: Path, *, above: bool = True) -> bytes:
    """Return the content of a file that was found, if it can be trusted.

    Args:
        path: The file.
        above: Whether it was found above the working directory; only used where files have no owner (Windows).

    Raises:
        OSError: It cannot be opened or read.
        NotUsableError: It is not a regular file, or is larger than `MAX_BYTES`.
        UntrustedError: It may have been written by somebody else.
    """
    if not hasattr(os, "geteuid"):
        if above:
            raise UntrustedError("it is above the working directory, and its owner cannot be checked here")
        return read_named(path)
    walk = _Walk(str(path))
    try:
        descriptor = walk.open()
    finally:
        walk.close()
    try:
        _check(os.fstat(descriptor), walk.folders)
    except BaseException:
        os.close(descriptor)
        raise
    return _read_content(descriptor)


def _read_content(descriptor: int) -> bytes:
    """Return the content of an open file, and close the file."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotUsableError(next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "a special file"))
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise NotUsableError(f"a file of more than {MAX_BYTES // 1024} KiB")
    return content


class _Walk:
    """Opens a file by walking its path from the root, and records every folder on it; for one use.

    Attributes:
        folders: The name and status of each folder on the way, including those behind links.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        # `Path.resolve` would follow the links.
        self._todo = deque(part for part in os.path.abspath(path).split("/") if part)  # noqa: PTH100
        self._trail: list[tuple[str, int]] = []
        self._links = 0
        self.folders: list[tuple[str, os.stat_result]] = []
        self._enter("/", os.open("/", _FOLDER))

    def open(self) -> int:
        """Return a descriptor of the file; the caller closes it."""
        while self._todo:
            part = self._todo.popleft()
            here = self._trail[-1][1]
            if part == "..":
                self._leave()
            elif part != ".":
                status = os.stat(part, dir_fd=here, follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    self._follow(part, status)
                elif self._todo:
                    self._enter(os.path.join(self._trail[-1][0], part), os.open(part, _FOLDER_HERE, dir_fd=here))  # noqa: PTH118
                else:
                    return os.open(part, _HERE, dir_fd=here)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self._path)

    def close(self) -> None:
        """Close the open folders."""
        while self._trail:
            os.close(self._trail.pop()[1])

    def _enter(self, name: str, descriptor: int) -> None:
        self._trail.append((name, descriptor))
        self.folders.append((name, os.fstat(descriptor)))

    def _leave(self) -> None:
        if len(self._trail) > 1:
            os.close(self._trail.pop()[1])

    def _follow(self, part: str, status: os.stat_result) -> None:
        self._links += 1
        if self._links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path)
        if status.st_uid not in {os.geteuid(), ROOT}:
            raise UntrustedError(f"a symbolic link on its path belongs to user {status.st_uid}")
        target = os.readlink(part, dir_fd=self._trail[-1][1])
        while target.startswith("/") and len(self._trail) > 1:
            self._leave()
        self._todo.extendleft(reversed([step for step in target.split("/") if step]))


def _check(status: os.stat_result, folders: list[tuple[str, os.stat_result]]) -> None:
    """Raise `UntrustedError` if anyone but the effective user and root can have written a file."""
    user = os.geteuid()
    if not stat.S_ISREG(status.st_mode):
        return  # reading it raises NotUsableError
    if status.st_uid not in {user, ROOT}:
        raise UntrustedError(f"it belongs to user {status.st_uid}, not to you ({user}) or root")
    if status.st_mode & stat.S_IWOTH:
        raise UntrustedError("anyone can write to it")
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, user):
        raise UntrustedError(f"group {status.st_gid} can write to it")
    for name, folder in folders:
        if not folder.st_mode & stat.S_IWOTH:
            continue
        if not folder.st_mode & stat.S_ISVTX:
            raise UntrustedError(f"anyone can write to the folder {name}")
        if status.st_uid != user:
            raise UntrustedError(f"it belongs to root, and anyone can write to the folder {name}")


def _is_private(group: int, user: int) -> bool:
    """Return whether a group is the user's primary group, has the same name, and has no other members."""
    try:
        import grp  # noqa: PLC0415 # not available on Windows
        import pwd  # noqa: PLC0415

        owner, members = pwd.getpwuid(user), grp.getgrgid(group)
    except (ImportError, KeyError, OSError):
        return False
    return owner.pw_gid == group and members.gr_name == owner.pw_name and not {*members.gr_mem} - {owner.pw_name}
