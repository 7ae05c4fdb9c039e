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
    ├── RpcError                    a JSON-RPC error object
    ├── DecodeError                 bytes or text that do not decode; keeps them
    ├── VerificationError           signed bytes that do not prove what they claim
    │   ├── UnknownSet SupersededSet NoQuorum BadSignature SignatureOrder
    │   └── WrongRoot WrongEmitter BadProof ParsedMismatch
    ├── NotFound                    the service does not know the id
    ├── Missing                     a 200 answer that leaves out what it was asked for
    ├── SendRefused                 a transaction stopped by its spend cap or chain id
    └── PlanError                   a change that cannot be planned

``error_type`` is exported as ``error.type`` and comes from one closed list; ``retry_same`` and ``retry_other`` say
whether the same endpoint, or another one, may be asked again. A failed check is a verdict, never one of these.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, get_args

from probekit.secret import redact

Phase = Literal["queue", "resolve", "connect", "tls", "first_byte", "transfer"]

ErrorType = Literal[
    "internal",
    "config",
    "transport",
    "resolve",
    "connect",
    "tls",
    "deadline",
    "deadline_queue",
    "deadline_resolve",
    "deadline_connect",
    "deadline_tls",
    "deadline_first_byte",
    "deadline_transfer",
    "protocol",
    "body_too_large",
    "headers_too_large",
    "stream_closed",
    "status",
    "not_authorized",
    "not_entitled",
    "rate_limited",
    "server_error",
    "rpc",
    "decode",
    "verification",
    "unknown_set",
    "superseded_set",
    "no_quorum",
    "bad_signature",
    "signature_order",
    "wrong_root",
    "wrong_emitter",
    "bad_proof",
    "parsed_mismatch",
    "no_such_feed",
    "missing",
    "send_refused",
    "plan",
    "vantage",
    "probe_error",
    "cancelled",
]

ERROR_TYPES: Final[frozenset[str]] = frozenset(get_args(ErrorType))

_DEADLINE_TYPES: Final[dict[str | None, ErrorType]] = {
    None: "deadline",
    "queue": "deadline_queue",
    "resolve": "deadline_resolve",
    "connect": "deadline_connect",
    "tls": "deadline_tls",
    "first_byte": "deadline_first_byte",
    "transfer": "deadline_transfer",
}

_RAW_LIMIT: Final = 65_536


def _rebuild(cls: type[ProbekitError], args: tuple[Any, ...], state: dict[str, Any]) -> ProbekitError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class ProbekitError(Exception):
    """Base of all. ``message`` is one sentence that names what, where and why; secrets are removed from it here."""

    error_type: ErrorType = "internal"
    retry_same: ClassVar[bool] = False
    retry_other: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, dict(self.__dict__)))


class ConfigError(ProbekitError):
    """Wrong configuration. ``problems`` holds every fault found in one pass, each ``file:line:column key:
    sentence``.
    """

    error_type: ErrorType = "config"

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(redact(problem) for problem in problems)


class TransportError(ProbekitError):
    """The exchange failed. ``url`` is already redacted; ``elapsed_ns`` is the true time spent, also on failure."""

    error_type: ErrorType = "transport"
    retry_same: ClassVar[bool] = True
    retry_other: ClassVar[bool] = True

    def __init__(self, message: str, *, url: str | None = None, elapsed_ns: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.elapsed_ns = elapsed_ns


class ResolveError(TransportError):
    """The host name has no address, or the resolver failed."""

    error_type: ErrorType = "resolve"


class ConnectError(TransportError):
    """Refused, unreachable, or the connection broke before an answer began."""

    error_type: ErrorType = "connect"


class TlsError(TransportError):
    """The TLS handshake or the certificate failed."""

    error_type: ErrorType = "tls"
    retry_same: ClassVar[bool] = False


class DeadlineExceeded(TransportError):
    """The one deadline over the whole exchange passed while in ``phase`` (``None``: before or between exchanges)."""

    def __init__(
        self, message: str, *, phase: Phase | None = None, url: str | None = None, elapsed_ns: int | None = None
    ) -> None:
        super().__init__(message, url=url, elapsed_ns=elapsed_ns)
        self.phase: Phase | None = phase
        self.error_type = _DEADLINE_TYPES[phase]


class ProtocolError(TransportError):
    """What came back is not HTTP, breaks its framing, or has the wrong content type."""

    error_type: ErrorType = "protocol"


class BodyTooLarge(TransportError):
    """The body passed ``limit_bytes``, counted after decompression."""

    error_type: ErrorType = "body_too_large"
    retry_same: ClassVar[bool] = False

    def __init__(self, message: str, *, limit_bytes: int, url: str | None = None, elapsed_ns: int | None = None) -> None:
        super().__init__(message, url=url, elapsed_ns=elapsed_ns)
        self.limit_bytes = limit_bytes


class HeadersTooLarge(TransportError):
    """The response's headers passed ``limit_bytes``."""

    error_type: ErrorType = "headers_too_large"
    retry_same: ClassVar[bool] = False

    def __init__(self, message: str, *, limit_bytes: int, url: str | None = None, elapsed_ns: int | None = None) -> None:
        super().__init__(message, url=url, elapsed_ns=elapsed_ns)
        self.limit_bytes = limit_bytes


class StreamClosed(TransportError):
    """An open stream ended. ``planned`` is true for the service's own routine close (Hermes closes after 24 h)."""

    error_type: ErrorType = "stream_closed"

    def __init__(self, message: str, *, planned: bool, url: str | None = None, elapsed_ns: int | None = None) -> None:
        super().__init__(message, url=url, elapsed_ns=elapsed_ns)
        self.planned = planned


class StatusError(TransportError):
    """An HTTP status that is not a success. ``body`` keeps the first bytes of the answer, as text."""

    error_type: ErrorType = "status"
    retry_same: ClassVar[bool] = False
    retry_other: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status: int,
        body: str = "",
        url: str | None = None,
        elapsed_ns: int | None = None,
    ) -> None:
        super().__init__(message, url=url, elapsed_ns=elapsed_ns)
        self.status = status
        self.body = redact(body)


