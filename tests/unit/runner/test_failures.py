"""The failure map, pinned: what is wrong there is CRITICAL, what is wrong here is UNKNOWN."""

from __future__ import annotations

import pytest

from probekit import errors
from probekit.model import Status
from probekit.runner.failures import behind, status_of, verdict_of

C, U = Status.CRITICAL, Status.UNKNOWN


MAP: list[tuple[Exception, Status, str]] = [
    (errors.ConnectError("x"), C, "connect"),
    (errors.ResolveError("x"), C, "resolve"),
    (errors.TlsError("x"), C, "tls"),
    (errors.DeadlineExceeded("x", phase="tls"), C, "deadline_tls"),
    (errors.DeadlineExceeded("x"), C, "deadline"),
    (errors.ServerError("x", status=502), C, "server_error"),
    (errors.StatusError("x", status=418), C, "status"),
    (errors.ProtocolError("x"), C, "protocol"),
    (errors.BodyTooLarge("x", limit_bytes=1), C, "body_too_large"),
    (errors.HeadersTooLarge("x", limit_bytes=1), C, "headers_too_large"),
    (errors.StreamClosed("x", planned=False), C, "stream_closed"),
    (errors.DeadlineExceeded("x", phase="resolve"), C, "deadline_resolve"),
    (errors.DeadlineExceeded("x", phase="connect"), C, "deadline_connect"),
    (errors.DeadlineExceeded("x", phase="first_byte"), C, "deadline_first_byte"),
    (errors.DeadlineExceeded("x", phase="transfer"), C, "deadline_transfer"),
    # It waited here until its time was over.
    (errors.DeadlineExceeded("x", phase="queue"), U, "deadline_queue"),
    (errors.DecodeError("x", raw=b""), C, "decode"),
    (errors.BadProof("x"), C, "bad_proof"),
    (errors.WrongRoot("x"), C, "wrong_root"),
    (errors.UnknownSet("x"), C, "unknown_set"),
    (errors.SupersededSet("x"), C, "superseded_set"),
    (errors.NoQuorum("x"), C, "no_quorum"),
    (errors.BadSignature("x"), C, "bad_signature"),
    (errors.SignatureOrder("x"), C, "signature_order"),
    (errors.WrongEmitter("x"), C, "wrong_emitter"),
    (errors.ParsedMismatch("x"), C, "parsed_mismatch"),
    (errors.NotFound("x"), C, "no_such_feed"),
    (errors.Missing("x"), C, "missing"),
    # What tells of a target is out of reach: nothing was learnt of the target, whatever the cause.
    (errors.OutOfReach("x", cause=errors.ConnectError("y")), U, "connect"),
    (errors.OutOfReach("x", cause=errors.StatusError("y", status=418)), U, "status"),
    (errors.RpcError("x", code=1), C, "rpc"),
    (errors.Reverted("x", code=3), C, "reverted"),
    (errors.NotServed("x", code=-32005), C, "rpc_not_served"),
    (errors.NotReached("x"), C, "rpc_not_served"),
    (errors.RpcInternal("x", code=-32603), C, "rpc_internal"),
    (errors.RangeTooLarge("x", code=-32005), C, "rpc_too_large"),
    (errors.RpcRateLimited("x", code=-32005), U, "rate_limited"),
    (errors.WrongChain("x", expected="1", found="2"), C, "wrong_chain"),
    (errors.NoAgreement("x"), U, "no_agreement"),
    (errors.Unauthorized("x", status=401), U, "not_authorized"),
    (errors.NotEntitled("x"), U, "not_entitled"),
    (errors.RateLimited("x"), U, "rate_limited"),
    (errors.ConfigError("x"), U, "config"),
    (errors.SendRefused("x"), U, "send_refused"),
    (errors.PlanError("x"), U, "plan"),
    (ValueError("boom"), U, "probe_error"),
]


@pytest.mark.parametrize(("error", "status", "reason"), MAP)
def test_the_failure_map(error: Exception, status: Status, reason: str) -> None:
    verdict = verdict_of(error)
    assert (verdict.status, verdict.reason, verdict.error_type) == (status, reason, reason)
    assert status_of(error) is status


def test_no_error_is_left_out_of_the_map() -> None:
    def leaves(kind: type[BaseException]) -> set[type[BaseException]]:
        below = [one for one in kind.__subclasses__() if one.__module__.startswith("probekit.errors")]
        return {leaf for one in below for leaf in leaves(one)} | (set() if below else {kind})

    assert leaves(errors.ProbekitError) - {type(error) for error, _, _ in MAP} == set()
    assert {kind for kind in errors.ERROR_TYPES if kind.startswith("deadline")} <= {reason for _, _, reason in MAP}


def test_what_is_behind_an_endpoint_points_at_it() -> None:
    verdict = behind("http://one", verdict_of(errors.ConnectError("refused")))
    assert (verdict.status, verdict.reason) == (U, "behind_endpoint")
    assert "http://one" in verdict.message
    assert "connect" in verdict.message
