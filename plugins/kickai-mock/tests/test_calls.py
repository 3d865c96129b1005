"""The record of calls, for whoever tests what was asked."""

from kickai_providers_core import ChatRequest

from kickai_mock import Call, Fault, MockInCode, MockProvider, MockSettings


def test_every_call_is_recorded_with_what_was_asked_and_what_was_decided(mode, make, tell):
    """A test can look at the request as the provider got it, and at the fault that the call met."""
    mock = make(script=("ok", "unavailable"), latency_s=0.5)

    for prompt in ("first", "second"):
        tell(mode, mock, prompt, timeout_s=3.0, model="a", temperature=0.1)

    first, second = mock.calls
    assert first == Call(
        mode=mode, model="a", number=0, request=first.request, timeout_s=3.0, fault=Fault("ok"), latency_s=0.5
    )
    assert (first.request.messages[0].content, first.request.temperature) == ("first", 0.1)
    assert (second.number, second.fault) == (1, Fault("unavailable"))
    assert second.request.messages[0].content == "second"


def test_a_call_is_recorded_when_it_begins(hooks):
    """A stream that nobody reads was asked for all the same."""
    mock = MockProvider(MockSettings())
    hooks.kickai_stream_provider(provider=mock, request=ChatRequest.of("x"), timeout_s=1.0).close()

    assert [call.mode for call in mock.calls] == ["stream"]


def test_only_the_latest_calls_are_kept():
    """A drill that runs for days does not fill the memory."""
    mock = MockProvider(MockSettings(keep_calls=2))
    for _ in range(5):
        mock.invoke(ChatRequest.of("x"), 1.0)

    assert [call.number for call in mock.calls] == [3, 4]


def test_a_list_of_the_tests_own_gets_every_call(make, tell):
    """Whoever cannot reach the provider hands in a list with the settings."""
    seen = []
    mock = make(record=seen, keep_calls=0)
    for mode in ("invoke", "astream"):
        tell(mode, mock)

    assert [call.mode for call in seen] == ["invoke", "astream"]
    assert mock.calls == ()


def test_the_repr_of_a_call_holds_no_prompt(make, tell):
    """A failed assertion, or a log line, does not show what a user wrote."""
    mock = make()
    tell("invoke", mock, "my secret line-up")

    assert "line-up" not in repr(mock.calls)
    assert "Call" not in repr(MockInCode(record=[*mock.calls]))
