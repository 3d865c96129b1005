"""``kickai check-config`` checks the settings, and asks each provider one question."""

from __future__ import annotations

import pytest
from command_line import CommandLine, Ended, installed

pytest.importorskip("kickai_mock", reason="mock instances answer for the vendors")

VENDORS = """
[kickai]
primary = "huggingface"
fallback = ["gemini"]
plugins = ["mock"]

[providers.huggingface]
kind = "mock"
reply = "a reply that nobody should see"

[providers.gemini]
kind = "mock"
"""


@pytest.fixture
def kickai(tmp_path, monkeypatch, capsys) -> CommandLine:
    """The command line with two vendors, for which mock instances answer."""
    line = CommandLine(tmp_path, monkeypatch, capsys)
    line.write(VENDORS)
    return line


def find_lines(ended: Ended, word: str) -> list[str]:
    """Return the lines of the output that begin with a word, without times."""
    return [line.partition(" in 0")[0] for line in ended.out.splitlines() if line.startswith(word)]


def test_without_online_nobody_is_asked(kickai: CommandLine) -> None:
    """The findings are those of the doctor about settings, plugins and instances."""
    ended = kickai("check-config")
    assert ended.code == 0
    assert "ok       providers.huggingface: configured" in ended.out
    assert "answered" not in ended.out
    assert kickai("check-config", "--json").json["answers"] is None


def test_each_provider_that_a_role_calls_is_asked(kickai: CommandLine) -> None:
    """Latency and tokens are shown, the answer is not."""
    ended = kickai("check-config", "--online")
    assert ended.code == 0
    assert find_lines(ended, "answered") == [
        "answered huggingface:Qwen/Qwen2.5-1.5B-Instruct",
        "answered gemini:gemini-3.5-flash-lite",
    ]
    assert "2 of 2 providers answered" in ended.out
    assert "nobody should see" not in ended.out + ended.err


def test_a_provider_that_fails_is_an_error(kickai: CommandLine) -> None:
    """It is called once: there is no retry, and no other provider answers for it."""
    kickai.write(f'{VENDORS}script = ["unavailable"]\n')
    ended = kickai("check-config", "--online")
    assert ended.code == 1
    assert find_lines(ended, "answered") == ["answered huggingface:Qwen/Qwen2.5-1.5B-Instruct"]
    (failed,) = find_lines(ended, "failed")
    assert "gemini:gemini-3.5-flash-lite: ProviderUnavailableError: simulated: service unavailable" in failed
    assert "1 of 2 providers answered" in ended.out


def test_a_provider_that_no_role_calls_is_not_needed(kickai: CommandLine) -> None:
    """It is called, since the settings mention it, but its failure is not an error."""
    kickai.write(f'{VENDORS}\n[providers.spare]\nkind = "mock"\nscript = ["authentication"]\n')
    ended = kickai("check-config", "--online", "--json")
    assert ended.code == 0
    assert ended.json["ok"]
    answers = {row["provider"]: row for row in ended.json["answers"]}
    assert [(name, row["needed"], row["ok"]) for name, row in answers.items()] == [
        ("huggingface", True, True),
        ("gemini", True, True),
        ("spare", False, False),
    ]
    assert answers["spare"]["error"] == "AuthenticationError"
    assert answers["gemini"]["usage"]["output_tokens"] == 6


def test_a_silent_provider_is_given_up(kickai: CommandLine) -> None:
    """After the time limit, while the others answer."""
    kickai.write(f'{VENDORS}script = ["silence"]\n')
    ended = kickai("check-config", "--online", "--timeout", "0.3", "--json")
    assert ended.code == 1
    first, silent = ended.json["answers"]
    assert first["ok"]
    assert silent["error"] in {"DeadlineExceededError", "ProviderTimeoutError"}


def test_a_provider_without_a_key_is_not_asked(kickai: CommandLine) -> None:
    """An invalid instance is a finding; there is nothing to ask."""
    kickai.write(f"{VENDORS}latency_sigma = 0.5\nlatency_max_s = 2\n")
    ended = kickai("check-config", "--online", "--json")
    assert ended.code == 1
    assert [row["provider"] for row in ended.json["answers"]] == ["huggingface"]


def test_invalid_settings_are_reported_together(kickai: CommandLine) -> None:
    """The exit code is 2, and no provider is called."""
    kickai.write('[kickai]\nprimry = "huggingface"\ndeadline_s = "30"\n')
    ended = kickai("check-config", "--online")
    assert ended.code == 2
    assert "Did you mean 'primary'?" in ended.out
    assert "kickai.deadline_s" in ended.out
    assert ended.err == ""
    assert kickai("check-config", "--json").json["answers"] is None


def test_nothing_is_counted(kickai: CommandLine) -> None:
    """The store is not even created."""
    kickai.write(f'{VENDORS}\n[store]\nurl = "sqlite:///kickai.db"\n')
    assert kickai("check-config", "--online", "--debug").code == 0
    assert [path.name for path in kickai.folder.iterdir()] == ["kickai.toml"]


