"""uvicorn on the running loop, for a block of code: what every server of ours on a socket is started with."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from socket import socket
from typing import Any, Final

from probekit.dev.reply import Broken
from probekit.errors import ConfigError
from probekit.errors.extras import missing_extra

_START_POLL_S: Final = 0.002


class _QuietBreaks(logging.Filter):
    """An injected break of a connection is no error of the server's."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or record.exc_info[0] not in (Broken, asyncio.CancelledError)


# One for all: a logger takes the same filter only once.
_QUIET: Final = _QuietBreaks()


@contextlib.asynccontextmanager
async def running(
    app: Any,
    listeners: Sequence[socket],
    *,
    what: str,
    end: Callable[[Any], object],
    extras: Sequence[str] = ("dev",),
    **options: Any,
) -> AsyncIterator[Any]:
    """Serve an ASGI application on listening sockets, which are closed at the end; yields uvicorn's state of connections.

    ``end`` is given that state when the block is left, to break off what would go on. ``options`` are uvicorn's. Raises
    ``ConfigError`` when uvicorn (and websockets, unless ``ws="none"``) is not installed, or does not start.
    """
    try:
        uvicorn = _uvicorn(what, extras, options.get("ws") != "none")
        config = uvicorn.Config(
            app,
            http="h11",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
            **options,
        )
        logging.getLogger("uvicorn.error").addFilter(_QUIET)
        server = uvicorn.Server(config)
        # Signals belong to the program that this runs in.
        server.capture_signals = contextlib.nullcontext
        task = asyncio.create_task(server.serve(sockets=list(listeners)), name=f"{what} server")
        try:
            while not server.started:
                if task.done():
                    task.result()
                    raise ConfigError(f"the {what} ended before it started")
                await asyncio.sleep(_START_POLL_S)
            yield server.server_state
        finally:
            end(server.server_state)
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)
    finally:
        for listener in listeners:
            listener.close()


def drop(state: Any) -> int:
    """Reset every open connection, without a closing handshake; how many there were."""
    open_now = list(state.connections)
    for connection in open_now:
        connection.transport.abort()
    return len(open_now)


def hang_up(state: Any, client: Any) -> None:
    """Close the connection of ``client``, (host, port), without an answer."""
    for connection in list(state.connections):
        if connection.client is not None and tuple(connection.client) == tuple(client):
            connection.transport.close()


def _uvicorn(what: str, extras: Sequence[str], sockets: bool) -> Any:
    # websockets is what uvicorn's WebSocket side stands on.
    names = ("uvicorn", "websockets") if sockets else ("uvicorn",)
    try:
        if any(importlib.util.find_spec(name) is None for name in names):
            raise ModuleNotFoundError
        import uvicorn
    except (ModuleNotFoundError, ValueError):
        raise missing_extra(f"the {what} server needs {' and '.join(names)}", *extras) from None
    return uvicorn
