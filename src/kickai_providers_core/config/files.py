"""Files that settings are read from: only regular ones, of bounded size, and found ones only when they can be trusted.

A file that was *found*, by looking upwards from the working directory or next to such a file, must be a regular file
that belongs to the effective user or to root and that nobody else may write, with no world-writable folder on its path
(a sticky one is allowed when the file belongs to the user). The path is walked folder by folder: each is opened without
following links, relative to the one before, and checked with `os.fstat`, and so is the file, which is read from the
same descriptor. Nothing that is swapped in between is ever used. A symbolic link must belong to the user or to root;
what it points to is what is checked, with its folders.

A file that somebody *named* is read whoever owns it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LARGEST_BYTES", "NotUsableError", "UntrustedError", "exists", "read_found", "read_named"]

LARGEST_BYTES = 1024 * 1024
"""The largest settings file, ``.env`` or secret that is read."""

MOST_LINKS = 40
"""Symbolic links on one path; as many as Linux follows."""

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
    """A file that cannot be used, whoever named it; its message says what was found instead."""


class UntrustedError(Exception):
    """A found file that somebody else may have written; its message says why, as in ``it belongs to user 1001``."""


def exists(path: Path) -> bool:
    """Return whether something other than a directory is there; a folder that may not be searched counts as empty."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 # pathlib raises for some of what is caught here
    except (OSError, ValueError):
        return False


def read_named(path: Path) -> bytes:
    """Return the content of a file that somebody named.

    Raises:
        OSError: It cannot be opened or read.
        NotUsableError: It is no regular file, or larger than `LARGEST_BYTES`.
    """
    return _content(os.open(path, _READ))


def read_found(path: Path, *, above: bool = True) -> bytes:
    """Return the content of a file that was found, if it can be trusted.

    Args:
        path: The file.
        above: Whether it was found above the working directory; only asked where files have no owner (Windows).

    Raises:
        OSError: It cannot be opened or read.
        NotUsableError: It is no regular file, or larger than `LARGEST_BYTES`.
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
    return _content(descriptor)


def _content(descriptor: int) -> bytes:
    """Return what an open file holds, and close it."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotUsableError(next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "a special file"))
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST_BYTES:
        raise NotUsableError(f"a file of more than {LARGEST_BYTES // 1024} KiB")
    return content


class _Walk:
    """Opens a file by walking its path from the root, so that every folder on it is known; for one use.

    Attributes:
        folders: The name and the state of each folder that was walked through, those behind links included.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        # `Path.resolve` would follow the links, which are walked here.
        self._todo = deque(part for part in os.path.abspath(path).split("/") if part)  # noqa: PTH100
        self._trail: list[tuple[str, int]] = []
        self._links = 0
        self.folders: list[tuple[str, os.stat_result]] = []
        self._enter("/", os.open("/", _FOLDER))

    def open(self) -> int:
        """Return a descriptor of the file, which the caller closes."""
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
        """Close the folders that are open."""
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
        if self._links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path)
        if status.st_uid not in {os.geteuid(), ROOT}:
            raise UntrustedError(f"it is behind a symbolic link of user {status.st_uid}")
        target = os.readlink(part, dir_fd=self._trail[-1][1])
        while target.startswith("/") and len(self._trail) > 1:
            self._leave()
        self._todo.extendleft(reversed([step for step in target.split("/") if step]))


def _check(status: os.stat_result, folders: list[tuple[str, os.stat_result]]) -> None:
    """Raise `UntrustedError` unless nobody but the effective user and root can have written a file."""
    user = os.geteuid()
    if not stat.S_ISREG(status.st_mode):
        return  # reading it says what it is
    if status.st_uid not in {user, ROOT}:
        raise UntrustedError(f"it belongs to user {status.st_uid}, not to you ({user}) or root")
    if status.st_mode & stat.S_IWOTH:
        raise UntrustedError("everybody may write it")
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, user):
        raise UntrustedError(f"group {status.st_gid} may write it")
    for name, folder in folders:
        if not folder.st_mode & stat.S_IWOTH:
            continue
        if not folder.st_mode & stat.S_ISVTX:
            raise UntrustedError(f"everybody may write the folder {name}")
        if status.st_uid != user:
            raise UntrustedError(f"it belongs to root, and everybody may write the folder {name}")


def _is_private(group: int, user: int) -> bool:
    """Return whether a group is the user's own: its primary group, of the same name and without other members."""
    try:
        import grp  # noqa: PLC0415 # not there on Windows
        import pwd  # noqa: PLC0415

        owner, members = pwd.getpwuid(user), grp.getgrgid(group)
    except (ImportError, KeyError, OSError):
        return False
    return owner.pw_gid == group and members.gr_name == owner.pw_name and not {*members.gr_mem} - {owner.pw_name}
