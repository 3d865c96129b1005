"""Mutants that depend on their environment, or change the process, threads and event loops around them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time
import warnings
from contextlib import closing, suppress
from functools import cached_property

from attrs import evolve

from kestrel.client import Client, Timeouts
from kestrel.mutants.registry import mutant
from kestrel.mutants.secrets import FollowsRedirects
from kestrel.plugin import KestrelPlugin
from kickai_providers_core.plugin_api.hookspecs import hookimpl
from kickai_providers_core.values import errors
from kickai_providers_core.values.errors import Problem
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core.values.secrets import Secret


@mutant("test_explicit_settings_win_over_the_environment")
class PrefersTheAddressOfTheEnvironment(Client):
    """Calls the address in the environment instead of the one in its settings."""

    def __init__(self, settings):
        super().__init__(evolve(settings, url=os.environ.get("KESTREL_URL", settings.url)))


@mutant("test_explicit_settings_win_over_the_environment")
class PrefersTheKeyOfTheEnvironment(Client):
    """Sends the key in the environment instead of the one in its settings."""

    def __init__(self, settings):
        key = os.environ.get("KESTREL_API_KEY")
        super().__init__(evolve(settings, key=Secret(key)) if key else settings)


@mutant("test_a_key_in_the_environment_is_not_sent_instead_of_none")
class FindsAKeyByItself(Client):
    """Sends a key of the environment when its settings have none."""

    def __init__(self, settings):
        key = settings.key or Secret(os.environ.get("KESTREL_API_KEY", ""))
        super().__init__(evolve(settings, key=key))


@mutant("test_a_self_signed_certificate_is_refused")
class TrustsEveryone(Client):
    """Does not verify certificates."""

    def connect(self, timeouts):
        """Connect to anyone."""
        if self.scheme != "https":
            return super().connect(timeouts)
        line = socket.create_connection((self.host, self.port), timeouts.wait_s())
        with closing(line):
            return ssl._create_unverified_context().wrap_socket(line, server_hostname=self.host)  # noqa: S323


@mutant("test_a_self_signed_certificate_is_refused")
class TrustsEveryoneOnLoops(Client):
    """Does not verify certificates on event loops."""

    async def aconnect(self):
        """Connect to anyone."""
        tls = ssl._create_unverified_context() if self.scheme == "https" else None  # noqa: S323
        return await asyncio.open_connection(self.host, self.port, ssl=tls)


@mutant("test_validating_online_refuses_a_self_signed_certificate")
class TrustsEveryoneOnline(KestrelPlugin):
    """Does not verify certificates in online validation."""

    def find_online_problems(self, settings):
        """Call the service with a client that connects to anyone."""
        with suppress(errors.ProviderError):
            TrustsEveryone(settings).invoke(ChatRequest.of("ping"), settings.timeout_s)
        return []


@mutant("test_validating_online_follows_no_redirect")
class FollowsRedirectsOnline(KestrelPlugin):
    """Follows redirects in online validation, and sends the key there."""

    def find_online_problems(self, settings):
        """Call the service with a client that follows redirects."""
        with suppress(errors.ProviderError):
            FollowsRedirects(settings).invoke(ChatRequest.of("ping"), settings.timeout_s)
        return []


@mutant("test_the_loop_runs_every_20_ms")
class BlocksTheLoopFor40Ms(Client):
    """Works on the event loop for 40 ms before each call."""

    async def ainvoke(self, request, timeout_s):
        """Work."""
        time.sleep(0.04)  # noqa: ASYNC251  that is the fault
        return await super().ainvoke(request, timeout_s)


@mutant("test_the_loop_runs_every_20_ms")
class BlocksTheLoopInStreams(Client):
    """Works on the event loop for 40 ms at the end of a stream."""

    async def astream(self, request, timeout_s):
        """Work."""
        async for chunk in super().astream(request, timeout_s):
            yield chunk
        time.sleep(0.04)  # noqa: ASYNC251  that is the fault


@mutant("test_cancelling_ends_the_call_at_once")
class SleepsWhenCancelled(Client):
    """Waits a moment before a cancelled call ends."""

    async def ainvoke(self, request, timeout_s):
        """Wait."""
        try:
            return await super().ainvoke(request, timeout_s)
        except asyncio.CancelledError:
            await asyncio.sleep(0.2)
            raise


@mutant("test_threads_do_not_wait_for_each_other")
class CallsOneAtATime(Client):
    """Holds a lock during a call."""

    @cached_property
    def lock(self):
        """Return the lock."""
        return threading.Lock()

    def invoke(self, request, timeout_s):
        """Hold the lock."""
        with self.lock:
            return super().invoke(request, timeout_s)


@mutant("test_connecting_has_its_own_timeout_in_each_native_mode")
class LeavesConnectingToTheCore(KestrelPlugin):
    """Has no timeout for connecting on event loops, and leaves those of sync calls to the core."""

    info = evolve(KestrelPlugin.info, holds_timeouts=False)

    def client(self, settings):
        """Return a client that connects for as long as it takes."""
        return Client(evolve(settings, connect_timeout_s=1000.0))


@mutant("test_closing_while_the_loop_runs_frees_connections")
class ClosesAfterTheLoop(Client):
    """Closes the connections of an event loop only once the loop has ended."""

    @cached_property
    def kept(self):
        """Return the connections."""
        return []

    async def ainvoke(self, request, timeout_s):
        """Keep a connection."""
        self.kept.append((asyncio.get_running_loop(), self.connect(Timeouts(self.settings, 1.0, live=False))))
        return await super().ainvoke(request, timeout_s)

    def close(self):
        """Close those of loops that have ended."""
        for loop, line in self.kept:
            if loop.is_closed():
                line.close()


class KeepsAConnection(Client):
    """Keeps a connection until it is closed."""

    @cached_property
    def kept(self):
        """Return the connections."""
        return []

    async def ainvoke(self, request, timeout_s):
        """Keep a connection."""
        self.kept.append(self.connect(Timeouts(self.settings, 1.0, live=False)))
        return await super().ainvoke(request, timeout_s)

    def close(self):
        """Close it."""
        while self.kept:
            self.kept.pop().close()


@mutant("test_aclosing_frees_connections")
class ClosesFromThreadsOnly(KestrelPlugin):
    """Closes its connections only without an event loop."""

    def client(self, settings):
        """Return a client that keeps a connection."""
        return KeepsAConnection(settings)

    @hookimpl
    async def kickai_aclose_provider(self, provider):
        """Do nothing."""


@mutant("test_closing_during_a_call_ends_in_time")
class WaitsForItsCalls(Client):
    """Waits for the calls that are under way when it is closed."""

    @cached_property
    def running(self):
        """Return the calls that are under way."""
        return []

    def invoke(self, request, timeout_s):
        """Note the call."""
        self.running.append(request)
        try:
            return super().invoke(request, timeout_s)
        finally:
            self.running.pop()

    def close(self):
        """Wait."""
        ends = time.monotonic() + 1.8
        while self.running and time.monotonic() < ends:
            time.sleep(0.01)


@mutant("test_a_forked_process_can_call")
class BelongsToOneProcess(Client):
    """Refuses to be created in a process that was forked from the one that used it first."""

    first = None

    def __init__(self, settings):
        super().__init__(settings)
        BelongsToOneProcess.first = BelongsToOneProcess.first or os.getpid()

    def encode_request(self, request, *, live):
        """Compare the processes."""
        if BelongsToOneProcess.first != os.getpid():
            raise RuntimeError("created in another process")
        return super().encode_request(request, live=live)


@mutant("test_nothing_is_printed")
class PrintsItsCalls(Client):
    """Prints a line for each call."""

    def encode_request(self, request, *, live):
        """Print."""
        os.write(1, b"calling\n")
        return super().encode_request(request, live=live)


@mutant("test_the_environment_is_unchanged")
class SetsAVariable(Client):
    """Sets an environment variable."""

    def __init__(self, settings):
        super().__init__(settings)
        os.environ["KESTREL_MODE"] = "quiet"


@mutant("test_logging_is_unchanged")
class ConfiguresLogging(Client):
    """Configures the logging of the whole program."""

    def __init__(self, settings):
        super().__init__(settings)
        logging.basicConfig(level=logging.ERROR)


@mutant("test_signals_are_unchanged")
class HandlesSigterm(Client):
    """Installs a handler of a signal."""

    def __init__(self, settings):
        super().__init__(settings)
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@mutant("test_socket_defaults_are_unchanged")
class SetsTheDefaultTimeout(Client):
    """Sets the timeout of all sockets of the program."""

    def __init__(self, settings):
        super().__init__(settings)
        socket.setdefaulttimeout(30.0)


@mutant("test_the_interpreter_is_unchanged")
class SilencesWarnings(Client):
    """Silences the warnings of the whole program."""

    def invoke(self, request, timeout_s):
        """Silence them."""
        warnings.filterwarnings("ignore", message=f"kestrel {time.monotonic()}")
        return super().invoke(request, timeout_s)


@mutant("test_the_interpreter_is_unchanged")
class RaisesTheRecursionLimit(Client):
    """Raises the recursion limit with each call."""

    def invoke(self, request, timeout_s):
        """Raise it."""
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        return super().invoke(request, timeout_s)


@mutant("test_the_interpreter_is_unchanged")
class SetsTheRecursionLimit(Client):
    """Sets the recursion limit to the same value each time."""

    def __init__(self, settings):
        super().__init__(settings)
        sys.setrecursionlimit(5000)


@mutant("test_the_interpreter_is_unchanged")
class TurnsTheCollectorOff(Client):
    """Turns the garbage collector off."""

    def __init__(self, settings):
        super().__init__(settings)
        gc.disable()


@mutant("test_the_environment_is_unchanged")
class ChangesTheDirectory(Client):
    """Changes the working directory to the same one each time."""

    def __init__(self, settings):
        super().__init__(settings)
        os.chdir("/")


@mutant("test_random_numbers_stay_random")
class SeedsRandomNumbers(Client):
    """Seeds the random numbers of the whole program."""

    def __init__(self, settings):
        super().__init__(settings)
        random.seed(0)


@mutant("test_the_next_call_works")
class BreaksItsLoop(Client):
    """Fails on an event loop on which a call has failed before."""

    @cached_property
    def broken(self):
        """Return the loops."""
        return []

    async def ainvoke(self, request, timeout_s):
        """Remember the loop of a failure."""
        loop = asyncio.get_running_loop()
        if loop in self.broken:
            raise errors.ProviderUnavailableError("the session is broken")
        try:
            return await super().ainvoke(request, timeout_s)
        except errors.ProviderError:
            self.broken.append(loop)
            raise


@mutant("test_validating_online_finds_a_refused_key")
class AcceptsRefusedKeys(KestrelPlugin):
    """Reports no problem when the service refuses the key."""

    def find_online_problems(self, settings):
        """Call the service, and say nothing."""
        super().find_online_problems(settings)
        return []


@mutant("test_validating_online_blames_no_key_for_an_outage")
class BlamesTheKeyForOutages(KestrelPlugin):
    """Reports the key as refused whatever the service answers to online validation."""

    def find_online_problems(self, settings):
        """Blame the key."""
        return [evolve(problem, path="key") for problem in super().find_online_problems(settings)]


@mutant("test_validating_online_shows_no_key")
class ShowsTheKeyOnline(KestrelPlugin):
    """Shows the key in the problems of online validation."""

    @hookimpl
    def kickai_validate_provider(self, settings, online):
        """Add the key."""
        found = super().kickai_validate_provider(settings, online)
        return (
            [*found, Problem(path="", message=f"used {settings.key.reveal()}", severity="note")]
            if online and settings.key
            else found
        )
