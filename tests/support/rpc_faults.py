"""What a caller sees of each fault of the RPC proxy: one table for the fake clock and for real nodes."""

from __future__ import annotations

from typing import Final, NamedTuple

from probekit import errors
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.faults import RpcFault
from probekit.transports.rpc import EndpointState

SEND: Final = "eth_sendRawTransaction"


class Read(NamedTuple):
    """A read over two endpoints, the first at fault. ``kind``: the error type of the attempt there. ``waits``: the other one is
    asked only when the first one's part of the time is over, else at once. Then ``state`` and ``reason`` are the first one's;
    ``alone`` is what the caller gets where both are at fault.
    """

    fault: RpcFault
    kind: str
    alone: type[errors.ProbekitError]
    state: EndpointState = EndpointState.ALIVE
    reason: str = ""
    waits: bool = False


class Send(NamedTuple):
    """A send to an endpoint at fault. ``kind``: the caller's error type. ``waits``: it is told at the deadline, else at once.
    ``reached``: whether the node got it.
    """

    fault: RpcFault
    kind: str
    waits: bool = False
    reached: bool = False


def _limited(fault: RpcFault, alone: type[errors.ProbekitError], for_s: str) -> Read:
    return Read(fault, "rate_limited", alone, EndpointState.LIMITED, f"rate limited for another {for_s}")


_BODY = errors.RpcRateLimited

READS: Final[tuple[Read, ...]] = (
    _limited(faults.RateLimited(), errors.RateLimited, "10.0 s"),
    _limited(faults.RateLimited(retry_after_s=30), errors.RateLimited, "30.0 s"),
    _limited(faults.RateLimited(retry_after_s=30, as_date=True), errors.RateLimited, "30.0 s"),
    _limited(faults.LimitInBody(shape="infura"), _BODY, "30.0 s"),
    _limited(faults.LimitInBody(shape="alchemy"), _BODY, "10.0 s"),
    _limited(faults.LimitInBody(shape="quicknode"), _BODY, "10.0 s"),
    _limited(faults.LimitInBody(shape="quicknode_bare"), _BODY, "10.0 s"),
    _limited(faults.LimitInBody(shape="ankr"), _BODY, "600.0 s"),
    _limited(faults.LimitInBody(shape="chainstack"), _BODY, "40.5 s"),
    _limited(faults.LimitInBody(shape="drpc"), _BODY, "10.0 s"),
    _limited(faults.LimitInBody(shape="proxyd"), _BODY, "10.0 s"),
    _limited(faults.LimitInBody(shape="bsc"), _BODY, "10.0 s"),
    Read(faults.ServerError(status=502), "server_error", errors.ServerError),
    Read(faults.ServerError(status=403), "not_entitled", errors.NotEntitled),
    Read(faults.Hang(), "deadline_first_byte", errors.DeadlineExceeded, waits=True),
    Read(faults.Drip(), "deadline_transfer", errors.DeadlineExceeded, waits=True),
    Read(faults.Truncated(), "protocol", errors.ProtocolError),
    Read(faults.Truncated(framed=True), "decode", errors.DecodeError),
    Read(faults.Garbage(kind="html"), "decode", errors.DecodeError),
    Read(faults.Garbage(kind="binary"), "decode", errors.DecodeError),
    Read(faults.Garbage(kind="empty"), "decode", errors.DecodeError),
    Read(faults.Garbage(kind="null"), "decode", errors.DecodeError),
    Read(faults.Garbage(kind="list"), "missing", errors.Missing),
    Read(faults.HangUp(), "connect", errors.ConnectError),
    Read(faults.Unanswered(), "connect", errors.ConnectError),
)

SENDS: Final[tuple[Send, ...]] = (
    Send(faults.Unanswered(methods=(SEND,)), "connect", reached=True),
    Send(faults.Truncated(methods=(SEND,)), "protocol", reached=True),
    Send(faults.HangUp(methods=(SEND,)), "connect"),
    Send(faults.Hang(methods=(SEND,)), "deadline_first_byte", waits=True),
    Send(faults.Drip(methods=(SEND,)), "deadline_transfer", waits=True),
    Send(faults.ServerError(status=502, methods=(SEND,)), "server_error"),
    Send(faults.RateLimited(retry_after_s=1, methods=(SEND,)), "rate_limited"),
    Send(faults.LimitInBody(methods=(SEND,)), "rate_limited"),
    Send(faults.Garbage(methods=(SEND,)), "decode"),
)

SEEN_ELSEWHERE: Final = frozenset(
    (
        faults.Lag, faults.WrongChain, faults.Fork, faults.Slow, faults.BatchRefused, faults.BatchIncomplete,
        faults.SilentSocket, faults.ClosedSocket, faults.RefusedSocket,
    )
)  # fmt: skip
"""Faults that are no row: what is seen of them differs by the question, and has tests of its own in both tiers."""


def name_of(value: object) -> str:
    """A test's id: the fault with what is special about it, or another parameter as it prints."""
    fault = value.fault if isinstance(value, Read | Send) else value
    if not isinstance(fault, RpcFault):
        return str(value)
    said = str(fault).partition("(")[2].rstrip(")").replace(", methods=()", "").replace("methods=()", "")
    return f"{type(fault).__name__}({said})" if said and "methods=(" not in said else type(fault).__name__