def test_it_runs_as_a_program(tmp_path) -> None:
    """As an operator calls it."""
    (tmp_path / "kickai.toml").write_text(VENDORS)
    ended = installed("check-config", "--online", folder=tmp_path)
    assert (ended.code, ended.err) == (0, "")


KEY = f'[gateway.keys.web]\nhash = "{"0" * 16}${"0" * 32}${"0" * 64}"\n'
STORE = '[store]\nurl = "sqlite:///kickai.db"\n'
ADD_STORE = 'Add for example url = "sqlite:///kickai.db" to [store]'


@pytest.mark.parametrize(
    ("table", "severity", "finding"),
    [
        (
            '[store]\nurl = "foo://x"\nnamespace = "k"\n',
            "error",
            "store.url: no installed plugin opens stores at foo://",
        ),
        (
            '[store]\nurl = "redis://:hidden-word@x"\nnamespace = "k"\n',
            "error",
            "store.url: no installed plugin opens stores at redis://: install kickai-redis",
        ),
        ('[store]\nurl = "sqlite:///folder"\n', "error", "store.url: must name a regular file, got the folder "),
        (
            '[store]\nurl = "sqlite:///none/x.db"\n',
            "error",
            "store.url: must name a file in a folder that exists, got ",
        ),
        (
            '[monitor]\non_alert = ["/no/such/program", "x"]\n',
            "error",
            "monitor.on_alert[0]: must be an executable program, by path or by name on PATH, got '/no/such/",
        ),
        ('[monitor]\non_alert = ["kickai.toml"]\n', "error", "monitor.on_alert[0]: must be an executable program"),
        (
            '[rollout]\ncandidate = "gemini"\n',
            "warning",
            f"rollout.candidate: has no effect without a store. {ADD_STORE}",
        ),
        (
            f'[rollout]\ncandidate = "mock"\n[roles.coach]\nchain = ["mock"]\n{STORE}',
            "ok",
            "providers.mock: configured",
        ),
        ('[gateway]\nhost = "0.0.0.0"\n', "error", "gateway.host: must be a loopback address while there are no keys"),
        (
            f"{KEY}tokens_per_day = 5\n",
            "error",
            f"gateway.keys.web.tokens_per_day: needs a store, or a restart would forget the use. {ADD_STORE}",
        ),
        (
            f"[gateway]\nworkers = 2\n{KEY}requests_per_minute = 5\n",
            "error",
            f"gateway.keys.web.requests_per_minute: needs a store with 2 workers. {ADD_STORE}",
        ),
    ],
)
def test_settings_that_would_only_fail_later_are_reported(
    kickai: CommandLine, table: str, severity: str, finding: str
) -> None:
    """Both commands name the file and the setting; an error is exit code 2 of check-config and 1 of doctor."""
    (kickai.folder / "folder").mkdir()
    kickai.write(f"{VENDORS}\n{table}")
    for command, code in (("check-config", 2), ("doctor", 1)):
        ended = kickai(command)
        source = "" if severity == "ok" else "kickai.toml: "
        lines = [line for line in ended.out.splitlines() if line.startswith(f"{severity:<8} {source}{finding}")]
        assert len(lines) == 1, ended.out
        assert ended.code == (code if severity == "error" else 0)
        assert "hidden-word" not in ended.out + ended.err


def test_settings_that_can_be_used_are_no_finding(kickai: CommandLine) -> None:
    """A program on PATH, a store that does not exist yet in a folder that does, and keys with limits that it holds."""
    kickai.write(
        f'{VENDORS}\n{STORE}[monitor]\non_alert = ["sh", "-c", "cat"]\n[rollout]\ncandidate = "huggingface"\n'
        f'[gateway]\nhost = "0.0.0.0"\n{KEY}tokens_per_day = 5\n'
    )
    ended = kickai("check-config", "--json")
    assert ended.code == 0
    assert [row for row in ended.json["findings"] if row["path"].split(".")[0] in {"store", "monitor", "gateway"}] == []
    assert not (kickai.folder / "kickai.db").exists()


def test_a_budget_in_money_needs_prices(kickai: CommandLine) -> None:
    """Targets without a price are named, since requests that may call them would be refused."""
    pytest.importorskip("genai_prices", reason="it has the prices")
    budget = f"{STORE}{KEY}usd_per_month = 1.0\n"
    kickai.write(VENDORS + budget)
    ended = kickai("check-config")
    assert ended.code == 0
    (line,) = [each for each in ended.out.splitlines() if "gateway.keys.web.usd_per_month" in each]
    assert line.startswith("warning ")
    assert "huggingface:Qwen/Qwen2.5-1.5B-Instruct" in line
    assert "gemini:" not in line
    kickai.write(VENDORS.replace('"huggingface"', '"gemini"').replace('["gemini"]', "[]") + budget)
    assert "gateway.keys" not in kickai("check-config").out
