"""The proxy on a socket: HTTP and WebSocket on one port."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from probekit.dev.asgi import Receive, SandboxApp, Scope, Send
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.sockets import talk
from probekit.dev.running import drop, hang_up, running
from probekit.errors import ConfigError

_MAX_MESSAGE: Final = 16 * 1024 * 1024


class ProxyApp:
    """A :class:`RpcProxy` as an ASGI 3 application."""

    def __init__(self, proxy: RpcProxy) -> None:
        self._proxy = proxy
        self._http = SandboxApp(proxy, hang_up=self._hang_up)
        self.state: Any = None
        """uvicorn's, once it runs."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._talk(receive, send)
        else:
            await self._http(scope, receive, send)

    async def _talk(self, receive: Receive, send: Send) -> None:
        await receive()
        if self._proxy.on(faults.RefusedSocket) is not None:
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})

        async def heard() -> str | None:
            message = await receive()
            return None if message["type"] != "websocket.receive" else message.get("text") or message["bytes"].decode()

        async def tell(text: str) -> None:
            await send({"type": "websocket.send", "text": text})

        # The client goes away while it is written to: no error of the proxy's.
        with contextlib.suppress(OSError):
            code = await talk(self._proxy, heard, tell)
            await send({"type": "websocket.close", "code": code})

    def _hang_up(self, scope: Scope) -> None:
        hang_up(self.state, scope["client"])

    def end(self, state: Any) -> None:
        """Break off everything that is open, so that the server can stop."""
        self._http.end_streams()
        drop(state)


@dataclass(frozen=True, slots=True)
class Served:
    """Where a proxy is served."""

    host: str
    port: int

    @property
    def http(self) -> str:
        """URL for JSON-RPC over HTTP."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws(self) -> str:
        """URL for subscriptions: the same port."""
        return f"ws://{self.host}:{self.port}"


@contextlib.asynccontextmanager
async def serve(proxy: RpcProxy, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Served]:
    """Serve on the running loop. Port 0 takes a free one.

    At the end connections are dropped, and neither a task nor a socket is left. Raises ``ConfigError`` when uvicorn or
    websockets is not installed, or the address cannot be had.
    """
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise ConfigError(f"the proxy cannot listen on {host}:{port}: {error.strerror or error}") from error
    app = ProxyApp(proxy)
    options = {
        "ws": "websockets-sansio",
        "ws_max_size": _MAX_MESSAGE,
        "ws_per_message_deflate": False,
        "ws_ping_interval": None,
    }
    async with running(app, [listener], what="proxy", end=app.end, extras=("dev", "ws"), **options) as state:
        app.state = state
        yield Served(host, listener.getsockname()[1])
