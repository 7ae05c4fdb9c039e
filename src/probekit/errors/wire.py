"""The wire: nothing, or nothing usable, came back."""

from __future__ import annotations

from typing import ClassVar, Final

from probekit.errors.base import ErrorType, Phase, ProbekitError
from probekit.secret import redact

_DEADLINE_TYPES: Final[dict[str | None, ErrorType]] = {
    None: "deadline",
    "queue": "deadline_queue",
    "resolve": "deadline_resolve",
    "connect": "deadline_connect",
    "tls": "deadline_tls",
    "first_byte": "deadline_first_byte",
    "transfer": "deadline_transfer",
}


class TransportError(ProbekitError):
    """The exchange failed. ``url`` is already redacted; ``elapsed_ns`` is the true time spent, also on failure.

    ``queue_ns`` is what an engine let the attempt wait for a place before that; ``None`` where it does not know.
    """

    error_type: ErrorType = "transport"
    retry_same: ClassVar[bool] = True
    retry_other: ClassVar[bool] = True

    def __init__(self, message: str, *, url: str | None = None, elapsed_ns: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.elapsed_ns = elapsed_ns
        self.queue_ns: int | None = None


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
