"""``kickai serve`` refuses to serve strangers, and limits that it could not hold."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest
from processes import PROGRAM, SETTINGS, run, start
from wire import CHAT, body

STORE = '[store]\nurl = "sqlite:///kickai.db"\n'


def make_key(folder, name="web"):
    """Return a new key and its table of the settings, as the program prints them."""
    done = subprocess.run(
        [str(PROGRAM), "serve", "--new-key", name], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    text = re.search(r"kickai-[0-9a-f]{16}\.\S+", done.stdout)[0]
    table = "\n".join(line.strip() for line in done.stdout.partition("[gateway")[1:][1].splitlines())
    return text, f"\n[gateway{table}\n"


@pytest.mark.parametrize(
    ("arguments", "settings", "expected"),
    [
        (["--host", "0.0.0.0"], "", "Cannot serve 0.0.0.0 without keys"),  # noqa: S104
        (["--host", "::"], "", "Cannot serve :: without keys"),
        ([], "KEY\ntokens_per_day = 10\n", "gateway.keys.web.tokens_per_day needs a store"),
        (["--workers", "2"], "KEY\nrequests_per_minute = 10\n", "gateway.keys.web.requests_per_minute needs a store"),
    ],
)
def test_it_does_not_start(tmp_path, arguments, settings, expected):
    """The exit code is 2, and the message says what to do."""
    table = settings.replace("KEY", make_key(tmp_path)[1]) if settings else ""
    served = start(tmp_path, "--port", "0", *arguments, settings=SETTINGS + table)
    assert served.process.wait(60) == 2
    lines = "".join(served.end())
    assert expected in lines
    assert "Traceback" not in lines


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_new_key_opens_a_gateway_that_others_can_reach(tmp_path, workers):
    """What the program prints can be pasted; the key is in no line that the gateway writes."""
    text, table = make_key(tmp_path)
    settings = f"{SETTINGS}{STORE}{table}requests_per_minute = 1000\ntokens_per_day = 1000000\n"
    with run(tmp_path, "--host", "0.0.0.0", "--workers", workers, settings=settings) as served:  # noqa: S104
        port = re.search(r":(\d+)/v1", "".join(served.lines))[1]
        with served.client() as client:
            url = f"http://127.0.0.1:{port}"
            assert client.post(f"{url}{CHAT}", json=body(model="kickai")).status_code == 401
            for _ in range(10):
                reply = client.post(
                    f"{url}{CHAT}", json=body(model="kickai"), headers={"authorization": f"Bearer {text}"}
                )
                assert reply.status_code == 200
        served.signal(signal.SIGTERM)
        served.process.wait(30)
    lines = "".join(served.lines)
    assert text not in lines
    assert text.partition(".")[2] not in lines


def test_reading_unsafe_settings_again_keeps_the_old_ones(tmp_path):
    """A mistake in the file does not open the gateway to everyone."""
    text, table = make_key(tmp_path)
    with run(tmp_path, "--host", "0.0.0.0", settings=SETTINGS + table) as served:  # noqa: S104
        port = re.search(r":(\d+)/v1", "".join(served.lines))[1]
        (tmp_path / "kickai.toml").write_text(SETTINGS)
        served.signal(signal.SIGHUP)
        served.wait_for_line("without keys")
        with served.client() as client:
            url = f"http://127.0.0.1:{port}/v1/models"
            assert client.get(url).status_code == 401
            assert client.get(url, headers={"authorization": f"Bearer {text}"}).status_code == 200


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", ["no keys", "no file", "a file of anyone"])
def test_a_gateway_that_began_with_keys_never_serves_without(tmp_path, loss, workers):
    """Not on this machine either, whatever became of the settings, and also not after the death of a worker."""
    text, table = make_key(tmp_path)
    file = tmp_path / "kickai.toml"
    with run(tmp_path, "--workers", workers, settings=SETTINGS + table) as served, served.client() as client:
        if loss == "no keys":
            file.write_text(SETTINGS)
        elif loss == "no file":
            file.unlink()
        else:
            file.chmod(0o666)
        served.signal(signal.SIGHUP)
        served.wait_for_line("have no keys any more")
        if workers == "2":
            os.kill(served.children()[0], signal.SIGKILL)
            served.wait_for_line("starting another one")
            served.wait_for_line("have no keys any more")
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers={"authorization": f"Bearer {text}"}).status_code == 200
    assert (loss == "a file of anyone") == any("anyone can write to it" in line for line in served.lines)


def test_settings_that_are_ignored_are_named(tmp_path):
    """The gateway serves by others then."""
    (tmp_path / "kickai.toml").touch()
    (tmp_path / "kickai.toml").chmod(0o666)
    served = start(tmp_path, "--port", "0")
    try:
        served.wait_for_line("warning: .*anyone can write to it")
    finally:
        served.end()


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 41, 'a"]\n[kickai'])
def test_a_malformed_name_of_a_key_is_refused(tmp_path, name):
    """It becomes part of the settings."""
    done = subprocess.run(
        [str(PROGRAM), "serve", "--new-key", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "lower-case letters" in done.stderr
