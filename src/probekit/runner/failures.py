"""The failure map: what a failed observation means. Only what is wrong *there* is CRITICAL; what is wrong *here* is
UNKNOWN.
"""

from __future__ import annotations

from typing import Final

from probekit.errors import (
    DeadlineExceeded,
    DecodeError,
    Missing,
    NotEntitled,
    NotFound,
    ProbekitError,
    RateLimited,
    RpcError,
    RpcRateLimited,
    TransportError,
    Unauthorized,
    VerificationError,
    WrongChain,
)
from probekit.model import Status, Verdict

CHECK: Final = "observation"
"""The check name of verdicts that come from failing to observe at all."""

# First match wins: a leaf before its base.
_STATUS_BY_ERROR: Final[tuple[tuple[type[ProbekitError], Status], ...]] = (
    (Unauthorized, Status.UNKNOWN),
    (NotEntitled, Status.UNKNOWN),
    (RateLimited, Status.UNKNOWN),
    (TransportError, Status.CRITICAL),
    (DecodeError, Status.CRITICAL),
    (VerificationError, Status.CRITICAL),
    (NotFound, Status.CRITICAL),
    (Missing, Status.CRITICAL),
    (WrongChain, Status.CRITICAL),
    (RpcRateLimited, Status.UNKNOWN),
    (RpcError, Status.CRITICAL),
)


def status_of(error: BaseException) -> Status:
    """CRITICAL where the fault is there, UNKNOWN where it is here or in the probe."""
    if isinstance(error, DeadlineExceeded) and error.phase == "queue":
        # It never left this process: nothing was learnt of the service.
        return Status.UNKNOWN
    for kind, status in _STATUS_BY_ERROR:
        if isinstance(error, kind):
            return status
    return Status.UNKNOWN


def verdict_of(error: BaseException) -> Verdict:
    """The verdict of a failed observation; its reason is the error's own ``error_type``.

    What is not a :class:`~probekit.errors.ProbekitError` is a defect of the probe: UNKNOWN ``probe_error``.
    """
    if isinstance(error, ProbekitError):
        kind = error.error_type
        return Verdict(CHECK, status_of(error), kind, error.message, error_type=kind)
    message = f"the probe itself failed: {type(error).__name__}: {error}"
    return Verdict(CHECK, Status.UNKNOWN, "probe_error", message, error_type="probe_error")


def exhausted(error: BaseException | None) -> bool:
    """Whether memory ran out, also in one of several tasks, or behind an error that was made of it. A thread that cannot be
    started, for want of room for its stack, is the same.
    """
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and str(error) == "can't start new thread"):
            return True
        if isinstance(error, BaseExceptionGroup) and any(exhausted(one) for one in error.exceptions):
            return True
        error = error.__cause__ or error.__context__
    return False


def behind(endpoint: str, verdict: Verdict) -> Verdict:
    """The verdict of a target that could not be seen because its endpoint failed; the endpoint's own verdict says
    why.
    """
    return Verdict(
        CHECK,
        Status.UNKNOWN,
        "behind_endpoint",
        f"not seen: {endpoint} failed with {verdict.reason}",
        error_type=verdict.error_type,
    )


def vantage_verdict(problem: str) -> Verdict:
    """The verdict of a vantage that must not judge."""
    return Verdict("vantage", Status.UNKNOWN, "vantage", problem, error_type="vantage")
