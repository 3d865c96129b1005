"""``kickai ask`` with the mock provider: answers, progress, failures and exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("kickai_mock", reason="the chains of these tests are drilled with kickai-mock")

if TYPE_CHECKING:
    from command_line import CommandLine

ANSWER = {
    "text",
    "provider",
    "model",
    "usage",
    "finish_reason",
    "fell_back",
    "last_resort",
    "latency_s",
    "attempts",
    "skipped",
    "omitted",
    "tool_calls",
    "answered_by",
    "request_id",
}


def test_a_first_attempt_that_succeeds_prints_the_answer_only(kickai: CommandLine) -> None:
    """Standard error is empty."""
    ended = kickai("ask", "--chain", "mock", "Who", "can", "play?")
    assert (ended.code, ended.out, ended.err) == (0, "Who can play?\n", "")


def test_the_second_target_answers_when_the_first_times_out(kickai: CommandLine) -> None:
    """The object has both attempts with outcome, error class and latency."""
    ended = kickai("ask", "--chain", "mock:a,mock:b", "--json", "hi", env={"KICKAI_MOCK_DRILL": "a=timeout"})
    assert ended.code == 0
    reply = ended.json
    assert set(reply) == ANSWER
    assert (reply["text"], reply["provider"], reply["model"], reply["fell_back"]) == ("hi", "mock", "b", True)
    assert [(each["model"], each["outcome"], each["error"]) for each in reply["attempts"]] == [
        ("a", "error", "ProviderTimeoutError"),
        ("b", "success", None),
    ]
    assert all(each["latency_s"] >= 0 for each in reply["attempts"])
    assert reply["usage"]["total_tokens"] == 2
    assert ended.steps == [
        "mock:a: ProviderTimeoutError: simulated: no answer in time (after … s)",
        "mock:b answered in … s",
    ]


def test_quiet_hides_the_steps_and_verbose_shows_all(kickai: CommandLine) -> None:
    """Both affect standard error only."""
    assert kickai("ask", "-q", "--chain", "mock:timeout,mock:b", "hi").err == ""
    steps = kickai("ask", "-v", "--chain", "mock:b", "hi").steps
    assert steps == ["chain: mock:b", "mock:b answered in … s (1 token in, 1 out)"]


def test_explain_shows_every_step_to_an_answer(kickai: CommandLine) -> None:
    """With --quiet as well; each step has its time."""
    ended = kickai("ask", "-q", "--explain", "--chain", "mock:timeout,mock:b", "hi")
    assert (ended.code, ended.out) == (0, "hi\n")
    first, second, whole = ended.steps
    assert "mock:timeout: ProviderTimeoutError after … s" in first
    assert "mock:b: answered after … s" in second
    assert whole.startswith("mock:b answered after … s")
    assert " of 30 s: " in whole


def test_explain_shows_every_step_to_a_failure(kickai: CommandLine) -> None:
    """The steps come before the error message."""
    ended = kickai("ask", "-q", "--explain", "--json", "--chain", "mock:timeout", "--deadline", "3", "hi")
    assert (ended.code, ended.json["error"]["class"]) == (1, "ChainExhaustedError")
    assert "mock:timeout: ProviderTimeoutError" in ended.steps[0]
    assert any(line.startswith("ChainExhaustedError after … s") and " of 3 s: " in line for line in ended.steps)


def test_without_a_role_the_order_of_the_settings_is_used(kickai: CommandLine) -> None:
    """The preference of the default role does not apply; AI_PROVIDER does."""
    kickai.write(
        '[kickai]\nprimary = "mock"\nfallback = ["second"]\n'
        '[providers.mock]\nreply = "from the first"\n[providers.second]\nkind = "mock"\nreply = "from the second"\n'
    )
    assert kickai("ask", "hi").out == "from the first\n"
    assert kickai("ask", "hi", env={"AI_PROVIDER": "second"}).out == "from the second\n"


def test_a_chain_replaces_the_targets_of_a_role(kickai: CommandLine) -> None:
    """The token limit of the role applies to them."""
    kickai.write('[roles.terse]\nmax_tokens = 2\nchain = ["mock:own"]\n')
    assert kickai("ask", "--role", "terse", "one two three", "--json").json["model"] == "own"
    ended = kickai("ask", "--role", "terse", "--chain", "mock:other", "one two three", "--json")
    assert (ended.json["model"], ended.json["finish_reason"], ended.json["text"].split()) == (
        "other",
        "length",
        ["one", "two"],
    )
    assert ended.err == "warning: the answer was cut off at its token limit; use --max-tokens to raise it\n"


def test_options_take_precedence_over_the_role(kickai: CommandLine) -> None:
    """--max-tokens replaces the role's token limit."""
    kickai.write('[roles.terse]\nmax_tokens = 2\nchain = ["mock"]\n')
    assert kickai("ask", "--role", "terse", "--max-tokens", "9", "one two three").out == "one two three\n"


