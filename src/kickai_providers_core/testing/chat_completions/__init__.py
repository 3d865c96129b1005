"""For tests of plugins whose service speaks OpenAI's Chat Completions protocol: its wire, and a matrix of its faults.

::

    class TestOsprey(ProviderContract):
        plugin = plugin
        wire = ChatWire()
        ...

    class TestFaults(FaultMatrix):
        plugin = plugin
        wire = ChatWire()
        rows = chat_fault_rows()
        ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kickai_providers_core.testing.chat_completions.faults import Body, Endless, RawBytes, StreamBytes
from kickai_providers_core.testing.chat_completions.requests import read_request
from kickai_providers_core.testing.chat_completions.wire import ChatWire

if TYPE_CHECKING:
    from kickai_providers_core.testing.chat_completions.rows import chat_fault_rows

__all__ = ["Body", "ChatWire", "Endless", "RawBytes", "StreamBytes", "chat_fault_rows", "read_request"]


def __getattr__(name: str) -> Any:
    if name == "chat_fault_rows":  # its large bodies take a second to make
        return import_module(f"{__name__}.rows").chat_fault_rows
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
