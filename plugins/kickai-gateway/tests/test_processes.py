"""``kickai serve`` as a process: its start, its signals, and its workers."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from processes import SETTINGS, run, start, wait_until
from wire import CHAT, body, check_chunks, read_events

STORE = '[store]\nurl = "sqlite:///kickai.db"\n'


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for yet does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_signal_ends_it(tmp_path, number, code, workers):
    """With the exit code of the signal, and without a process that remains."""
    with run(tmp_path, "--workers", workers) as served:
        with served.client() as client:
            assert client.post(CHAT, json=body()).status_code == 200
        children = served.children()
        assert len(children) == (0 if workers == "1" else 2)
        served.signal(number)
        assert served.process.wait(30) == code
    assert [pid for pid in children if is_running(pid)] == []


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_running_requests_end_before_it_does(tmp_path, workers):
    """After SIGTERM a stream goes on to its end, and new connections are refused."""
    with run(tmp_path, "--workers", workers) as served, served.client() as client:
        with client.stream("POST", CHAT, json=body("one:steady", stream=True)) as response:
            lines = response.iter_text()
            text = next(lines)
            served.signal(signal.SIGTERM)
            text += "".join(lines)
        assert check_chunks(text)
        assert served.process.wait(30) == 0
        with pytest.raises(httpx.TransportError):
            client.get("/healthz")


def ask_in_vain(client, answers):
    """Ask for an answer that takes longer than the gateway lives."""
    response = client.post(CHAT, json=body("one:slow"))
    answers.append((response.status_code, response.json()["error"]["code"]))


def test_the_drain_is_bounded(tmp_path):
    """A stream that takes longer ends with an error event."""
    settings = f"{SETTINGS}\n[gateway]\ndrain_s = 0.5\n"
    with run(tmp_path, settings=settings) as served, served.client() as client:
        with client.stream("POST", CHAT, json=body("one:slow", stream=True)) as response:
            lines = response.iter_text()
            text = next(lines)
            served.signal(signal.SIGTERM)
            text += "".join(lines)
        assert read_events(text)[-1].startswith('error: {"error":{"message":"the gateway is shutting down')
        assert served.process.wait(30) == 0


def test_a_second_ctrl_c_ends_it_at_once(tmp_path):
    """The workers that still run get the signal."""
    with run(tmp_path) as served, served.client() as client:
        answers = []
        asking = threading.Thread(target=ask_in_vain, args=(client, answers))
        asking.start()
        with served.client() as other:
            wait_until(lambda: "running_requests 1" in other.get("/metrics").text)
        served.signal(signal.SIGINT)
        time.sleep(0.3)
        served.signal(signal.SIGINT)
        assert served.process.wait(15) == 130
        asking.join()
    assert answers == [(503, "shutting_down")]


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_the_settings_are_read_again_on_sighup(tmp_path, workers):
    """Without dropping a request: a stream that began before ends with the old settings."""
    with run(tmp_path, "--workers", workers) as served, served.client() as client:
        with client.stream("POST", CHAT, json=body("one:steady", stream=True)) as response:
            lines = response.iter_text()
            text = next(lines)
            (tmp_path / "kickai.toml").write_text(f'{SETTINGS}\n[providers.late]\nkind = "one"\n')
            served.signal(signal.SIGHUP)
            for _ in range(int(workers)):
                served.wait_for_line("settings were read again")
            text += "".join(lines)
        assert check_chunks(text)
        for _ in range(6):  # whichever worker answers
            with served.client() as other:
                assert other.post(CHAT, json=body("late")).status_code == 200


def test_invalid_settings_are_not_taken_over(tmp_path):
    """They are reported, and the old ones stay."""
    with run(tmp_path) as served, served.client() as client:
        (tmp_path / "kickai.toml").write_text(f"{SETTINGS}\n[gateway]\nprot = 5\n")
        served.signal(signal.SIGHUP)
        served.wait_for_line("old ones are kept")
        served.wait_for_line("Did you mean 'port'")
        assert client.post(CHAT, json=body()).status_code == 200


def test_a_killed_worker_is_replaced(tmp_path):
    """It takes only its own requests with it, and the counters stay."""
    with run(tmp_path, "--workers", "2", settings=SETTINGS + STORE) as served:
        before = served.children()
        with served.client() as client:
            for _ in range(4):
                assert client.post(CHAT, json=body()).status_code == 200
        streams = []
        while len({pid for pid, _, _ in streams}) < 2:  # until each worker serves one
            client = served.client()
            client.__enter__()
            response = client.send(client.build_request("POST", CHAT, json=body("one:slow", stream=True)), stream=True)
            peer = response.extensions["network_stream"].get_extra_info("client_addr")
            streams.append((find_owner(before, peer[1], served.url), client, response))
            assert len(streams) < 60
        os.kill(before[0], signal.SIGKILL)
        served.wait_for_line("ended with signal 9; starting another one")
        wait_until(lambda: len(served.children()) == 2 and served.children() != before)
        for pid, client, response in streams:
            lines = response.iter_text()
            if pid == before[0]:
                with pytest.raises(httpx.TransportError):
                    "".join(lines)
            else:
                assert "Anna" in next(lines)
            client.close()
        with served.client() as client:
            wait_until(lambda: 'route="chat",status="200"} 4' in client.get("/metrics").text)


def find_owner(pids, port, url):
    """Return which process has the connection from a port."""
    wanted = f":{int(url.rpartition(':')[2]):04X} 0100007F:{port:04X} "
    with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: PTH123
        inode = next((line.split()[9] for line in table if wanted in line), None)
    for pid in pids:
        for entry in list(Path(f"/proc/{pid}/fd").iterdir()):
            try:
                if str(entry.readlink()) == f"socket:[{inode}]":
                    return pid
            except FileNotFoundError:
                continue
    return None


def test_workers_end_with_their_supervisor(tmp_path):
    """Even when it is killed."""
    with run(tmp_path, "--workers", "2") as served:
        children = served.children()
        served.process.kill()
        served.process.wait()
        wait_until(lambda: not [pid for pid in children if is_running(pid)])


def test_several_workers_without_a_store_say_what_they_do_not_share(tmp_path):
    """Before they serve; with a store there is nothing to say."""
    with run(tmp_path, "--workers", "2") as served:
        assert any("do not share health, rate limits" in line for line in served.lines)
    with run(tmp_path, "--workers", "2", settings=SETTINGS + STORE) as served:
        assert not any("do not share" in line for line in served.lines)


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_feedback_reaches_every_worker(tmp_path, workers):
    """Whichever one gave the answer."""
    with run(tmp_path, "--workers", workers, settings=SETTINGS + STORE) as served:
        for _ in range(8):
            with served.client() as client:
                answer = client.post(CHAT, json=body()).json()
            with served.client() as client:
                response = client.post("/v1/feedback", json={"id": answer["id"], "ok": True, "name": "tone"})
                assert response.status_code == 200, response.text


def test_a_port_that_is_taken_is_a_usage_error(tmp_path):
    """It says which, with the exit code 2 and without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        served = start(tmp_path, "--port", port)
        assert served.process.wait(30) == 2
    err = "".join(served.end())
    assert f"Cannot listen on 127.0.0.1 port {port}: Address already in use." in err
    assert "Traceback" not in err


def test_settings_that_cannot_be_used_are_a_usage_error(tmp_path):
    """All problems are reported."""
    served = start(tmp_path, settings="[gateway]\nport = 70000\nworkers = 0\n")
    assert served.process.wait(30) == 2
    err = "".join(served.end())
    assert "gateway.port" in err
    assert "gateway.workers" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--host", ""), "The address of --host is empty."),
        (("--host", "nowhere.invalid"), "Cannot listen on nowhere.invalid"),
        (("--port", "70000"), "70000 is not in the range"),
        (("--workers", "0"), "0 is not in the range"),
    ],
)
def test_wrong_options_are_a_usage_error(tmp_path, arguments, message):
    """With a message, the exit code 2 and no traceback."""
    served = start(tmp_path, *arguments)
    assert served.process.wait(30) == 2
    err = "".join(served.end())
    assert message in err
    assert "Traceback" not in err
