"""Faults over HTTP, for servers of ours in another process: ``/_sandbox/faults``."""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from probekit.dev.faults import AnyFault, Fault, Injected
from probekit.dev.reply import Reply, text

PREFIX: Final = "/_sandbox/faults"
_FAULT: Final[msgspec.json.Decoder[AnyFault]] = msgspec.json.Decoder(AnyFault)


class Faulty(Protocol):
    """A server with faults to switch."""

    @property
    def injected(self) -> tuple[Injected, ...]: ...

    def inject(self, fault: Fault) -> Injected: ...


def answer(server: Faulty, method: str, path: str, body: bytes, *, decoder: msgspec.json.Decoder[Any] = _FAULT) -> Reply:
    """GET lists what is on; POST puts one on and gives its id; DELETE takes off one (``/_sandbox/faults/3``) or all.

    ``decoder`` knows the server's faults.
    """
    wanted = path.removeprefix(PREFIX).strip("/")
    if method == "POST" and not wanted:
        try:
            injected = server.inject(decoder.decode(body))
        except (msgspec.DecodeError, LookupError) as error:
            return text(400, f"not a fault: {error}")
        return Reply(201, msgspec.json.encode(_row(injected)))
    found = [one for one in server.injected if wanted in ("", str(one.id))]
    if wanted and not found:
        return text(404, f"no fault has the id {wanted[:20]}")
    if method == "DELETE":
        for one in found:
            one.clear()
        return Reply(body=msgspec.json.encode([_row(one) for one in server.injected]))
    if method == "GET":
        return Reply(body=msgspec.json.encode([_row(one) for one in found]))
    return text(405, "Method not allowed")


def _row(injected: Injected) -> dict[str, Any]:
    return {"id": injected.id, "fault": injected.fault}
