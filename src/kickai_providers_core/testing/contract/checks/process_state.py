"""What belongs to the process and not to a plugin: its output, environment, logging, signals, sockets and hooks."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.testing.contract.helpers.constants import MODES
from kickai_providers_core.testing.contract.helpers.interpreter_state import (
    marked_interpreter,
    read_interpreter_state,
)
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["ProcessStateTests"]

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGCHLD")


class ProcessStateTests(ProviderSpec):
    """A plugin changes nothing that other parts of the process use."""

    def test_nothing_is_printed(self, harness: ProviderHarness, capfd: pytest.CaptureFixture[str]) -> None:
        """Creating, calling, failing and closing print nothing, also not from native code."""
        capfd.readouterr()
        _use_everything(harness)
        printed = "".join(capfd.readouterr())
        assert not printed, f"the provider printed {printed!r}: use a logger"

    def test_the_environment_is_unchanged(
        self, harness: ProviderHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No environment variable is set, changed or deleted, and the working directory stays the same."""
        monkeypatch.chdir(tmp_path)
        before, place, written = dict(os.environ), Path.cwd(), []
        encode = os.environ.encodevalue

        def note(value: str) -> Any:
            written.append(value)
            return encode(value)

        monkeypatch.setattr(os.environ, "encodevalue", note)
        _use_everything(harness)
        after = dict(os.environ)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        assert not changed, f"the provider changed environment variables: {', '.join(changed)}"
        assert not written, "the provider set an environment variable again: pass values to the client instead"
        assert Path.cwd() == place, f"the provider changed the working directory to {Path.cwd()}"

    def test_logging_is_unchanged(self, harness: ProviderHarness) -> None:
        """The root logger keeps its level and its handlers, and nothing is configured for the whole program."""
        with _plain_logging() as root:
            _use_everything(harness)
            found = (root.level, list(root.handlers), logging.root.manager.disable)
        assert found == (logging.WARNING, [], logging.NOTSET), (
            f"the provider changed the root logger: level {found[0]}, handlers {found[1]}, disabled {found[2]}; "
            "use a logger with a name, and leave its configuration to the application"
        )

    def test_signals_are_unchanged(self, harness: ProviderHarness) -> None:
        """No handler of a signal is installed."""
        if threading.current_thread() is not threading.main_thread():
            pytest.skip("not applicable: only the main thread can set handlers")
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}
        own = [number for number, handler in before.items() if handler in {signal.SIG_DFL, signal.SIG_IGN, None}]
        marks = dict.fromkeys(own, signal.SIG_IGN)  # a handler that was set before would be no change
        try:
            for number in own:
                signal.signal(number, signal.SIG_IGN)
            _use_everything(harness)
            changed = [
                signal.Signals(number).name
                for number, handler in {**before, **marks}.items()
                if signal.getsignal(number) != handler
            ]
        finally:
            for number in own:
                signal.signal(number, before[number] or signal.SIG_DFL)
        assert not changed, f"the provider installed handlers of {', '.join(changed)}: leave signals to the application"

    def test_socket_defaults_are_unchanged(self, harness: ProviderHarness) -> None:
        """The default timeout of sockets is not set."""
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(None)
        try:
            _use_everything(harness)
            found = socket.getdefaulttimeout()
        finally:
            socket.setdefaulttimeout(before)
        assert found is None, f"the provider set the default timeout of all sockets to {found} s"

    def test_the_interpreter_is_unchanged(self, harness: ProviderHarness) -> None:
        """Hooks, filters, limits, the locale, and the functions of `socket` and `ssl` are not changed."""
        with marked_interpreter():
            before = read_interpreter_state()
            _use_everything(harness)
            after = read_interpreter_state()
        changed = [name for name, value in before.items() if after[name] != value]
        assert not changed, f"the provider changed {', '.join(changed)}"

    def test_random_numbers_stay_random(self, harness: ProviderHarness) -> None:
        """The generator of `random`, which the whole program shares, is not seeded."""
        before, states = random.getstate(), []
        try:
            for seed in (1, 2):
                random.seed(seed)
                _use_everything(harness)
                states.append(random.getstate())
        finally:
            random.setstate(before)
        assert states[0] != states[1], "the provider seeded the module random: create a random.Random of its own"


def _use_everything(harness: ProviderHarness) -> None:
    """Create a provider, validate it, call it in each mode, let it fail, and close it."""
    list(harness.hook.kickai_validate_provider(settings=harness.settings, online=False) or ())
    provider = harness.hook.kickai_create_provider(settings=harness.settings)
    for mode in MODES:
        harness.attempt(mode, provider=provider)
        if harness.spec.wire is not None:
            harness.attempt(mode, Status(500, "unavailable"), provider=provider)
    harness.close(provider)


@contextmanager
def _plain_logging() -> Iterator[logging.Logger]:
    """Give the root logger as a program has it that has configured nothing."""
    root, manager = logging.getLogger(), logging.root.manager
    level, handlers, disabled = root.level, list(root.handlers), manager.disable
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    manager.disable = logging.NOTSET
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        manager.disable = disabled
