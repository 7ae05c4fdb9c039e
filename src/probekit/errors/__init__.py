"""Every error probekit raises on purpose.

::

    ProbekitError
    ├── ConfigError                 a manifest, option or argument is wrong
    ├── TransportError              the wire: nothing, or nothing usable, came back
    │   ├── ResolveError            no address for the name
    │   ├── ConnectError            refused, unreachable, reset before a request was answered
    │   ├── TlsError                handshake or certificate
    │   ├── DeadlineExceeded        the total deadline passed; ``phase`` says where
    │   ├── ProtocolError           what came back is not HTTP, or breaks its framing
    │   ├── BodyTooLarge            the body, after decompression, passed its limit
    │   ├── HeadersTooLarge         the headers passed their limit
    │   ├── StreamClosed            an open stream ended; ``planned`` tells routine from fault
    │   └── StatusError             an HTTP status that is not a success
    │       ├── Unauthorized        401, or 403 on everything
    │       ├── NotEntitled         403 on one id
    │       ├── RateLimited         429, with ``retry_after_ns``
    │       └── ServerError         5xx
    ├── RpcError                    a JSON-RPC error object that answers the question
    │   ├── Reverted                a contract call ran and reverted; ``revert_data``
    │   ├── RpcInternal             the node failed; ask it or another again
    │   ├── RpcRateLimited          a rate limit in a JSON-RPC body
    │   ├── NotServed               behind, pruned, switched off here: ask another
    │   │   └── NotReached          nobody is as far as the block or slot that was asked for
    │   └── RangeTooLarge           ask for less
    ├── WrongChain                  the endpoint serves another chain
    ├── NoAgreement                 too few endpoints gave the same answer
    ├── DecodeError                 bytes or text that do not decode; keeps them
    ├── VerificationError           signed bytes that do not prove what they claim
    │   ├── UnknownSet SupersededSet NoQuorum BadSignature SignatureOrder
    │   └── WrongRoot WrongEmitter BadProof ParsedMismatch
    ├── NotFound                    the service does not know the id
    ├── OutOfReach                  what tells of a target did not answer: that says nothing of the target
    ├── Missing                     a 200 answer that leaves out what it was asked for
    ├── SendRefused                 a transaction stopped by its spend cap or chain id
    └── PlanError                   a change that cannot be planned

``error_type`` is exported as ``error.type`` and comes from one closed list; ``retry_same`` and ``retry_other`` say
whether the same endpoint, or another one, may be asked again. A failed check is a verdict, never one of these.
"""

from __future__ import annotations

from probekit.errors.base import (
    ERROR_TYPES,
    ConfigError,
    DecodeError,
    ErrorType,
    Missing,
    NotFound,
    OutOfReach,
    Phase,
    PlanError,
    ProbekitError,
    SendRefused,
)
from probekit.errors.rpc import (
    NoAgreement,
    NotReached,
    NotServed,
    RangeTooLarge,
    Reverted,
    RpcError,
    RpcInternal,
    RpcRateLimited,
    WrongChain,
)
from probekit.errors.verification import (
    BadProof,
    BadSignature,
    NoQuorum,
    ParsedMismatch,
    SignatureOrder,
    SupersededSet,
    UnknownSet,
    VerificationError,
    WrongEmitter,
    WrongRoot,
)
from probekit.errors.wire import (
    BodyTooLarge,
    ConnectError,
    DeadlineExceeded,
    HeadersTooLarge,
    NotEntitled,
    ProtocolError,
    RateLimited,
    ResolveError,
    ServerError,
    StatusError,
    StreamClosed,
    TlsError,
    TransportError,
    Unauthorized,
)

__all__ = [
    "ERROR_TYPES",
    "BadProof",
    "BadSignature",
    "BodyTooLarge",
    "ConfigError",
    "ConnectError",
    "DeadlineExceeded",
    "DecodeError",
    "ErrorType",
    "HeadersTooLarge",
    "Missing",
    "NoAgreement",
    "NoQuorum",
    "NotEntitled",
    "NotFound",
    "NotReached",
    "NotServed",
    "OutOfReach",
    "ParsedMismatch",
    "Phase",
    "PlanError",
    "ProbekitError",
    "ProtocolError",
    "RangeTooLarge",
    "RateLimited",
    "ResolveError",
    "Reverted",
    "RpcError",
    "RpcInternal",
    "RpcRateLimited",
    "SendRefused",
    "ServerError",
    "SignatureOrder",
    "StatusError",
    "StreamClosed",
    "SupersededSet",
    "TlsError",
    "TransportError",
    "Unauthorized",
    "UnknownSet",
    "VerificationError",
    "WrongChain",
    "WrongEmitter",
    "WrongRoot",
]
