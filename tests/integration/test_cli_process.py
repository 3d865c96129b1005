"""The installed program as a process: signals, closed pipes, terminals, imports and start-up time."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from attrs import define, field
from command_line import PROGRAM, environment, installed

SLEEPY = """
import pathlib, time
from kickai_providers_core import FinishReason, ProviderInfo, Reply, hookimpl

@hookimpl
def kickai_provider_info():
    return ProviderInfo(name="sleepy", summary="sleeps over each request")

@hookimpl
def kickai_create_provider(settings):
    return object()

@hookimpl
def kickai_invoke_provider(provider, request, timeout_s):
    time.sleep(30)

@hookimpl
def kickai_close_provider(provider):
    pathlib.Path("closed").touch()
"""

WORDS = "one two three four"
NEEDED = ("attr", "attrs", "pluggy", "loguru", "kickai_providers_core")


def require_mock() -> None:
    """Skip a test when kickai-mock is not installed."""
    pytest.importorskip("kickai_mock", reason="this chain is drilled with kickai-mock")


@pytest.fixture
def sleepy(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a program with a provider that never answers."""
    info = tmp_path / "sleepy-1.0.dist-info"
    info.mkdir()
    (tmp_path / "sleepy_plugin.py").write_text(SLEEPY, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sleepy\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[kickai.providers]\nsleepy = sleepy_plugin\n", encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path)}


def start(*arguments: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start the installed program with pipes."""
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(**variables),
    )


@define
class Screen:
    """What a program wrote to a terminal, and when."""

    code: int = 0
    pieces: list[tuple[float, str]] = field(factory=list)

    @property
    def text(self) -> str:
        """Everything that was written."""
        return "".join(piece for _, piece in self.pieces)

    def when(self, word: str) -> float:
        """Return the time at which a text first appeared."""
        written = ""
        for at, piece in self.pieces:
            written += piece
            if word in written:
                return at
        raise AssertionError(f"{word!r} is not in {written!r}")


def run_on_terminal(*arguments: str, folder: Path, interrupt_at: str = "", **variables: str) -> Screen:
    """Run the installed program on a terminal, and press Ctrl-C when a text appears."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        command = [sys.executable, str(PROGRAM), *arguments]
        os.execve(sys.executable, command, environment(TERM="xterm", **variables))  # noqa: S606
    screen = Screen()
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            read = os.read(terminal, 65536)
        except OSError:  # Linux says so when the program has ended
            break
        screen.pieces.append((time.monotonic(), read.decode()))
        if interrupt_at and interrupt_at in screen.text:
            os.write(terminal, b"\x03")
            interrupt_at = ""
    os.close(terminal)
    screen.code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return screen


def test_the_installed_program_falls_back(tmp_path: Path) -> None:
    """It prints one object with both attempts, and no warnings."""
    require_mock()
    (tmp_path / "kickai.toml").write_text('[providers.mock.models.a]\nscript = ["timeout"]\n', encoding="utf-8")
    ended = installed("ask", "--chain", "mock:a,mock:b", "--json", "hi", folder=tmp_path)
    assert ended.code == 0
    attempts = ended.json["attempts"]
    assert [(each["outcome"], each["error"]) for each in attempts] == [
        ("error", "ProviderTimeoutError"),
        ("success", None),
    ]
    assert all(isinstance(each["latency_s"], float) for each in attempts)


@pytest.mark.parametrize(
    ("sent", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_closes_the_providers_and_ends_with_one_line(
    tmp_path: Path, sleepy: dict[str, str], sent: signal.Signals, code: int, word: str
) -> None:
    """There is no traceback, and the exit code is what a shell expects."""
    process = start("ask", "-v", "--chain", "sleepy", "hi", folder=tmp_path, **sleepy)
    assert process.stderr is not None
    assert process.stderr.readline() == "chain: sleepy\n"
    time.sleep(0.3)  # until the provider is created; no event says when
    process.send_signal(sent)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1] == f"kickai: {word}"
    assert "Traceback" not in err
    assert (tmp_path / "closed").exists()


def test_a_closed_pipe_ends_silently(tmp_path: Path) -> None:
    """The exit code is that of SIGPIPE."""
    require_mock()
    pause = {"KICKAI_PROVIDERS__MOCK__PAUSE_S": "0.01"}
    process = start("ask", "--stream", "--chain", "mock", "word " * 400, folder=tmp_path, **pause)
    assert process.stdout is not None
    assert process.stdout.read(4) == "word"
    process.stdout.close()
    assert process.stderr is not None
    assert (process.wait(timeout=20), process.stderr.read()) == (141, "")
    process.stderr.close()


def test_a_full_disk_is_handled(tmp_path: Path) -> None:
    """For standard output it is an error; for standard error the answer is written nevertheless."""
    require_mock()
    command = [sys.executable, str(PROGRAM), "ask", "--chain", "mock:timeout,mock:b", "hi"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        out = subprocess.run(
            command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment()
        )
        err = subprocess.run(
            command, check=False, stdout=subprocess.PIPE, stderr=full, text=True, cwd=tmp_path, env=environment()
        )
    assert out.returncode == 74
    assert out.stderr.splitlines()[-1] == "kickai: cannot write the answer: No space left on device"
    assert (err.returncode, err.stdout) == (0, "hi\n")


def test_an_encoding_without_a_character_is_handled(tmp_path: Path) -> None:
    """JSON escapes the character; text has a question mark."""
    require_mock()
    ask = ("ask", "--chain", "mock", "an arrow →")
    assert installed(*ask, folder=tmp_path, PYTHONIOENCODING="latin-1").out == "an arrow ?\n"
    escaped = installed(*ask, "--json", folder=tmp_path, PYTHONIOENCODING="latin-1")
    assert "\\u2192" in escaped.out
    assert escaped.json["text"] == "an arrow →"


def test_a_terminal_shows_each_word_when_it_arrives(tmp_path: Path) -> None:
    """Before the first one, the spinner shows the target."""
    require_mock()
    slow = {"KICKAI_PROVIDERS__MOCK__PAUSE_S": "0.3", "KICKAI_PROVIDERS__MOCK__LATENCY_S": "0.3"}
    screen = run_on_terminal("ask", "--stream", "--chain", "mock:timeout,mock:b", WORDS, folder=tmp_path, **slow)
    assert screen.code == 0
    assert screen.when("calling mock:b") < screen.when("one") < screen.when("four") - 0.5
    assert screen.text.index("mock:timeout: ProviderTimeoutError") < screen.text.index("one two three four\r\n")
    assert "\x1b[33mmock:timeout" in screen.text
    assert re.search(r"mock:b answered in \d\.\d s\x1b\[0m$", screen.text.rstrip())


def test_ctrl_c_leaves_the_terminal_clean(tmp_path: Path) -> None:
    """The line is ended, the spinner is gone, the cursor is visible, and one line says why."""
    require_mock()
    slow = {"KICKAI_PROVIDERS__MOCK__PAUSE_S": "5"}
    screen = run_on_terminal("ask", "--stream", "--chain", "mock", WORDS, folder=tmp_path, interrupt_at="one", **slow)
    assert screen.code == 130
    assert "Traceback" not in screen.text
    assert screen.text.endswith("one ^C\r\nkickai: interrupted\r\n")
    assert screen.text.rfind("\x1b[?25l") < screen.text.rfind("\x1b[?25h")
    waiting = run_on_terminal("ask", "--chain", "mock:silence", "hi", folder=tmp_path, interrupt_at="calling mock")
    assert waiting.code == 130
    assert waiting.text.endswith("kickai: interrupted\r\n")


def test_a_terminal_shows_that_a_stream_starts_over(tmp_path: Path) -> None:
    """The complete answer follows."""
    require_mock()
    screen = run_on_terminal(
        "ask", "--mode", "restart", "--chain", "mock:cut,mock:b", WORDS, folder=tmp_path, NO_COLOR="1"
    )
    assert screen.code == 0
    _, _, after = screen.text.rpartition("starting over: ignore the text above\r\n")
    assert after.startswith("one two three four\r\n")


def test_no_color_disables_colour(tmp_path: Path) -> None:
    """On a terminal; a pipe never gets colour."""
    require_mock()
    chain = ("ask", "--chain", "mock:timeout,mock:b", "hi")
    plain = run_on_terminal(*chain, folder=tmp_path, NO_COLOR="1").text
    assert "\x1b[3" not in plain
    assert "\x1b[9" not in plain
    piped = installed(*chain, folder=tmp_path)
    assert "\x1b" not in piped.out + piped.err
    assert "calling" not in piped.err


def test_a_missing_prompt_on_a_terminal_is_wrong_usage(tmp_path: Path) -> None:
    """The program does not wait for input."""
    screen = run_on_terminal("ask", folder=tmp_path)
    assert screen.code == 2
    assert "There is no prompt: pass it as an argument or on standard input." in screen.text


def test_without_click_and_rich_a_message_says_what_to_install(tmp_path: Path) -> None:
    """The core itself needs neither."""
    for name in NEEDED:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        (tmp_path / name).symlink_to(Path(spec.origin).parent)
    code = "import sys; from kickai_providers_core.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=str(tmp_path)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "kickai: the command line needs click and rich; run pip install 'kickai-providers-core[cli]'\n"
    )


def list_imports(code: str, folder: Path) -> set[str]:
    """Return the names of the modules that some code imports."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=folder, env=environment()
    )
    return set(json.loads(done.stderr))


def test_help_imports_only_what_it_needs(tmp_path: Path) -> None:
    """No rich, no cattrs, no settings, no command, no plugin."""
    names = list_imports("from kickai_providers_core.cli.command_group import run\nrun(['--help'])", tmp_path)
    assert "click" in names
    assert not names & {"rich", "cattrs", "dotenv", "kickai_mock", "kickai_providers_core.config.sources"}
    assert not {name for name in names if name.startswith("kickai_providers_core.cli.ask")}


def test_the_library_does_not_import_the_command_line(tmp_path: Path) -> None:
    """Nor what only reading a settings file needs."""
    names = list_imports("import kickai_providers_core", tmp_path)
    assert not names & {
        "click",
        "rich",
        "cattrs",
        "dotenv",
        "kickai_providers_core.cli",
        "kickai_providers_core.config.sources",
    }


def test_an_answer_in_a_pipe_does_not_import_rich(tmp_path: Path) -> None:
    """Only a terminal has a spinner."""
    require_mock()
    names = list_imports(
        "from kickai_providers_core.cli.command_group import run\nrun(['ask', '-q', '--chain', 'mock', 'hi'])",
        tmp_path,
    )
    assert "kickai_mock" in names
    assert "rich" not in names


@pytest.mark.parametrize("bound_s", [pytest.param(0.4, marks=pytest.mark.timing), 2.0])
def test_help_takes_less_than_half_a_second_of_processor_time(tmp_path: Path, bound_s: float) -> None:
    """Processor time depends less on other programs than elapsed time."""
    used_s = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert installed("--help", folder=tmp_path).code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used_s) < bound_s