def test_an_unknown_role_is_a_warning_with_the_nearest_name(kickai: CommandLine) -> None:
    """It gets the default role."""
    ended = kickai("ask", "--role", "squad_selectr", "--chain", "mock", "hi")
    assert (ended.code, ended.out) == (0, "hi\n")
    assert (
        ended.err
        == "warning: unknown role 'squad_selectr', so the default role is used; did you mean squad_selector?\n"
    )


def test_the_system_message_is_sent_before_the_prompt(kickai: CommandLine) -> None:
    """Its tokens count."""
    ended = kickai("ask", "--system", "Be very brief", "--chain", "mock", "hi", "--json")
    assert (ended.json["text"], ended.json["usage"]["input_tokens"]) == ("hi", 4)


@pytest.mark.parametrize("arguments", [(), ("-",)], ids=["no argument", "a dash"])
def test_the_prompt_may_come_from_standard_input(kickai: CommandLine, arguments: tuple[str, ...]) -> None:
    """The last line break and a byte order mark are removed."""
    ended = kickai("ask", "--chain", "mock", *arguments, stdin="\ufeffWho?\nWhen?\n".encode())
    assert ended.out == "Who?\nWhen?\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("ask",), b" \n", "The prompt is empty."),
        (("ask", ""), b"", "The prompt is empty."),
        (("ask",), b"caf\xe9", "Standard input is not UTF-8 text."),
        (("ask", "caf\udce9"), b"", "The prompt is not UTF-8 text."),
        (("ask", "--system", "caf\udce9", "hi"), b"", "The system message is not UTF-8 text."),
        (("ask", "--chain", "mock:", "hi"), b"", "'mock:' is not a target: write 'instance' or 'instance:model'"),
        (("ask", "--chain", "mock,,mock:b", "hi"), b"", "'' is not a target"),
        (("ask", "--chain", "", "hi"), b"", "'' is not a target"),
        (("ask", "--deadline", "0", "hi"), b"", "0.0 is not in the range x>0"),
        (("ask", "--deadline", "nan", "hi"), b"", "'nan' is not a finite number"),
        (("ask", "--temperature", "2.5", "hi"), b"", "2.5 is not in the range 0<=x<=2.0"),
        (("ask", "--max-tokens", "0", "hi"), b"", "0 is not in the range x>=1"),
        (("ask", "--mode", "fast", "hi"), b"", "'live', 'restart', 'buffered'"),
        (("ask", "--strem", "hi"), b"", "No such option"),
        (("answer", "hi"), b"", "No such command 'answer'"),
    ],
)
def test_wrong_usage_has_exit_code_2_and_a_message(
    kickai: CommandLine, arguments: tuple[str, ...], stdin: bytes, message: str
) -> None:
    """Standard output is empty."""
    ended = kickai(*arguments, stdin=stdin)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_an_unknown_provider_is_wrong_usage_with_the_nearest_name(kickai: CommandLine) -> None:
    """With --json there is an object as well."""
    ended = kickai("ask", "--chain", "mok", "--json", "hi")
    assert ended.code == 2
    assert ended.json["error"]["class"] == "UnknownProviderError"
    assert "mock" in ended.json["error"]["known"]
    assert ended.err.startswith("kickai: unknown provider 'mok' (installed: ")
    assert "did you mean 'mock'?" in ended.err


def test_the_exit_code_is_1_when_no_provider_can_answer(kickai: CommandLine) -> None:
    """The last lines do not repeat the steps."""
    ended = kickai("ask", "--chain", "mock:authentication,mock:model_not_found", "hi")
    assert (ended.code, ended.out) == (1, "")
    assert ended.steps == [
        "mock:authentication: AuthenticationError: simulated: key refused (after … s)",
        "mock: suspended (AuthenticationError, … s left)",
        "kickai: no target could answer",
        "kickai: run `kickai doctor` to see what is missing, or `kickai doctor --online` to check the services as well",
    ]


def test_the_error_of_a_quiet_run_has_all_steps(kickai: CommandLine) -> None:
    """They were not shown before."""
    ended = kickai("ask", "-q", "--chain", "mock:timeout", "hi")
    assert ended.err.startswith("kickai: no target could answer: mock:timeout: ProviderTimeoutError: simulated")


def test_a_failure_as_json_is_one_object(kickai: CommandLine) -> None:
    """It has the error, and attempts and skips as in an answer."""
    ended = kickai("ask", "--chain", "mock:quota_exhausted,mock:b", "--json", "hi")
    assert ended.code == 1
    failure = ended.json
    assert failure["error"]["class"] == "ChainExhaustedError"
    assert failure["error"]["message"].startswith("no target could answer: mock:quota_exhausted: QuotaExhaustedError")
    assert [each["error"] for each in failure["attempts"]] == ["QuotaExhaustedError"]
    assert [(each["model"], each["reason"]) for each in failure["skipped"]] == [("b", "suspended")]


