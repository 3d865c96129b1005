"""``kickai batch``: OpenAI's batch form in and out, resuming after ``kill -9``, and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import PROGRAM, CommandLine, Ended, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PLUGIN = """
import asyncio, os
from pathlib import Path
from kickai_providers_core import Capability, FinishReason, ProviderInfo, ProviderUnavailableError, Reply, ToolCall
from kickai_providers_core import Usage, hookimpl

log = os.open(os.environ["ASKED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@hookimpl
def kickai_provider_info():
    return ProviderInfo(name="logger", summary="logs each question", capabilities=frozenset(Capability))

@hookimpl
def kickai_create_provider(settings):
    return object()

@hookimpl
def kickai_invoke_provider(provider, request, timeout_s):
    raise AssertionError("a batch is asynchronous")

@hookimpl
async def kickai_ainvoke_provider(provider, request, timeout_s):
    text = request.messages[-1].content
    os.write(log, (text + "\\n").encode())
    await asyncio.sleep(float(os.environ.get("DELAY_S", "0")))
    if text.startswith("down") and not os.path.exists("up"):
        raise ProviderUnavailableError("down")
    calls = (ToolCall(id="1", name="look", arguments="{}"),) if request.tools else ()
    return Reply(
        text="" if calls else f"{text} {request.model} {request.max_tokens} {request.temperature}",
        finish_reason=FinishReason.TOOL_CALL if calls else FinishReason.STOP,
        tool_calls=calls,
        usage=Usage(input_tokens=3, output_tokens=4, cached_tokens=1, reasoning_tokens=2),
        model="served",
        request_id="r-7",
        reasoning="hm" if text == "think" else "",
    )

@hookimpl
def kickai_close_provider(provider):
    if "PEAK" in os.environ:
        Path(os.environ["PEAK"]).write_text(Path("/proc/self/status").read_text())
"""

SETTINGS = (
    '[kickai]\nprimary = "logger"\nfallback = []\n[providers.logger]\nretries = 0\n[breaker]\nmax_errors = 1000\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the plugin and its settings."""
    info = tmp_path / "site" / "logger-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "logger_plugin.py").write_text(PLUGIN, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: logger\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[kickai.providers]\nlogger = logger_plugin\n", encoding="utf-8")
    (tmp_path / "kickai.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def variables(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of the program."""
    paths = os.pathsep.join(filter(None, (str(folder / "site"), os.environ.get("PYTHONPATH"))))
    return environment(PYTHONPATH=paths, ASKED=str(folder / "asked"), **more)


def start(folder: Path, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
    """Start the program."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(PROGRAM), "batch", *arguments, "in.jsonl", "out.jsonl"],
        cwd=folder,
        env=variables(folder, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(folder: Path, *arguments: str, **more: str) -> Ended:
    """Run the program to its end."""
    process = start(folder, *arguments, **more)
    out, err = process.communicate(timeout=120)
    return Ended(process.returncode, out.decode(), err.decode())


def write(folder: Path, bodies: Sequence[Any], name: str = "in.jsonl") -> None:
    """Write a file of requests; a text is a prompt, and bytes are a whole line."""
    lines = []
    for number, body in enumerate(bodies):
        if isinstance(body, bytes):
            lines.append(body)
            continue
        given = {"messages": [{"role": "user", "content": body}]} if isinstance(body, str) else body
        line = {"custom_id": f"id-{number}", "method": "POST", "url": "/v1/chat/completions", "body": given}
        lines.append(json.dumps(line).encode())
    (folder / name).write_bytes(b"\n".join(lines) + b"\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the complete lines of the results."""
    data = (folder / "out.jsonl").read_bytes()
    return [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


def count_asked(folder: Path) -> Counter[str]:
    """Return how often each question was asked."""
    return Counter((folder / "asked").read_text(encoding="utf-8").splitlines())


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a condition while a process runs."""
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    pytest.fail("it took more than a minute")


def test_results_have_the_form_of_openais_batches(folder: Path) -> None:
    """Each request has one line with its id, and a chat completion or an error."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "äöü"}]
    bodies = [
        {"model": "gpt-x", "messages": messages, "max_completion_tokens": 9, "temperature": 0.5, "n": 1, "user": "u"},
        {"messages": messages, "tools": [{"type": "function", "function": {"name": "look"}}]},
        "think",
        "down",
    ]
    write(folder, bodies)
    ended = run(folder, "--json", "--concurrency", "1")
    assert ended.code == 1
    summary = ended.json
    assert summary.pop("elapsed_s") >= 0
    assert summary == {"output": "out.jsonl", "requests": 4, "answered": 3, "failed": 1, "earlier": 0}
    assert "3 answers and 1 failure in out.jsonl (--retry-failed asks them again)" in ended.err
    first, second, third, fourth = read(folder)
    created = first["response"]["body"].pop("created")
    assert abs(created - time.time()) < 600
    assert first == {
        "id": "line-1",
        "custom_id": "id-0",
        "response": {
            "status_code": 200,
            "request_id": "r-7",
            "body": {
                "id": "r-7",
                "object": "chat.completion",
                "model": "served",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": "äöü None 9 0.5"},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "total_tokens": 7,
                    "prompt_tokens_details": {"cached_tokens": 1},
                    "completion_tokens_details": {"reasoning_tokens": 2},
                },
                "kickai": {"provider": "logger", "fell_back": False, "attempts": 1},
            },
        },
        "error": None,
    }
    (choice,) = second["response"]["body"]["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }
    assert third["response"]["body"]["choices"][0]["message"]["reasoning_content"] == "hm"
    assert fourth["response"] is None
    assert fourth["error"]["code"] == "ChainExhaustedError"
    assert fourth["error"]["message"].startswith("no target could answer")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "the line is not valid JSON in UTF-8"),
        (b"\xff", "the line is not valid JSON in UTF-8"),
        (b"[]", "the line must be an object, got list"),
        (b'{"body": {}}', "custom_id must be text that is not empty, got None"),
        (b'{"custom_id": "a", "url": "/v1/embeddings"}', "the method and url must be POST /v1/chat/completions"),
        (b'{"custom_id": "a", "boddy": {}}', "unknown key 'boddy' (allowed: body, custom_id, method, url)"),
        (b'{"custom_id": "a", "body": 5}', "body must be an object, got int"),
        (b'{"custom_id": "a", "body": {}}', "body.messages must be a list of messages, got None"),
        (b'{"custom_id": "a", "body": {"n": 2}}', "body.n is not supported"),
        (
            b'{"custom_id": "a", "body": {"messages": [{"role": "user", "content": 5}]}}',
            "body.messages[0].content must be a sequence of content parts, or text, got int",
        ),
        (b'{"custom_id": "a", "body": {"messages": [], "topp": 1}}', "unknown field 'topp' in body"),
        (
            b'{"custom_id": "a", "body": {"messages": [], "response_format": {"type": "x"}}}',
            "body.response_format must be text, json_object, or json_schema with a schema",
        ),
    ],
)
def test_a_malformed_line_is_its_own_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: bytes, message: str
) -> None:
    """The others are answered; the line's result says what is wrong with it, and quotes no prompt."""
    pytest.importorskip("kickai_mock")
    cli = CommandLine(tmp_path, monkeypatch, capsys)
    write(tmp_path, ["hi", line, b"", "ho"])
    assert cli("batch", "--chain", "mock", "--concurrency", "1", "in.jsonl", "out.jsonl").code == 1
    first, second, third = read(tmp_path)
    assert (first["custom_id"], third["custom_id"]) == ("id-0", "id-3")
    assert second["error"] == {"code": "invalid_request", "message": message}
    assert second["id"] == "line-2"
    assert cli("batch", "--chain", "mock", "in.jsonl", "out.jsonl").code == 1
    assert len(read(tmp_path)) == 3


