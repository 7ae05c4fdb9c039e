"""What can be wrong with an RPC endpoint: typed, of all its methods or of some, named as the control route takes it.

Shapes of limits are those that providers' users report; codes and words are cited where
:mod:`probekit.transports.rpc.faults` reads them.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from probekit.dev.faults import Fault


class RpcFault(Fault, frozen=True, kw_only=True):
    """Base. ``methods``: the methods it is on for, all when empty. A batch is at fault when one of its calls is."""

    methods: tuple[str, ...] = ()

    def concerns(self, methods: tuple[str, ...]) -> bool:
        """Whether a request with these methods is at fault."""
        return not self.methods or any(method in self.methods for method in methods)


# -- what the endpoint sees of the chain -----------------------------------------------------------------------------------


class Lag(RpcFault, frozen=True, tag="lag"):
    """Answers and new heads are as of so many blocks ago; newer blocks are unknown here."""

    blocks: int = 20


class WrongChain(RpcFault, frozen=True, tag="wrong_chain"):
    """It says that it serves another chain, over HTTP and sockets; everything else it answers as before."""

    chain_id: int = 666


class Fork(RpcFault, frozen=True, tag="fork"):
    """A reorganisation that this endpoint alone sees: its newest ``depth`` blocks, and all after them, are others.

    Open subscriptions are told the new ones. Receipts are of the other blocks, or ``gone``.
    """

    depth: int = 2
    gone: bool = False


# -- what its gateway does -------------------------------------------------------------------------------------------------


class RateLimited(RpcFault, frozen=True, tag="rate_limited"):
    """HTTP 429; ``retry_after_s`` goes into Retry-After (as an HTTP date where ``as_date``), ``None`` leaves it out."""

    retry_after_s: int | None = None
    as_date: bool = False


LimitShape = Literal["infura", "alchemy", "quicknode", "quicknode_bare", "ankr", "chainstack", "drpc", "proxyd", "bsc"]

LIMITS: Final[dict[LimitShape, dict[str, Any]]] = {
    "infura": {
        "code": -32005,
        "message": "daily request count exceeded, request rate limited",
        "data": {"rate": {"allowed_rps": 1, "backoff_seconds": 30, "current_rps": 1.43}},
    },
    "alchemy": {"code": 429, "message": "Your app has exceeded its compute units per second capacity."},
    "quicknode": {"code": -32007, "message": "50/second request limit reached - reduce calls per second or upgrade"},
    "quicknode_bare": {"code": -32007, "message": "50/second request limit reached - reduce calls per second or upgrade"},
    "ankr": {"code": -32090, "message": "Too many requests, reason: call rate limit exhausted, retry in 10m0s"},
    "chainstack": {"code": -32005, "message": "You've exceeded the RPS limit", "data": {"try_again_in": "40.5s"}},
    "drpc": {"code": 15, "message": "Too many request, try again later"},
    "proxyd": {"code": -32016, "message": "over rate limit"},
    "bsc": {"code": -32005, "message": "limit exceeded"},
}
"""Error objects by provider; ``quicknode_bare`` comes without the JSON-RPC answer round it."""


class LimitInBody(RpcFault, frozen=True, tag="limit_in_body"):
    """A rate limit told in a JSON-RPC body under HTTP 200, in the shape of a provider; in each item of a batch."""

    shape: LimitShape = "alchemy"


class ServerError(RpcFault, frozen=True, tag="server_error"):
    """An error status with a page of the gateway's, whatever was asked."""

    status: int = 502


class Slow(RpcFault, frozen=True, tag="slow"):
    """Every answer waits."""

    delay_ms: int = 1000


class Hang(RpcFault, frozen=True, tag="hang"):
    """The request is taken, and no answer ever comes."""


class Drip(RpcFault, frozen=True, tag="drip"):
    """The head of an answer at once, then a blank now and then, for ever."""

    every_ms: int = 100


class Truncated(RpcFault, frozen=True, tag="truncated"):
    """Half of the answer, then the connection is closed, against its framing; ``framed`` ends it as if it were whole."""

    framed: bool = False


class Garbage(RpcFault, frozen=True, tag="garbage"):
    """HTTP 200 with something that is no JSON-RPC answer."""

    kind: Literal["html", "binary", "empty", "null", "list"] = "html"


class BatchRefused(RpcFault, frozen=True, tag="batch_refused"):
    """Batches are refused: by a status, by one error object, or (``too_many``) those above ``most`` calls."""

    shape: Literal["status", "error", "too_many"] = "error"
    most: int = 1


class BatchIncomplete(RpcFault, frozen=True, tag="batch_incomplete"):
    """A batch comes back in reverse: the first answer is missing, a stranger stands in its place, the last comes twice."""


class HangUp(RpcFault, frozen=True, tag="hang_up"):
    """The connection is closed without an answer; the node never sees the request."""


class Unanswered(RpcFault, frozen=True, tag="unanswered"):
    """The node gets the request and acts on it; the connection is closed without an answer."""


# -- sockets ---------------------------------------------------------------------------------------------------------------


class SilentSocket(RpcFault, frozen=True, tag="silent_socket"):
    """Sockets stay open, answer pings and requests, and tell nothing of what was subscribed to; with ``methods``, nothing of
    those notifications (``accountNotification``).
    """


class ClosedSocket(RpcFault, frozen=True, tag="closed_socket"):
    """Open sockets are closed when it comes, new ones as soon as they are open."""

    code: int = 1011


class RefusedSocket(RpcFault, frozen=True, tag="refused_socket"):
    """Open sockets stay; new ones are refused with HTTP 403."""


AnyRpcFault = (
    Lag
    | WrongChain
    | Fork
    | RateLimited
    | LimitInBody
    | ServerError
    | Slow
    | Hang
    | Drip
    | Truncated
    | Garbage
    | BatchRefused
    | BatchIncomplete
    | HangUp
    | Unanswered
    | SilentSocket
    | ClosedSocket
    | RefusedSocket
)

DECODER: Final[msgspec.json.Decoder[AnyRpcFault]] = msgspec.json.Decoder(AnyRpcFault)
