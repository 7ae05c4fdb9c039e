"""The sandbox on a real socket: uvicorn on the running loop, or in a thread of its own for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from probekit.dev.asgi import SandboxApp
from probekit.dev.reply import Handler
from probekit.dev.running import running
from probekit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of a PEM certificate chain and its key."""

    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]


@contextlib.asynccontextmanager
async def serve(sandbox: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: Tls | None = None) -> AsyncIterator[str]:
    """Serve on the running loop; yields the base URL. Port 0 takes a free one.

    At the end open streams are broken off, and neither a task nor a socket is left. Raises ``ConfigError`` when uvicorn is not
    installed, or the address cannot be had.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"the sandbox cannot listen on {host}:{port}: {error.strerror or error}") from error
    app = SandboxApp(sandbox)
    options: dict[str, Any] = {
        "ws": "none",
        # A URL with hundreds of ids.
        "h11_max_incomplete_event_size": 1 << 20,
        "ssl_certfile": None if tls is None else tls.certificate,
        "ssl_keyfile": None if tls is None else tls.key,
    }
    address = listener.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    async with running(app, [listener], what="sandbox", end=lambda _: app.end_streams(), **options):
        yield f"{'http' if tls is None else 'https'}://{shown}:{address[1]}"


@contextlib.contextmanager
def serve_in_thread(sandbox: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: Tls | None = None) -> Iterator[str]:
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
