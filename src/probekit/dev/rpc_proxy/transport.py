"""Proxies in process, on the injected clock: an engine and a connector without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from probekit.clock import reap
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.sockets import talk
from probekit.dev.transport import SandboxTransport
from probekit.errors import ConnectError, NotEntitled, StreamClosed
from probekit.secret import redact_url
from probekit.transports.base import HeaderValue

__all__ = ["ProxyConnector", "ProxyTransport"]


class ProxyTransport(SandboxTransport):
    """An :class:`~probekit.transports.base.Engine` over proxies by origin (``{"http://a.test": proxy}``)."""


class ProxyConnector:
    """A :class:`~probekit.transports.socket.Connector` over proxies by origin (``{"ws://a.test": proxy}``)."""

    def __init__(self, proxies: Mapping[str, RpcProxy]) -> None:
        self._proxies = dict(proxies)

    async def connect(
        self, url: str, *, headers: Sequence[tuple[str, HeaderValue]] = (), timeout_ns: int, max_message_bytes: int
    ) -> ProxySocket:
        shown = redact_url(url)
        proxy = next((proxy for origin, proxy in self._proxies.items() if url.startswith(origin)), None)
        if proxy is None:
            raise ConnectError(f"the connection to {shown} was refused", url=shown)
        if proxy.on(faults.RefusedSocket) is not None:
            raise NotEntitled(f"{shown} answered 403 instead of opening a WebSocket", status=403, url=shown)
        return ProxySocket(proxy, shown)


class ProxySocket:
    """The client's end of a socket to a proxy."""

    def __init__(self, proxy: RpcProxy, shown: str) -> None:
        self._shown = shown
        self._out: asyncio.Queue[str | None] = asyncio.Queue()
        self._in: asyncio.Queue[str | int] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._serve(proxy))

    async def _serve(self, proxy: RpcProxy) -> None:
        self._in.put_nowait(await talk(proxy, self._out.get, self._in.put))

    async def send(self, text: str) -> None:
        if self._task.done():
            raise StreamClosed(f"{self._shown} is closed", planned=False, url=self._shown)
        self._out.put_nowait(text)

    async def receive(self) -> bytes:
        if self._task.done() and self._in.empty():
            raise StreamClosed(f"{self._shown} is closed", planned=False, url=self._shown)
        message = await self._in.get()
        if isinstance(message, int):
            raise StreamClosed(f"{self._shown} closed: {message}", planned=message in (1000, 1001), url=self._shown)
        return message.encode()

    async def aclose(self) -> None:
        await reap(self._task)
