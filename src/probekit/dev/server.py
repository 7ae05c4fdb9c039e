"""The sandbox on a real socket: uvicorn on the running loop, or in a thread of its own for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from probekit.dev.asgi import SandboxApp
from probekit.dev.reply import Broken
from probekit.dev.sandbox import Sandbox
from probekit.errors import ConfigError
from probekit.errors.extras import missing_extra

_START_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of a PEM certificate chain and its key."""

    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]


class _QuietBreaks(logging.Filter):
    """An injected break of a connection is no error of the server's."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or record.exc_info[0] not in (Broken, asyncio.CancelledError)


# One for all: a logger takes the same filter only once.
_QUIET = _QuietBreaks()


@contextlib.asynccontextmanager
async def serve(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0, tls: Tls | None = None) -> AsyncIterator[str]:
    """Serve on the running loop; yields the base URL. Port 0 takes a free one.

    At the end open streams are broken off, and neither a task nor a socket is left. Raises ``ConfigError`` when uvicorn is not
    installed, or the address cannot be had.
    """
    uvicorn = _uvicorn()
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"the sandbox cannot listen on {host}:{port}: {error.strerror or error}") from error
    app = SandboxApp(sandbox)
    logging.getLogger("uvicorn.error").addFilter(_QUIET)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        # A URL with hundreds of ids.
        h11_max_incomplete_event_size=1 << 20,
        timeout_graceful_shutdown=1,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    server = uvicorn.Server(config)
    # Signals belong to the program that this runs in.
    server.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(server.serve(sockets=[listener]), name="sandbox server")
    try:
        while not server.started:
            if task.done():
                task.result()
                raise ConfigError(f"the sandbox on {host}:{port} ended before it started")
            await asyncio.sleep(_START_POLL_S)
        address = listener.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield f"{'http' if tls is None else 'https'}://{shown}:{address[1]}"
    finally:
        server.should_exit = True
        app.end_streams()
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


@contextlib.contextmanager
def serve_in_thread(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0, tls: Tls | None = None) -> Iterator[str]:
    """The same on a loop of its own, in a thread: for code without a loop, and for measurements that must not share one.

    Faults may be injected from the caller's thread.
    """
    started = threading.Event()
    problem: list[BaseException] = []
    shared: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        async with serve(sandbox, host=host, port=port, tls=tls) as url:
            shared.append((url, asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    def body() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            problem.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=body, name="sandbox server", daemon=True)
    thread.start()
    started.wait()
    if not shared:
        thread.join()
        raise problem[0]
    url, loop, stop = shared[0]
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise missing_extra("the sandbox server needs uvicorn", "dev") from None
    return uvicorn
