"""One process that serves requests: a resolver, the application and the HTTP server, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from attrs import define, field
from kickai_providers_core import ConfigError, Resolver

from kickai_gateway.answering_target import observe
from kickai_gateway.app import Gateway
from kickai_gateway.connections import Config
from kickai_gateway.garbage_collection import FirstAnswers, exempt_objects
from kickai_gateway.origins import is_loopback
from kickai_gateway.protection import UnsafeSettingsError, build_guards, load_prices, require_protection
from kickai_gateway.reloading import Generation

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery

    from kickai_gateway.board import Board
    from kickai_gateway.shared_prices import SharedPrices

    Load = Callable[[], tuple[Settings, Discovery]]
    Log = Callable[[str], None]

__all__ = ["Server", "Worker"]

KEEP_ALIVE_S = 75
"""Seconds for which an idle connection is kept; longer than the pools of common clients keep theirs."""

SEND_TIMEOUT_S = 60.0
"""Seconds in which a client must read what waits for it, as in nginx."""

LAST_WORDS_S = 1.0
"""Seconds in which cancelled requests may tell their clients."""


class Server(uvicorn.Server):
    """The HTTP server. It handles no signals.

    Attributes:
        ready: Set when it accepts connections.
    """

    def __init__(
        self,
        app: Any,
        *,
        drain_s: float,
        receive_timeout_s: float = 30.0,
        send_timeout_s: float = SEND_TIMEOUT_S,
        max_connections: int = 1_000,
    ) -> None:
        """Serve an application.

        Args:
            app: The application.
            drain_s: Seconds that running requests have left when the server is stopped.
            receive_timeout_s: Seconds in which a client must have sent its request.
            send_timeout_s: Seconds in which a client must read what waits for it.
            max_connections: The connections at a time.
        """
        config = Config(
            app,
            receive_timeout_s=receive_timeout_s,
            send_timeout_s=send_timeout_s,
            max_connections=max_connections,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # its warnings and tracebacks may hold what clients send
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        config.timeout_graceful_shutdown = drain_s  # type: ignore[assignment]  # any number of seconds will do
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self.ready.set()

    def end_at_once(self) -> None:
        """Cancel all requests, which tell their clients so, and soon afterwards close all connections."""
        self.force_exit = True
        for task in self.server_state.tasks:
            task.cancel()
        asyncio.get_running_loop().call_later(LAST_WORDS_S, self._abort_connections)

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the worker."""
        yield


@define
class Worker:
    """Serves requests in this process. It is run once.

    Attributes:
        load: Reads the settings and finds the plugins.
        board: What the workers share.
        prices: The prices that the workers share.
        config: The settings file of the command line; None to search for it.
        drain_s: Seconds that running requests have left when it is stopped.
        log: Writes a line.
        workers: The number of processes that serve.
        had_keys: Whether the gateway has begun with keys; it then never serves without.
    """

    load: Load
    board: Board
    prices: SharedPrices
    config: Path | None
    drain_s: float
    log: Log
    workers: int = 1
    had_keys: bool = False
    _is_local: bool = field(default=True, init=False)
    _gateway: Gateway | None = field(default=None, init=False)
    _server: Server | None = field(default=None, init=False)
    _signal: int = field(default=0, init=False)
    _reloading: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _reloads: set[asyncio.Task[None]] = field(factory=set, init=False)

    def run(
        self,
        settings: Settings,
        discovery: Discovery,
        listener: socket.socket,
        *,
        on_ready: Callable[[], None],
        lifeline: int | None = None,
    ) -> int:
        """Serve until a signal, and return its number; 0 when the lifeline ended it.

        Args:
            settings: The settings.
            discovery: The plugins.
            listener: The listening socket.
            on_ready: Called when requests are served.
            lifeline: A descriptor that ends the worker when it reaches its end; None for none.
        """
        asyncio.run(self._run(settings, discovery, listener, on_ready, lifeline))
        return self._signal

    async def _run(
        self,
        settings: Settings,
        discovery: Discovery,
        listener: socket.socket,
        on_ready: Callable[[], None],
        lifeline: int | None,
    ) -> None:
        self._is_local = is_loopback(str(listener.getsockname()[0]))
        generation = self._build(settings, discovery)
        self._gateway = gateway = Gateway(
            generation.resolver, generation.guards, board=self.board, config=self.config, log=self.log
        )
        self._server = server = Server(
            gateway,
            drain_s=self.drain_s,
            receive_timeout_s=settings.gateway.receive_timeout_s,
            max_connections=settings.gateway.max_connections,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if lifeline is not None:
            loop.add_reader(lifeline, self._stop, 0)
        try:
            serving = asyncio.ensure_future(server.serve([listener]))
            ready = asyncio.ensure_future(server.ready.wait())
            await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
            if server.ready.is_set():
                exempt_objects()
                on_ready()
            ready.cancel()
            await serving
            if server.server_state.tasks:
                await asyncio.wait(server.server_state.tasks, timeout=LAST_WORDS_S)
        finally:
            if lifeline is not None:
                loop.remove_reader(lifeline)
            await gateway.generations.aclose()

    def _stop(self, number: int) -> None:
        server = self._server
        if server is None:
            return
        if server.should_exit and number == signal.SIGINT and not server.force_exit:  # pressed again
            server.end_at_once()
        server.should_exit, self._signal = True, self._signal or number

    def _reload(self) -> None:
        task = asyncio.ensure_future(self._replace_resolver())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _replace_resolver(self) -> None:
        """Read the settings again; requests are served by the old ones until the new ones are ready."""
        async with self._reloading:  # of two signals, the settings of the second one must stay
            await self._read_again()

    async def _read_again(self) -> None:
        gateway = self._gateway
        try:
            settings, discovery = await asyncio.to_thread(self.load)
            generation = await asyncio.to_thread(self._build, settings, discovery)
        except (ConfigError, UnsafeSettingsError) as error:
            self.log("the settings were not read again, since they have problems; the old ones are kept")
            for problem in error.problems if isinstance(error, ConfigError) else (error.message,):
                self.log(str(problem))
            return
        if gateway is None:
            await generation.aclose()
            return
        gateway.generations.replace(generation)
        self.log("the settings were read again")

    def _build(self, settings: Settings, discovery: Discovery) -> Generation:
        """Return what serves requests by these settings; it may wait for the store and for prices."""
        require_protection(
            settings,
            is_local=self._is_local,
            workers=self.workers,
            host="other machines",
            had_keys=self.had_keys,
        )
        prices = load_prices(settings, self.config, self.prices)
        guards = build_guards(settings, discovery, prices=prices, log=self.log)
        self.had_keys = bool(settings.gateway.keys)
        return Generation(Resolver(settings, discovery, observers=[observe, FirstAnswers()]), guards)
