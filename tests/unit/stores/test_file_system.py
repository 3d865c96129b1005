"""Network file systems are recognised."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kickai_providers_core.stores.sqlite.file_system import find_file_system, is_network
from kickai_providers_core.stores.sqlite.status import describe_dangers

MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
server:/export /home nfs4 rw 0 0
tmpfs /home/me/local\040disk tmpfs rw 0 0
//server/share /mnt cifs rw 0 0
host:/x /srv/data fuse.sshfs rw 0 0
/dev/sdb1 /srv/data ext4 rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/kickai.db", "ext4"),
        ("/home/me/kickai.db", "nfs4"),
        ("/homestead/kickai.db", "ext4"),
        ("/home/me/local disk/kickai.db", "tmpfs"),
        ("/mnt/kickai.db", "cifs"),
        ("/srv/data/kickai.db", "ext4"),
    ],
)
def test_the_file_system_of_a_path(path, kind):
    """It is the one that was mounted last at the deepest folder."""
    assert find_file_system(Path(path), MOUNTS) == kind


@pytest.mark.skipif(sys.platform != "linux", reason="the table is Linux's")
def test_the_table_of_this_machine(tmp_path):
    """It is read without an argument."""
    assert find_file_system(tmp_path.resolve())


@pytest.mark.parametrize(("kind", "expected"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False)])
def test_a_network_file_system_is_a_warning(kind, expected):
    """So is a file that others may write."""
    assert is_network(kind) is expected
    assert len(describe_dangers(kind, 0o100600)) == expected
    assert len(describe_dangers(kind, 0o100620)) == expected + 1
    assert not is_network("")