class Unauthorized(StatusError):
    """No key, a wrong key, or a key that may read nothing here. Says nothing of the feeds behind it."""

    error_type: ErrorType = "not_authorized"
    retry_other: ClassVar[bool] = True


class NotEntitled(StatusError):
    """The key may not read this one id; ``subject`` names it where the answer did."""

    error_type: ErrorType = "not_entitled"

    def __init__(
        self,
        message: str,
        *,
        status: int = 403,
        subject: str | None = None,
        body: str = "",
        url: str | None = None,
        elapsed_ns: int | None = None,
    ) -> None:
        super().__init__(message, status=status, body=body, url=url, elapsed_ns=elapsed_ns)
        self.subject = subject


class RateLimited(StatusError):
    """Too many requests; ``retry_after_ns`` is what the server asked for, if it did."""

    error_type: ErrorType = "rate_limited"
    retry_same: ClassVar[bool] = True
    retry_other: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        status: int = 429,
        retry_after_ns: int | None = None,
        body: str = "",
        url: str | None = None,
        elapsed_ns: int | None = None,
    ) -> None:
        super().__init__(message, status=status, body=body, url=url, elapsed_ns=elapsed_ns)
        self.retry_after_ns = retry_after_ns


class ServerError(StatusError):
    """5xx; ``retry_after_ns`` is what the server asked for, if it did."""

    error_type: ErrorType = "server_error"
    retry_same: ClassVar[bool] = True
    retry_other: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        status: int,
        retry_after_ns: int | None = None,
        body: str = "",
        url: str | None = None,
        elapsed_ns: int | None = None,
    ) -> None:
        super().__init__(message, status=status, body=body, url=url, elapsed_ns=elapsed_ns)
        self.retry_after_ns = retry_after_ns


class RpcError(ProbekitError):
    """A JSON-RPC error object: ``code``, ``message`` and ``data`` as the server gave them."""

    error_type: ErrorType = "rpc"

    def __init__(self, message: str, *, code: int, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class DecodeError(ProbekitError):
    """Bytes or text that do not decode. ``raw`` keeps the input (the first 64 KiB of it), ``raw_length`` its length.

    ``offset`` is where the decoder stood, in bytes of the input, where it knows.
    """

    error_type: ErrorType = "decode"
    retry_other: ClassVar[bool] = True

    def __init__(self, message: str, *, raw: bytes | str, offset: int | None = None) -> None:
        super().__init__(message)
        self.raw = raw[:_RAW_LIMIT]
        self.raw_length = len(raw)
        self.offset = offset


class VerificationError(ProbekitError):
    """Signed bytes that do not prove what they claim."""

    error_type: ErrorType = "verification"
    retry_other: ClassVar[bool] = True


class UnknownSet(VerificationError):
    """No trusted set has this root and index."""

    error_type: ErrorType = "unknown_set"


class SupersededSet(VerificationError):
    """A set that a newer one has replaced: expired at the time asked about, or of unknown expiry."""

    error_type: ErrorType = "superseded_set"


class NoQuorum(VerificationError):
    """Fewer signatures than the root's quorum."""

    error_type: ErrorType = "no_quorum"


class BadSignature(VerificationError):
    """A signature that recovers to no address, or to another than the set's signer at its index."""

    error_type: ErrorType = "bad_signature"


class SignatureOrder(VerificationError):
    """Signer indices that do not strictly ascend, or lie outside the set."""

    error_type: ErrorType = "signature_order"


class WrongRoot(VerificationError):
    """The right signatures of another trust root than the one asked for: the mistake of the 2026 migration."""

    error_type: ErrorType = "wrong_root"


class WrongEmitter(VerificationError):
    """An emitter chain or address that no trusted root uses."""

    error_type: ErrorType = "wrong_emitter"


class BadProof(VerificationError):
    """A Merkle path that does not end at the signed root."""

    error_type: ErrorType = "bad_proof"


class ParsedMismatch(VerificationError):
    """The parsed price contradicts its own signed bytes."""

    error_type: ErrorType = "parsed_mismatch"


class NotFound(ProbekitError):
    """The service does not know the id, or has nothing at the time asked for."""

    error_type: ErrorType = "no_such_feed"

    def __init__(self, message: str, *, subject: str | None = None) -> None:
        super().__init__(message)
        self.subject = subject


class Missing(ProbekitError):
    """An answer of status 200 that leaves out something it was asked for, without a word about it."""

    error_type: ErrorType = "missing"
    retry_other: ClassVar[bool] = True

    def __init__(self, message: str, *, subject: str | None = None) -> None:
        super().__init__(message)
        self.subject = subject


class SendRefused(ProbekitError):
    """A transaction that was not sent: over its spend cap, or the chain is not the one it was made for."""

    error_type: ErrorType = "send_refused"


class PlanError(ProbekitError):
    """A change that cannot be planned or applied as asked."""

    error_type: ErrorType = "plan"
