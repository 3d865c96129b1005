"""The installed program as a process: signals, closed pipes, terminals, what it loads and how fast it starts."""

from __future__ import annotations

import json
import os
import pty
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


def mocked() -> None:
    """Skip a test where kickai-mock is not installed."""
    pytest.importorskip("kickai_mock", reason="this chain is drilled with kickai-mock")


@pytest.fixture
def sleepy(tmp_path: Path) -> dict[str, str]:
    """Return the variables with which a program sees a provider that never answers."""
    info = tmp_path / "sleepy-1.0.dist-info"
    info.mkdir()
    (tmp_path / "sleepy_plugin.py").write_text(SLEEPY, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sleepy\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[kickai.providers]\nsleepy = sleepy_plugin\n", encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path)}


def started(*arguments: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
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
        """All that was written."""
        return "".join(piece for _, piece in self.pieces)

    def when(self, word: str) -> float:
        """Return the time at which a word first stood on the screen."""
        written = ""
        for at, piece in self.pieces:
            written += piece
            if word in written:
                return at
        raise AssertionError(f"{word!r} is not in {written!r}")


def on_terminal(*arguments: str, folder: Path, interrupt_at: str = "", **variables: str) -> Screen:
    """Run the installed program on a terminal; press Ctrl-C when a text is on the screen."""
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


def test_a_stranger_gets_the_answer_of_the_second_when_the_first_times_out(tmp_path: Path) -> None:
    """The installed program prints one object with both attempts, and nothing warns."""
    mocked()
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
    ("sent", "code", "told"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_it_in_one_line_with_its_providers_closed(
    tmp_path: Path, sleepy: dict[str, str], sent: signal.Signals, code: int, told: str
) -> None:
    """There is no traceback, and the exit code is what a shell expects."""
    process = started("ask", "-v", "--chain", "sleepy", "hi", folder=tmp_path, **sleepy)
    assert process.stderr is not None
    assert process.stderr.readline() == "chain: sleepy\n"
    time.sleep(0.3)  # until the provider is created; nothing tells when
    process.send_signal(sent)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1] == f"kickai: {told}"
    assert "Traceback" not in err
    assert (tmp_path / "closed").exists()


def test_a_reader_who_leaves_is_no_error_worth_a_traceback(tmp_path: Path) -> None:
    """As with any program in a pipe, the exit code is that of SIGPIPE."""
    mocked()
    pause = {"KICKAI_PROVIDERS__MOCK__PAUSE_S": "0.01"}
    process = started("ask", "--stream", "--chain", "mock", "word " * 400, folder=tmp_path, **pause)
    assert process.stdout is not None
    assert process.stdout.read(4) == "word"
    process.stdout.close()
    assert process.stderr is not None
    assert (process.wait(timeout=20), process.stderr.read()) == (141, "")
    process.stderr.close()


def test_standard_streams_that_cannot_be_written_to_are_survived(tmp_path: Path) -> None:
    """A full disk behind standard output is told; behind standard error it keeps nobody from the answer."""
    mocked()
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


def test_an_encoding_that_lacks_a_character_is_survived(tmp_path: Path) -> None:
    """JSON escapes it, so that nothing is lost; text has a question mark."""
    mocked()
    ask = ("ask", "--chain", "mock", "an arrow →")
    assert installed(*ask, folder=tmp_path, PYTHONIOENCODING="latin-1").out == "an arrow ?\n"
    escaped = installed(*ask, "--json", folder=tmp_path, PYTHONIOENCODING="latin-1")
    assert "\\u2192" in escaped.out
    assert escaped.json["text"] == "an arrow →"


def test_a_terminal_sees_each_word_when_it_comes(tmp_path: Path) -> None:
    """The first stands there long before the last; while nothing does, a line says who is asked."""
    mocked()
    slow = {"KICKAI_PROVIDERS__MOCK__PAUSE_S": "0.3", "KICKAI_PROVIDERS__MOCK__LATENCY_S": "0.3"}
    screen = on_terminal("ask", "--stream", "--chain", "mock:timeout,mock:b", WORDS, folder=tmp_path, **slow)
    assert screen.code == 0
    assert screen.when("calling mock:b") < screen.when("one") < screen.when("four") - 0.5
    assert screen.text.index("mock:timeout: ProviderTimeoutError") < screen.text.index("one two three four\r\n")
    assert "\x1b[33mmock:timeout" in screen.text
    assert screen.text.rstrip().endswith("mock:b answered in 1.2 s\x1b[0m")


def test_ctrl_c_on_a_terminal_leaves_it_clean(tmp_path: Path) -> None:
    """The line that was begun is ended, the wheel is gone, the cursor is back, and one line says why."""
    mocked()
    slow = {"KICKAI_PROVIDERS__MOCK__PAUSE_S": "5"}
    screen = on_terminal("ask", "--stream", "--chain", "mock", WORDS, folder=tmp_path, interrupt_at="one", **slow)
    assert screen.code == 130
    assert "Traceback" not in screen.text
    assert screen.text.endswith("one ^C\r\nkickai: interrupted\r\n")
    assert screen.text.rfind("\x1b[?25l") < screen.text.rfind("\x1b[?25h")
    waiting = on_terminal("ask", "--chain", "mock:silence", "hi", folder=tmp_path, interrupt_at="calling mock")
    assert waiting.code == 130
    assert waiting.text.endswith("kickai: interrupted\r\n")


def test_a_stream_that_starts_over_says_so_on_a_terminal(tmp_path: Path) -> None:
    """What stands above is declared void, and the whole answer follows."""
    mocked()
    screen = on_terminal("ask", "--mode", "restart", "--chain", "mock:cut,mock:b", WORDS, folder=tmp_path, NO_COLOR="1")
    assert screen.code == 0
    _, _, after = screen.text.rpartition("starting over: ignore the text above\r\n")
    assert after.startswith("one two three four\r\n")


def test_no_color_is_respected(tmp_path: Path) -> None:
    """With NO_COLOR a terminal gets no colour, and a pipe gets none at all."""
    mocked()
    chain = ("ask", "--chain", "mock:timeout,mock:b", "hi")
    plain = on_terminal(*chain, folder=tmp_path, NO_COLOR="1").text
    assert "\x1b[3" not in plain
    assert "\x1b[9" not in plain
    piped = installed(*chain, folder=tmp_path)
    assert "\x1b" not in piped.out + piped.err
    assert "calling" not in piped.err


def test_a_terminal_without_a_prompt_is_told_how_to_give_one(tmp_path: Path) -> None:
    """It does not wait for keys that nobody knows should be pressed."""
    screen = on_terminal("ask", folder=tmp_path)
    assert screen.code == 2
    assert "There is no prompt: pass it as an argument or on standard input." in screen.text


def test_without_click_and_rich_it_says_what_to_install(tmp_path: Path) -> None:
    """One line, and the exit code of wrong usage; the core itself needs neither."""
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


def loaded(code: str, folder: Path) -> set[str]:
    """Return the names of the top-level packages, and of ours the modules, that some code loads."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=folder, env=environment()
    )
    return set(json.loads(done.stderr))


def test_help_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    """No rich, no cattrs, no settings, no command, no plugin."""
    names = loaded("from kickai_providers_core.cli import program\nprogram.run(['--help'])", tmp_path)
    assert "click" in names
    assert not names & {"rich", "cattrs", "dotenv", "kickai_mock", "kickai_providers_core.config.sources"}
    assert not {name for name in names if name.startswith("kickai_providers_core.cli.ask")}


def test_the_library_loads_nothing_of_the_command_line(tmp_path: Path) -> None:
    """Nor what only reading a settings file needs."""
    names = loaded("import kickai_providers_core", tmp_path)
    assert not names & {
        "click",
        "rich",
        "cattrs",
        "dotenv",
        "kickai_providers_core.cli",
        "kickai_providers_core.config.sources",
    }


def test_an_answer_into_a_pipe_does_not_load_rich(tmp_path: Path) -> None:
    """Only a terminal has a wheel to turn."""
    mocked()
    names = loaded(
        "from kickai_providers_core.cli import program\nprogram.run(['ask', '-q', '--chain', 'mock', 'hi'])", tmp_path
    )
    assert "kickai_mock" in names
    assert "rich" not in names


@pytest.mark.parametrize("bound_s", [pytest.param(0.4, marks=pytest.mark.timing), 2.0])
def test_help_takes_less_than_half_a_second_of_a_processor(tmp_path: Path, bound_s: float) -> None:
    """Other programs on the machine lengthen a processor's time, too, though less than the clock's."""
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert installed("--help", folder=tmp_path).code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < bound_s
