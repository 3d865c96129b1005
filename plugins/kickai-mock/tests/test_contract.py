"""The conformance kit, run on the mock: each fault of the kit that the mock can simulate is put into its script."""

from kickai_providers_core import FinishReason, Reply
from kickai_providers_core.testing import ProviderContract, faults

from kickai_mock import MockInCode, MockSettings
from kickai_mock.plugin import plugin

STATED = {"auth": "authentication", "content_filter": "content_filtered", "context_length": "context_length_exceeded"}
STATED |= {"quota": "quota_exhausted", "rate_limit": "rate_limited"}
ENTRIES = {
    faults.Ok: lambda fault: "tool_call" if fault.finish is FinishReason.TOOL_CALL else "ok",
    faults.Status: lambda fault: STATED.get(fault.kind, fault.kind),
    faults.Silence: lambda _fault: "silence",
    faults.Delay: lambda fault: f"slow_first_token:{fault.seconds}",
    faults.SlowFirstToken: lambda fault: f"slow_first_token:{fault.seconds}",
    faults.Stall: lambda _fault: "stall",
    **dict.fromkeys((faults.Reset, faults.CloseEarly), lambda _fault: "unavailable"),
    **dict.fromkeys((faults.Malformed, faults.EmptyBody, faults.WrongShape), lambda _fault: "invalid_reply"),
}


class TestMock(ProviderContract):
    """The mock is a provider like any other."""

    plugin, needs_key, finish_reasons = plugin, False, frozenset(FinishReason) - {FinishReason.ERROR}

    def settings(self, url, key):
        """Return settings without a fault."""
        return MockSettings(reply="pong")

    def settings_for(self, fault):
        """Return settings whose next call meets the fault, or None when the mock knows none like it."""
        entry, good = ENTRIES.get(type(fault)), fault if isinstance(fault, faults.Ok) else faults.Ok()
        reply = Reply(text="".join(good.parts), finish_reason=good.finish)
        return entry and MockInCode(script=(entry(fault),), answer=lambda _request: reply)
