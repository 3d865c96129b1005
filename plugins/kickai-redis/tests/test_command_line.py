"""The command line with a store in Redis or Valkey, as an operator uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from application import wait_until
from command_line import Site
from servers import KINDS, running

pytestmark = pytest.mark.slow

ANSWER = """
import sys
from kickai_providers_core import Resolver
from kickai_providers_core.observability import store_thread

store_thread.FLUSH_S = 60.0  # the machine may be busy
with Resolver.from_settings() as resolver:
    print("ready", flush=True)
    for key in sys.stdin:
        print(resolver.for_role(None).invoke("Who can play?", key=key.strip()).provider, flush=True)
"""


class Application:
    """A process that answers requests on its standard input."""

    def __init__(self, site):
        self.asked = 0
        self.process = site.start(ANSWER)
        assert self.process.stdout.readline().strip() == "ready"

    def ask(self, key):
        """Return the provider that serves a request."""
        self.asked += 1
        self.process.stdin.write(f"{key}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        """Let it end."""
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


KEYS = [f"user-{number}" for number in range(40)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_rollout_of_several_processes(kind, tmp_path):
    """They follow an operator and agree, the report counts every request, and the doctor describes the server."""
    with running(kind) as server:
        site = Site(tmp_path, f"{kind}://{server.address}/1?timeout_s=10")
        applications = [Application(site), Application(site)]
        assert {each.ask(key) for each in applications for key in KEYS} == {"old"}
        site.kickai("rollout", "set", "new", "50%")
        wait_until(lambda: all("new" in {each.ask(key) for key in KEYS} for each in applications))
        served = [{key for key in KEYS if each.ask(key) == "new"} for each in applications]
        assert served[0] == served[1]
        site.kickai("rollout", "back")
        wait_until(lambda: all({each.ask(key) for key in KEYS} == {"old"} for each in applications))
        assert "back" in site.kickai("rollout", "history")
        for each in applications:
            each.close()
        report = json.loads(site.kickai("report", "--json"))
        doctor = site.kickai("doctor")
        assert f"{kind}://{server.address}/1" in " ".join(doctor.split())
        assert "is writable, schema 1, namespace app" in " ".join(doctor.split())
        assert "appendonly" in doctor
    assert report["requests"] == sum(each.asked for each in applications)


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_several_operators_wins(kind, tmp_path):
    """Of changes that are based on the same version, one is made; the others end with code 1."""
    with running(kind) as server:
        site = Site(tmp_path, f"{kind}://{server.address}?timeout_s=10")
        site.kickai("rollout", "set", "new", "1%")

        def change(share):
            try:
                site.kickai("rollout", "set", "new", f"{share}%")
            except AssertionError as error:
                assert "changed" in str(error)  # noqa: PT017  the thread returns what happened
                return 0
            return 1

        with ThreadPoolExecutor(4) as pool:
            made = sum(pool.map(change, range(10, 50, 10)))
        history = site.kickai("rollout", "history")
        assert made >= 1
        assert history.count("new at") == made + 1


@pytest.mark.parametrize("credentials", ["", "kickai:canary@"])
def test_a_dead_server_is_explained(credentials, tmp_path):
    """The commands that need the store say which one and what is wrong; a request is answered. No password is shown."""
    with running("valkey") as server:
        site = Site(tmp_path, f"redis://{credentials}{server.address}")
    for arguments, code in ((("doctor",), 1), (("report",), 1), (("rollout", "set", "new", "5%"), 1)):
        shown = " ".join(site.kickai(*arguments, code=code).split())
        assert f"the store redis://{server.address} cannot be reached: Connection refused" in shown
        assert "canary" not in shown
        assert "Traceback" not in shown
    assert "Ann" in site.kickai("ask", "Who can play?")


def test_the_password_comes_from_the_environment(tmp_path):
    """The settings file need not have it."""
    with running("valkey", "--requirepass", "canary") as server:
        site = Site(tmp_path, f"redis://{server.address}?timeout_s=10")
        shown = " ".join(site.kickai("doctor", code=1).split())
        assert "the server needs a password: put it before the host, or in KICKAI_REDIS_PASSWORD" in shown
        assert "canary" not in site.kickai("doctor", KICKAI_REDIS_PASSWORD="canary")


@pytest.mark.parametrize(
    ("url", "namespace", "words"),
    [
        ("redis://a,canary:1", "app", "several hosts need redis+sentinel:// or redis+cluster://"),
        ("redis://h?password=canary", "app", "unknown option (known: timeout_s"),
        ("redis://:canary@h", "", "needs a namespace"),
    ],
)
def test_wrong_settings_are_explained(tmp_path, url, namespace, words):
    """With what to write instead, and without a password."""
    site = Site(tmp_path, "memory:")
    path = site.folder / "kickai.toml"
    path.write_text(path.read_text().replace('"memory:"', f'"{url}"').replace('"app"', f'"{namespace}"'))
    done = subprocess.run(
        [sys.executable, "-c", "from kickai_providers_core.cli import main; raise SystemExit(main())", "doctor"],
        cwd=site.folder,
        env=site.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    shown = " ".join((done.stdout + done.stderr).split())
    assert done.returncode in {1, 2}
    assert words in shown
    assert "Traceback" not in shown
