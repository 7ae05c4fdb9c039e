"""An EVM node over HTTP that says it is Base, with one large payment in one block: what a range is replayed over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from probekit.codecs.evm.conditions import NamedEvent

USDC = "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"


@contextmanager
def payments(*, at_block: int, head: int) -> Iterator[str]:
    """Its URL, while it answers."""
    topics, data = NamedEvent.parse("Transfer(address indexed from, address indexed to, uint256 value)").event.encode(
        "0x" + "11" * 20, "0x" + "22" * 20, 300_000 * 10**6
    )
    log = {
        "address": USDC, "topics": ["0x" + one.hex() for one in topics], "data": "0x" + data.hex(), "logIndex": "0x0",
        "blockNumber": hex(at_block), "blockHash": f"0x{at_block:064x}", "transactionHash": f"0x{7:064x}", "removed": False,
    }  # fmt: skip

    def block(at: str, _: bool) -> dict[str, Any]:
        number = head if at == "latest" else int(at, 16)
        return {
            "number": hex(number), "hash": f"0x{number:064x}", "parentHash": f"0x{number - 1:064x}",
            "timestamp": hex(1_700_000_000 + 2 * number), "gasLimit": "0x1", "gasUsed": "0x0",
        }  # fmt: skip

    def logs(query: dict[str, str]) -> list[dict[str, Any]]:
        return [log] if int(query["fromBlock"], 16) <= at_block <= int(query["toBlock"], 16) else []

    methods: dict[str, Any] = {
        "eth_chainId": lambda: hex(8453),
        "eth_blockNumber": lambda: hex(head),
        "eth_syncing": lambda: False,
        "eth_getBlockByNumber": block,
        "eth_getLogs": logs,
    }

    def answer(call: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": call["id"], "result": methods[call["method"]](*call.get("params", []))}

    class Node(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told = [answer(one) for one in asked] if isinstance(asked, list) else answer(asked)
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Node) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
