"""Every leaf of the error tree, in one table: its type, its retry axes, and that it survives pickling."""

from __future__ import annotations

import pickle
from typing import get_args

import pytest

from probekit import errors
from probekit.errors import ERROR_TYPES, Phase, ProbekitError
from probekit.model import Failure
from probekit.units import Instant


def _leaves(cls: type[ProbekitError]) -> list[type[ProbekitError]]:
    # Not those that a module or a probe has for itself: which there are depends on what was imported before.
    below = [sub for sub in cls.__subclasses__() if sub.__module__.startswith("probekit.errors")]
    return [cls, *(leaf for sub in below for leaf in _leaves(sub))]


MADE: list[ProbekitError] = [
    errors.ConfigError("bad", problems=("f.yaml:1:2 key: wrong",)),
    errors.TransportError("t", url="https://h/", elapsed_ns=5),
    errors.ResolveError("t", url="u"),
    errors.ConnectError("t"),
    errors.TlsError("t"),
    errors.DeadlineExceeded("t", phase="tls", elapsed_ns=9),
    errors.ProtocolError("t"),
    errors.BodyTooLarge("t", limit_bytes=3),
    errors.HeadersTooLarge("t", limit_bytes=3),
    errors.StreamClosed("t", planned=True),
    errors.StatusError("t", status=418, body="teapot"),
    errors.Unauthorized("t", status=401),
    errors.NotEntitled("t", subject="aa"),
    errors.RateLimited("t", retry_after_ns=7),
    errors.ServerError("t", status=503, retry_after_ns=7),
    errors.RpcError("t", code=-32000, data={"a": 1}),
    errors.Reverted("t", code=3, revert_data=b"\x08"),
    errors.RpcInternal("t", code=-32603),
    errors.RpcRateLimited("t", code=-32005, retry_after_ns=7),
    errors.NotServed("t", code=-32601),
    errors.NotReached("t", floor=9, reached=(("a", 8), ("b", None))),
    errors.RangeTooLarge("t", code=-32012),
    errors.WrongChain("t", expected="1", found="2"),
    errors.NoAgreement("t", answers=(("a", "1"), ("b", "2"))),
    errors.DecodeError("t", raw=b"\x00", offset=1),
    errors.VerificationError("t"),
    errors.UnknownSet("t"),
    errors.SupersededSet("t"),
    errors.NoQuorum("t"),
    errors.BadSignature("t"),
    errors.SignatureOrder("t"),
    errors.WrongRoot("t"),
    errors.WrongEmitter("t"),
    errors.BadProof("t"),
    errors.ParsedMismatch("t"),
    errors.NotFound("t", subject="aa"),
    errors.OutOfReach("t", cause=errors.ConnectError("c")),
    errors.Missing("t", subject="aa"),
    errors.SendRefused("t"),
    errors.PlanError("t"),
    ProbekitError("t"),
]


def test_the_table_covers_every_class() -> None:
    assert {type(error) for error in MADE} == set(_leaves(ProbekitError))


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_a_leaf(error: ProbekitError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (copy.args, vars(copy)) == (error.args, vars(error))
    assert error.error_type in ERROR_TYPES
    assert isinstance(error.retry_same, bool)
    assert isinstance(error.retry_other, bool)


@pytest.mark.parametrize("phase", [None, *get_args(Phase)])
def test_a_deadline_names_its_phase(phase: Phase | None) -> None:
    error = errors.DeadlineExceeded("late", phase=phase)
    assert error.error_type == ("deadline" if phase is None else f"deadline_{phase}")
    assert error.error_type in ERROR_TYPES


def test_every_class_is_drawn_in_the_tree() -> None:
    drawn = errors.__doc__ or ""
    missing = [cls.__name__ for cls in _leaves(ProbekitError) if cls.__name__ not in drawn]
    assert missing == []


def test_an_error_is_told_its_time_once_whatever_it_is() -> None:
    error = errors.DecodeError("t", raw=b"x")
    assert (error.elapsed_ns, Failure.of(error, "t", Instant(0)).elapsed_ns) == (None, 0)
    assert error.took(7) is error
    assert error.took(9).elapsed_ns == 7
    assert Failure.of(error, "t", Instant(0)).elapsed_ns == 7
    assert errors.ConnectError("t", elapsed_ns=3).took(9).elapsed_ns == 3
    assert pickle.loads(pickle.dumps(error)).elapsed_ns == 7