@pytest.mark.slow
def test_nothing_that_was_answered_is_asked_again_after_kill_9(folder: Path) -> None:
    """Killed again and again, the batch ends with one result for each request."""
    prompts = [f"prompt {number}" for number in range(120)]
    write(folder, prompts)
    out = folder / "out.jsonl"
    asked_for: dict[str, int] = {}
    for kept in (10, 40, 80):
        process = start(folder, "--concurrency", "5", DELAY_S="0.02")
        wait_until(lambda kept=kept: out.exists() and out.read_bytes().count(b"\n") >= kept, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        asked = count_asked(folder)
        prompts_answered = {f"prompt {line['custom_id'].removeprefix('id-')}" for line in read(folder)}
        asked_for |= {prompt: asked[prompt] for prompt in prompts_answered - asked_for.keys()}
        with out.open("ab") as file:  # as if the last write had been cut
            file.write(b'{"id": "line-119", "custom_id": "id-11')
    ended = run(folder, "--json")
    assert (ended.code, ended.json["answered"], ended.json["failed"]) == (0, 120, 0)
    assert ended.json["earlier"] == len(asked_for)
    results = read(folder)
    assert sorted(line["custom_id"] for line in results) == sorted(f"id-{number}" for number in range(120))
    for line in results:
        number = line["custom_id"].removeprefix("id-")
        assert line["response"]["body"]["choices"][0]["message"]["content"].startswith(f"prompt {number} ")
    asked = count_asked(folder)
    assert set(asked) == set(prompts)
    assert {prompt: asked[prompt] for prompt in asked_for} == asked_for
    assert sum(asked.values()) <= 120 + 3 * 5  # those that were under way at a kill


def test_ctrl_c_keeps_what_was_answered(folder: Path) -> None:
    """The exit code is 130, the output says how to go on, and the next run does so."""
    write(folder, [f"prompt {number}" for number in range(50)])
    process = start(folder, "--concurrency", "2", DELAY_S="0.05")
    out = folder / "out.jsonl"
    wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 5, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = len(read(folder))
    assert f"{kept} results kept: run the same command to go on" in err.decode()
    assert b"Traceback" not in err
    assert run(folder, "--json").json["earlier"] == kept
    assert len(read(folder)) == 50


def test_failures_are_asked_again_on_demand(folder: Path) -> None:
    """Without the option they keep their results; with it they get new ones, and answers are not asked again."""
    write(folder, ["a", "down 1", "b", "down 2"])
    assert run(folder).code == 1
    (folder / "up").touch()
    assert run(folder).code == 1
    assert run(folder, "--retry-failed").code == 0
    assert run(folder, "--retry-failed").code == 0
    assert sorted(line["custom_id"] for line in read(folder)) == ["id-0", "id-1", "id-2", "id-3"]
    assert count_asked(folder) == {"a": 1, "b": 1, "down 1": 2, "down 2": 2}
    assert not (folder / "out.jsonl.tmp").exists()


def test_results_of_another_input_are_refused(folder: Path) -> None:
    """No request is sent when the files do not belong together."""
    write(folder, ["a", "b"])
    assert run(folder).code == 0
    write(folder, [b'{"custom_id": "other", "body": {"messages": [{"role": "user", "content": "c"}]}}'])
    ended = run(folder)
    assert ended.code == 2
    assert "out.jsonl has the results of another input: line 1 has another custom_id there" in ended.err
    (folder / "out.jsonl").write_text('{"text": "an important file"}\n', encoding="utf-8")
    ended = run(folder)
    assert ended.code == 2
    assert "line 1 of out.jsonl is not a result of kickai batch: name another file" in ended.err
    assert (folder / "out.jsonl").read_text(encoding="utf-8") == '{"text": "an important file"}\n'
    assert count_asked(folder) == {"a": 1, "b": 1}


def test_two_processes_cannot_write_to_one_file(folder: Path) -> None:
    """The second one ends at once."""
    write(folder, ["a"])
    process = start(folder, DELAY_S="60")
    wait_until(lambda: (folder / "asked").exists() and bool(count_asked(folder)), process)
    ended = run(folder)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (ended.code, "another process is writing to out.jsonl" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone.jsonl", "out.jsonl"), "'gone.jsonl' does not exist"),
        (("in.jsonl", "in.jsonl"), "IN.jsonl and OUT.jsonl must be different files"),
        (("--concurrency", "0", "in.jsonl", "out.jsonl"), "0 is not in the range x>=1"),
        (("--chain", "nobody", "in.jsonl", "out.jsonl"), "unknown provider 'nobody'"),
        (("in.jsonl",), "Missing argument 'OUT.jsonl'"),
    ],
)
def test_wrong_usage_has_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: Any, message: str
) -> None:
    """The error says what is wrong."""
    cli = CommandLine(tmp_path, monkeypatch, capsys)
    write(tmp_path, ["a"])
    ended = cli("batch", *arguments)
    assert (ended.code, message in ended.err) == (2, True)


def test_a_line_can_name_its_model(folder: Path) -> None:
    """With the option the chain calls that model; the role sets temperature and token limit."""
    messages = [{"role": "user", "content": "a"}]
    write(folder, [{"model": "large", "messages": messages}, {"messages": messages}])
    assert run(folder, "--use-models", "--chain", "logger", "--concurrency", "1").code == 0
    texts = [line["response"]["body"]["choices"][0]["message"]["content"] for line in read(folder)]
    assert texts == ["a large None None", "a None None None"]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_does_not_grow_with_the_input(folder: Path) -> None:
    """Ten times as many requests, with long answers, need less than 8 MiB more."""
    sizes = []
    for count in (300, 3000):
        write(folder, ["x" * 3000] * count)
        (folder / "out.jsonl").unlink(missing_ok=True)
        assert run(folder, PEAK=str(folder / "peak")).code == 0
        status = (folder / "peak").read_text(encoding="utf-8")
        sizes.append(int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]))
    assert sizes[1] - sizes[0] < 8 * 1024
