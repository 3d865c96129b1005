"""Finds out whether a file is on a network file system, where the locks of SQLite are not reliable."""

from __future__ import annotations

from pathlib import Path

__all__ = ["find_file_system", "is_network"]

MOUNTS = Path("/proc/self/mounts")

NETWORK = (
    "nfs", "cifs", "smb", "afs", "9p", "ceph", "gluster", "lustre", "gpfs", "beegfs", "ocfs", "gfs2", "ncp", "sshfs",
    "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.gluster", "fuse.ceph", "davfs", "fuse.davfs",
)  # fmt: skip
"""How the types of network file systems begin. https://www.sqlite.org/howtocorrupt.html, section 2.1"""


def is_network(file_system: str) -> bool:
    """Return whether a type of file system is shared between machines."""
    return file_system.startswith(NETWORK)


def find_file_system(path: Path, mounts: str | None = None) -> str:
    """Return the type of a path's file system; empty if it is unknown.

    Args:
        path: An absolute path without symbolic links.
        mounts: The table of mounted file systems, as in ``/proc/mounts`` on Linux; None to read it.
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:  # not Linux
            return ""
    found, depth = "", -1
    for line in mounts.splitlines():
        _device, folder, kind, *_rest = [*line.split(" "), "", "", ""]
        mounted = Path(_unescape(folder))
        if path.is_relative_to(mounted) and len(mounted.parts) >= depth:  # a later mount hides an earlier one
            found, depth = kind, len(mounted.parts)
    return found


def _unescape(folder: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        folder = folder.replace(code, character)
    return folder
