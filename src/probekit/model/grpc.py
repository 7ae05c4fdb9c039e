"""What a gRPC server says of its health."""

from __future__ import annotations

import msgspec


class HealthAnswer(msgspec.Struct, frozen=True):
    """The answer to one Check of ``grpc.health.v1``: the call's ``code``, and with ``OK`` the ``status``.

    ``code`` is a name of gRPC's list, always the server's own word: what was never answered is an error, not an answer.
    ``ready_ns`` went by until the connection took calls (name, connection, TLS and HTTP/2 settings, which gRPC does not tell
    apart), ``elapsed_ns`` until the answer.
    """

    service: str
    code: str
    status: str = ""
    """SERVING, NOT_SERVING, SERVICE_UNKNOWN, UNKNOWN, or the number of one that has no name."""
    details: str = ""
    ready_ns: int = 0
    elapsed_ns: int = 0
