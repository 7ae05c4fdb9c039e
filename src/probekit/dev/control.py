"""Faults over HTTP, for sandboxes in another process: ``/_sandbox/faults``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from probekit.dev.faults import AnyFault, Injected
from probekit.dev.reply import Reply, text

if TYPE_CHECKING:
    from probekit.dev.sandbox import Sandbox

PREFIX: Final = "/_sandbox/faults"
_FAULT: Final[msgspec.json.Decoder[AnyFault]] = msgspec.json.Decoder(AnyFault)


def answer(sandbox: Sandbox, method: str, path: str, body: bytes) -> Reply:
    """GET lists what is on; POST puts one on and gives its id; DELETE takes off one (``/_sandbox/faults/3``) or all."""
    wanted = path.removeprefix(PREFIX).strip("/")
    if method == "POST" and not wanted:
        try:
            injected = sandbox.inject(_FAULT.decode(body))
        except (msgspec.DecodeError, LookupError) as error:
            return text(400, f"not a fault: {error}")
        return Reply(201, msgspec.json.encode(_row(injected)))
    found = [one for one in sandbox.injected if wanted in ("", str(one.id))]
    if wanted and not found:
        return text(404, f"no fault has the id {wanted[:20]}")
    if method == "DELETE":
        for one in found:
            one.clear()
        return Reply(body=msgspec.json.encode([_row(one) for one in sandbox.injected]))
    if method == "GET":
        return Reply(body=msgspec.json.encode([_row(one) for one in found]))
    return text(405, "Method not allowed")


def _row(injected: Injected) -> dict[str, Any]:
    return {"id": injected.id, "fault": injected.fault}
