"""A JSON-RPC node in a process of its own, so that its work is not counted: keep-alive, one thread per connection."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import socket
import threading
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], str]
"""From one request object to the whole answer object, as JSON text."""


def _converse(connection: socket.socket, answer: Answer) -> None:
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
        while True:
            length = 0
            while (line := reader.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                return
            asked = json.loads(reader.read(length))
            text = "[" + ",".join(map(answer, asked)) + "]" if isinstance(asked, list) else answer(asked)
            body = text.encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)


def _serve(listener: socket.socket, answer: Answer) -> None:
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_converse, args=(connection, answer), daemon=True).start()


def start(answer: Answer) -> str:
    """URL of a node that answers with ``answer`` until this process ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = multiprocessing.get_context("fork")
    context.Process(target=_serve, args=(listener, answer), daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"
