"""``python -m probekit.dev.rpc_proxy URL``: a misbehaving proxy before a node, faults switched over HTTP."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from probekit.dev import control
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.server import serve
from probekit.errors import ConfigError
from probekit.transports.httpx import HttpxTransport


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        "python -m probekit.dev.rpc_proxy",
        description="A proxy before an EVM node that lags, limits, lies, hangs or breaks off: whatever is posted to it.",
    )
    add = made.add_argument
    add("url", help="the node's URL for HTTP, such as http://127.0.0.1:8545")
    add("--ws-url", help="its URL for WebSocket (default: the same with ws://)")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8560, help="port of both HTTP and WebSocket; 0 takes a free one (default: %(default)s)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run until interrupted or terminated; prints the URLs once they answer. 3 when it cannot run."""
    arguments = parser().parse_args(argv)
    try:
        asyncio.run(_serve(arguments.url, arguments.ws_url, arguments.host, arguments.port))
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        return 3
    return 0


async def _serve(url: str, ws_url: str | None, host: str, port: int) -> None:
    if not url.startswith(("http://", "https://")):
        raise ConfigError("the node's URL starts with http:// or https://")
    from probekit.transports.websocket import WebsocketsConnector

    ended = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # no signal handlers on this platform's loop
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    engine = HttpxTransport()
    try:
        sockets = ws_url or "ws" + url.removeprefix("http")
        proxy = RpcProxy(url, transport=engine, ws_url=sockets, connector=WebsocketsConnector(), control=True)
        async with serve(proxy, host=host, port=port) as served:
            print(f"EVM RPC at {served.http}, WebSocket at {served.ws}", flush=True)
            print(f"faults: POST to {served.http}{control.PREFIX}, such as " + '{"fault":"lag","blocks":20}', flush=True)
            await ended.wait()
    finally:
        await engine.aclose()


if __name__ == "__main__":
    raise SystemExit(main())
