"""The root of the tree, the closed list of error types, and the errors that belong to no one floor."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, Self, get_args

from probekit.secret import cut, redact

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
    "reverted",
    "rpc_internal",
    "rpc_not_served",
    "rpc_too_large",
    "wrong_chain",
    "no_agreement",
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
    attempts: tuple[str, ...] = ()
    """What was tried before this was raised, one redacted line each, oldest first; empty where there was one try."""
    elapsed_ns: int | None = None
    """The true time that it took to end so, in ns; ``None`` where nothing was asked, or nobody knows."""

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__

    def took(self, elapsed_ns: int) -> Self:
        """This error, with its time where it has none yet: told by who knows how long the exchange was that it came of."""
        if self.elapsed_ns is None:
            self.elapsed_ns = elapsed_ns
        return self

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


class DecodeError(ProbekitError):
    """Bytes or text that do not decode. ``raw`` keeps the input (the first 64 KiB of it, and no secret that a service echoed),
    ``raw_length`` its length.

    ``offset`` is where the decoder stood, in bytes of the input, where it knows.
    """

    error_type: ErrorType = "decode"
    retry_other: ClassVar[bool] = True

    def __init__(self, message: str, *, raw: bytes | str, offset: int | None = None) -> None:
        super().__init__(message)
        self.raw = cut(raw, _RAW_LIMIT)
        self.raw_length = len(raw)
        self.offset = offset


class NotFound(ProbekitError):
    """The service does not know the id, or has nothing at the time asked for."""

    error_type: ErrorType = "no_such_feed"

    def __init__(self, message: str, *, subject: str | None = None) -> None:
        super().__init__(message)
        self.subject = subject


class OutOfReach(ProbekitError):
    """What tells of a target did not answer, or not us: that says nothing of the target. ``error_type`` is the cause's."""

    def __init__(self, message: str, *, cause: ProbekitError) -> None:
        super().__init__(f"{message}: {cause.message}")
        self.error_type = cause.error_type


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
