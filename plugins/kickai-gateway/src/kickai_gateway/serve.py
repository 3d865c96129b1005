"""Runs the gateway: listens, starts one worker or several, and ends them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from kickai_gateway.board import Board
from kickai_gateway.origins import is_loopback
from kickai_gateway.protection import load_prices, require_protection
from kickai_gateway.shared_prices import SharedPrices
from kickai_gateway.supervisor import Supervisor, choose_exit_code
from kickai_gateway.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.cli.common_options import Session
    from kickai_providers_core.config.gateway_settings import GatewaySettings

__all__ = ["serve"]

BACKLOG = 2_048
NOT_SHARED = (
    "warning: without [store], the workers do not share health, rate limits, the rollout and metrics; "
    'add for example [store] url = "sqlite:///kickai.db"'
)


class CannotListenError(click.ClickException):
    """The address cannot be listened on."""

    exit_code = 2


def serve(session: Session, adjust: Callable[[GatewaySettings], GatewaySettings]) -> int:
    """Run the gateway, and return the exit code.

    Args:
        session: The run of the command line.
        adjust: Applies the options of the command line to the settings.

    Raises:
        ConfigError: The settings cannot be used.
        CannotListenError: The address cannot be listened on.
        UnsafeSettingsError: The gateway would serve strangers, or could not hold a limit.
    """
    settings, discovery = session.load_with_warnings()
    own = adjust(settings.gateway)
    with _listen(own) as listener:
        is_local = is_loopback(str(listener.getsockname()[0]))
        require_protection(settings, is_local=is_local, workers=own.workers, host=own.host)
        address, board, prices = _format_address(listener), Board.create(own.workers), SharedPrices.create()

        def log(line: str) -> None:
            session.console.log(f"kickai: {line}")

        def announce() -> None:
            workers = f" with {own.workers} workers" if own.workers > 1 else ""
            log(f"serving {address}/v1{workers}; Ctrl-C stops")

        if own.workers > 1:
            load_prices(settings, session.config, prices)  # a worker that has none would be started again
            if settings.store.url is None:
                log(NOT_SHARED)
            supervisor = Supervisor(
                board=board,
                prices=prices,
                workers=own.workers,
                drain_s=own.drain_s,
                config=session.config,
                log=log,
                had_keys=bool(settings.gateway.keys),
            )
            return supervisor.run(listener, on_ready=announce)
        worker = Worker(
            load=session.load_with_warnings,
            board=board,
            prices=prices,
            config=session.config,
            drain_s=own.drain_s,
            log=log,
        )
        number = worker.run(settings, discovery, listener, on_ready=announce)
    return choose_exit_code(number)


def _listen(own: GatewaySettings) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            own.host, own.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CannotListenError(f"Cannot listen on {own.host} port {own.port}: {reason}.") from None
    return listener


def _format_address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
