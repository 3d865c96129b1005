"""The record of calls, for tests that check what was requested."""

from kickai_providers_core import ChatRequest

from kickai_mock import Call, Fault, MockInCode, MockProvider, MockSettings


def test_every_call_is_recorded_with_its_request_and_its_fault(mode, make, outcome):
    """A test can check the request that the provider got, and the fault of the call."""
    mock = make(script=("ok", "unavailable"), latency_s=0.5)

    for prompt in ("first", "second"):
        outcome(mode, mock, prompt, timeout_s=3.0, model="a", temperature=0.1)

    first, second = mock.calls
    assert first == Call(
        mode=mode, model="a", number=0, request=first.request, timeout_s=3.0, fault=Fault("ok"), latency_s=0.5
    )
    assert (first.request.messages[0].content, first.request.temperature) == ("first", 0.1)
    assert (second.number, second.fault) == (1, Fault("unavailable"))
    assert second.request.messages[0].content == "second"


def test_a_call_is_recorded_when_it_begins(hooks):
    """A stream that is not read is recorded too."""
    mock = MockProvider(MockSettings())
    hooks.kickai_stream_provider(provider=mock, request=ChatRequest.of("x"), timeout_s=1.0).close()

    assert [call.mode for call in mock.calls] == ["stream"]


def test_only_the_latest_calls_are_kept():
    """The record of a drill that runs for days stays small."""
    mock = MockProvider(MockSettings(keep_calls=2))
    for _ in range(5):
        mock.invoke(ChatRequest.of("x"), 1.0)

    assert [call.number for call in mock.calls] == [3, 4]


def test_a_list_in_the_settings_gets_every_call(make, outcome):
    """A test without access to the provider passes a list with the settings."""
    seen = []
    mock = make(record=seen, keep_calls=0)
    for mode in ("invoke", "astream"):
        outcome(mode, mock)

    assert [call.mode for call in seen] == ["invoke", "astream"]
    assert mock.calls == ()


def test_the_repr_of_a_call_has_no_prompt(make, outcome):
    """Failed assertions and log lines do not show the prompt."""
    mock = make()
    outcome("invoke", mock, "my secret line-up")

    assert "line-up" not in repr(mock.calls)
    assert "Call" not in repr(MockInCode(record=[*mock.calls]))
