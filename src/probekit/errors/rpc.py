"""JSON-RPC error objects, told apart by who may be asked again: the same endpoint, another one, or nobody."""

from __future__ import annotations

from typing import ClassVar

from probekit.errors.base import ErrorType, ProbekitError
from probekit.secret import redact, redacted


class RpcError(ProbekitError):
    """A JSON-RPC error object: ``code``, ``message`` and ``data`` as the server gave them, without any secret that it echoed;
    ``method`` as asked.

    This class itself is the answer to the question asked (invalid parameters, refused by the chain's rules): asking anyone
    again gives the same. Its subclasses are about who was asked.
    """

    error_type: ErrorType = "rpc"

    def __init__(self, message: str, *, code: int, data: object = None, method: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.data = redacted(data)
        self.method = method


class Reverted(RpcError):
    """A contract call that ran and reverted. ``revert_data`` is what it gave back, empty where the node gave none."""

    error_type: ErrorType = "reverted"

    def __init__(self, message: str, *, code: int, data: object = None, method: str = "", revert_data: bytes = b"") -> None:
        super().__init__(message, code=code, data=data, method=method)
        self.revert_data = revert_data


class RpcInternal(RpcError):
    """The node failed at it; the same node may succeed the next time."""

    error_type: ErrorType = "rpc_internal"
    retry_same: ClassVar[bool] = True
    retry_other: ClassVar[bool] = True


class RpcRateLimited(RpcError):
    """A rate limit told in a JSON-RPC body; ``retry_after_ns`` is what the server asked for, if it did."""

    error_type: ErrorType = "rate_limited"
    retry_same: ClassVar[bool] = True
    retry_other: ClassVar[bool] = True

    def __init__(
        self, message: str, *, code: int, data: object = None, method: str = "", retry_after_ns: int | None = None
    ) -> None:
        super().__init__(message, code=code, data=data, method=method)
        self.retry_after_ns = retry_after_ns


class NotServed(RpcError):
    """This node cannot answer (behind, pruned, method switched off); another may."""

    error_type: ErrorType = "rpc_not_served"
    retry_other: ClassVar[bool] = True


class NotReached(NotServed):
    """Nobody who was asked has reached the block or slot that the answer had to be of. ``reached`` says how far each is, as
    (endpoint, block or slot) pairs; ``None`` where it only said that it is behind. They may get there. ``code`` is that of
    Solana's nodes, on EVM chains too, which have none.
    """

    retry_same: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        code: int = -32016,
        data: object = None,
        method: str = "",
        floor: int = 0,
        reached: tuple[tuple[str, int | None], ...] = (),
    ) -> None:
        super().__init__(message, code=code, data=data, method=method)
        self.floor = floor
        self.reached = tuple((redact(endpoint), height) for endpoint, height in reached)


class RangeTooLarge(RpcError):
    """More was asked for than this node gives at once (log range, batch, accounts): ask for less."""

    error_type: ErrorType = "rpc_too_large"


class WrongChain(ProbekitError):
    """The endpoint serves another chain than the one configured. It is not asked again."""

    error_type: ErrorType = "wrong_chain"
    retry_other: ClassVar[bool] = True

    def __init__(self, message: str, *, expected: str, found: str) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


class NoAgreement(ProbekitError):
    """Too few endpoints gave the same answer. ``answers`` says who gave what: (endpoint, shown value) pairs."""

    error_type: ErrorType = "no_agreement"

    def __init__(self, message: str, *, answers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.answers = tuple((redact(endpoint), redact(shown)) for endpoint, shown in answers)
