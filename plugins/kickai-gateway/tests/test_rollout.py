"""The header ``x-kickai-key`` and a rollout: a user always gets the same arm, in every process."""

from __future__ import annotations

import os
import subprocess

import pytest
from processes import PROGRAM, TESTS, run, wait_until
from wire import CHAT, body

SETTINGS = """
[kickai]
primary = "old"
fallback = ["new"]
plugins = ["one"]
[providers.old]
kind = "one"
[providers.new]
kind = "one"
[store]
url = "sqlite:///kickai.db"
"""

USERS = [f"user-{number}" for number in range(60)]


def set_share(folder, share):
    """Give the provider ``new`` a share of the requests, as an operator does."""
    paths = os.pathsep.join((str(folder / "site"), str(TESTS)))
    subprocess.run(
        [str(PROGRAM), "rollout", "set", "new", share],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths, "HOME": str(folder)},
        capture_output=True,
        check=True,
        timeout=120,
    )


def find_candidates(client, *, stream=False):
    """Return the users whom the provider ``new`` answers."""
    given = body("kickai", stream=stream)
    replies = {user: client.post(CHAT, json=given, headers={"x-kickai-key": user}) for user in USERS}
    assert {reply.status_code for reply in replies.values()} == {200}
    return {user for user, reply in replies.items() if reply.headers["x-kickai-provider"] == "new"}


@pytest.mark.slow
def test_the_same_key_gets_the_same_arm_and_a_greater_share_moves_keys_forward_only(tmp_path):
    """Through the real server: in whole answers and streams, in several processes, and after a restart."""
    with run(tmp_path, settings=SETTINGS) as served, served.client() as client:
        assert find_candidates(client) == set()
        set_share(tmp_path, "30%")
        wait_until(lambda: find_candidates(client))
        few = find_candidates(client)
        assert 0 < len(few) < len(USERS)
        assert find_candidates(client) == find_candidates(client, stream=True) == few
        set_share(tmp_path, "60%")
        wait_until(lambda: find_candidates(client) != few)
        many = find_candidates(client)
        assert many > few
        assert len(many) < len(USERS)
    with run(tmp_path, "--workers", "2", settings=SETTINGS) as served, served.client() as client:
        for _ in range(3):
            assert find_candidates(client) == many
        arms = {client.post(CHAT, json=body("kickai")).headers["x-kickai-provider"] for _ in range(40)}
        assert arms == {"old", "new"}  # without a key, each request is on its own