def test_a_content_filter_does_not_fall_back(kickai: CommandLine) -> None:
    """The provider's reason reaches the caller."""
    ended = kickai("ask", "--chain", "mock:content_filtered,mock:b", "hi")
    assert (ended.code, ended.out) == (1, "")
    assert "prompt or answer withheld (HTTP 400)" in ended.err


def test_the_deadline_ends_the_request(kickai: CommandLine) -> None:
    """There is an error and no answer."""
    ended = kickai("ask", "--chain", "mock:silence", "--deadline", "0.2", "hi")
    assert ended.code == 1
    assert "kickai: no answer within 0.2 s" in ended.err


def test_a_stream_as_json_has_a_line_for_each_chunk_and_the_complete_answer(kickai: CommandLine) -> None:
    """The last line is what --json alone would print."""
    ended = kickai("ask", "--chain", "mock", "--stream", "--json", "one two three")
    *pieces, whole = map(json.loads, ended.out.splitlines())
    assert pieces == [{"chunk": "one "}, {"chunk": "two "}, {"chunk": "three"}]
    assert set(whole) == ANSWER
    assert whole["text"] == "one two three"


def test_a_live_stream_that_breaks_off_is_a_failure(kickai: CommandLine) -> None:
    """The exit code and the last line say that the answer is incomplete."""
    ended = kickai("ask", "--chain", "mock:cut,mock:b", "--stream", "one two three four")
    assert (ended.code, ended.out) == (1, "one two \n")
    assert ended.err.splitlines()[-1] == "kickai: the answer is incomplete"
    as_json = kickai("ask", "--chain", "mock:cut,mock:b", "--stream", "--json", "one two three four")
    assert json.loads(as_json.out.splitlines()[-1])["text"] == "one two "


def test_a_stream_that_restarts_writes_only_the_complete_answer_to_a_pipe(kickai: CommandLine) -> None:
    """JSON shows where it started over."""
    prompt = ("--mode", "restart", "--chain", "mock:cut,mock:b", "one two three four")
    assert kickai("ask", *prompt).out == "one two three four\n"
    lines = [json.loads(line) for line in kickai("ask", "--json", *prompt).out.splitlines()]
    assert {"restart": True} in lines
    assert lines[-1]["text"] == "one two three four"


def test_a_buffered_stream_writes_the_complete_answer(kickai: CommandLine) -> None:
    """The first provider broke off, which is not visible."""
    ended = kickai("ask", "--mode", "buffered", "--chain", "mock:cut,mock:b", "one two three four")
    assert (ended.code, ended.out) == (0, "one two three four\n")


def test_a_tool_call_is_reported(kickai: CommandLine) -> None:
    """The answer has a call and no text."""
    ended = kickai("ask", "--chain", "mock:tool_call:pick", "hi")
    assert ended.code == 0
    assert "the model wants to call pick" in ended.err


def test_warnings_about_the_settings_are_shown(kickai: CommandLine) -> None:
    """Only about what the user wrote: a misspelled variable, not the models of a catalogue."""
    ended = kickai("ask", "--chain", "mock", "hi", env={"KICKAI_PRIMAR": "mock"})
    assert ended.code == 0
    assert ended.err.startswith("warning: environment KICKAI_PRIMAR: ")
    assert len(ended.err.splitlines()) == 1


def test_a_retired_model_in_a_chain_is_a_warning(kickai: CommandLine) -> None:
    """It names the successor."""
    ended = kickai("ask", "--chain", "mock:gemini-1.5-flash", "hi")
    assert (ended.code, ended.out) == (0, "hi\n")
    assert ended.err.splitlines() == ["warning: gemini-1.5-flash is retired; gemini-3.5-flash-lite is called instead"]


def test_config_names_the_settings_file(kickai: CommandLine) -> None:
    """It takes precedence over the file that would be found."""
    kickai.write('[providers.mock]\nreply = "found"\n')
    kickai.write('[providers.mock]\nreply = "named"\n', "other.toml")
    assert kickai("ask", "--chain", "mock", "hi").out == "found\n"
    assert kickai("ask", "--config", "other.toml", "--chain", "mock", "hi").out == "named\n"


def test_an_unexpected_exception_is_one_line(kickai: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the class only, since the message may contain anything; --debug shows more."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("private words")

    monkeypatch.setattr("kickai_providers_core.resolver.Resolver.for_role", fail)
    ended = kickai("ask", "hi")
    assert ended.code == 70
    assert ended.err == ("kickai: unexpected ZeroDivisionError, please report it; --debug shows where it was raised\n")
    assert "Traceback (most recent call last)" in kickai("ask", "--debug", "hi").err


def test_version_and_help(kickai: CommandLine) -> None:
    """Every help has examples; without a command the help goes to standard error."""
    assert kickai("--version").out.startswith("kickai 0.")
    for command in ("ask", "providers", "roles", "doctor"):
        ended = kickai(command, "--help")
        assert (ended.code, ended.err) == (0, "")
        assert f"Examples:\n    kickai {command}" in ended.out
    nothing = kickai()
    assert (nothing.code, nothing.out) == (2, "")
    assert "Commands:" in nothing.err
