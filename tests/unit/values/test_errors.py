"""Errors have clean text, keep their fields when pickled, and have the service's words in one field only."""

from __future__ import annotations

import copy
import pickle

import pytest

from kickai_providers_core import (
    ContentFilteredError,
    InvalidReplyError,
    Message,
    PluginLoadError,
    Problem,
    ProviderError,
    RateLimitedError,
    TurnLimitError,
    UnknownProviderError,
)
from kickai_providers_core.values.text_length_limits import MESSAGE_LIMIT, SERVICE_MESSAGE_LIMIT

ESCAPES = "a\x1b[31mred\x1b[0m\r\nb\x07\x9b2J\u2028c\u202ed\ud800e"
CLEANED = "a [31mred [0m b 2J c d e"


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copied_error_has_every_field(make) -> None:
    """Copies and pickles keep the service's message and whether the request was the reason."""
    error = InvalidReplyError("no", due_to_request=True, service_message="too long", provider="p", request_id="r")
    copied = make(error)
    assert vars(copied) == vars(error)
    assert copied.due_to_request is True
    assert str(copied) == str(error)


def test_an_invalid_reply_is_the_targets_fault_unless_stated() -> None:
    """`due_to_request` is False by default."""
    assert InvalidReplyError("no").due_to_request is False


def test_the_services_words_follow_the_message() -> None:
    """`str(error)` ends with the service's message, and has none when there is none."""
    assert str(ProviderError("refused", provider="p", status_code=400)) == "p: refused (HTTP 400)"
    error = ProviderError("refused", provider="p", status_code=400, service_message="at most 4096")
    assert str(error) == 'p: refused (HTTP 400); the service said: "at most 4096"'


def test_control_characters_of_a_service_do_not_enter_an_error() -> None:
    """Message, request id, reason and the service's words are one printable line each."""
    error = ContentFilteredError(ESCAPES, request_id=ESCAPES, reason=ESCAPES, service_message=ESCAPES)
    assert [error.message, error.request_id, error.reason, error.service_message] == [CLEANED] * 4
    assert error.args == (CLEANED,)
    assert str(error).isprintable()


def test_long_texts_are_cut() -> None:
    """A page of HTML in a message or in the service's words is cut, and the cut is marked."""
    error = RateLimitedError("m" * 10**6, service_message="s" * 10**6)
    assert len(error.message) == MESSAGE_LIMIT
    assert len(error.service_message) == SERVICE_MESSAGE_LIMIT
    assert error.message.endswith("…")
    assert error.service_message.endswith("…")


def test_a_problem_is_json():
    """All its fields are in it, under their names."""
    problem = Problem(path="api_key", message="the key is missing", hint="set it", missing="A_KEY", severity="warning")
    assert problem.as_dict() == {
        "severity": "warning",
        "path": "api_key",
        "message": "the key is missing",
        "hint": "set it",
        "source": "",
        "missing": "A_KEY",
    }


@pytest.mark.parametrize(
    ("error", "text", "record"),
    [
        (
            PluginLoadError("cannot be imported", plugin="oracle", distribution="kickai-oracle"),
            "plugin oracle (from kickai-oracle): cannot be imported",
            {"plugin": "oracle", "distribution": "kickai-oracle"},
        ),
        (
            PluginLoadError("cannot be imported", plugin="oracle"),
            "plugin oracle: cannot be imported",
            {"plugin": "oracle", "distribution": ""},
        ),
        (
            UnknownProviderError("unknown provider 'x'", name="x", known=iter(["a", "b"])),
            "unknown provider 'x'",
            {"name": "x", "known": ["a", "b"]},
        ),
        (TurnLimitError("too many turns", max_turns=3), "too many turns", {"max_turns": 3}),
    ],
)
def test_an_error_says_what_it_is_about(error, text, record) -> None:
    """In its text, and in its fields as JSON; also after it was pickled."""
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert str(each) == text
        assert record.items() <= each.as_dict().items()


def test_the_conversation_of_a_turn_limit_is_only_in_its_attribute() -> None:
    """A caller can go on from it, and no log shows it."""
    error = TurnLimitError("too many turns", max_turns=3, messages=(Message(role="user", content="canary"),))
    assert error.messages[0].content == "canary"
    assert "canary" not in f"{error}{error!r}{error.as_dict()}"
