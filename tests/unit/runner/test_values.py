"""Values as JSON and back: every kind, and names that are refused."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import LatencySample, ProofResult
from probekit.errors import BadProof, DecodeError, RateLimited
from probekit.model import Comparison, FeedId, PriceMessage, Status, TrustRoot, Verified
from probekit.model.evm import Address
from probekit.model.pubkey import Pubkey
from probekit.model.wallet import Holding
from probekit.runner.values import Values
from probekit.secret import Secret
from probekit.trust.attestation import signed_update
from probekit.units import Amount, Bps, Instant
from tests.unit.checks.builders import NOW, update


class Own(msgspec.Struct, frozen=True):
    """A probe's own kind of value."""

    number: int
    inner: Any = None


@dataclass(frozen=True)
class OwnToo:
    names: tuple[str, ...]


HERE = Values(sys.modules[__name__])


def again(value: Any, values: Values = HERE) -> Any:
    """Through a line of JSON."""
    return values.decode(json.loads(json.dumps(values.encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**63,
        -(2**300),
        1.5,
        float("inf"),
        b"\x00\xff",
        "text",
        Decimal("0.10"),
        Decimal(10) ** 80,
        timedelta(days=-3, microseconds=1),
        datetime(2026, 9, 12, tzinfo=UTC),
        date(2026, 9, 12),
        time(9, 30),
        (1, (2, [3])),
        {"a": (1,)},
        {1: 2, ("x",): b"y"},
        {"$": "a key of its own"},
        {3, 1},
        frozenset(("b", "a")),
        Status.CRITICAL,
        TrustRoot.PRO,
        FeedId("ab" * 32),
        Address("0x" + "52" * 20),
        Pubkey(bytes([3]) * 32),
        Instant(7),
        Bps(Decimal(3)),
        Amount(Decimal("0.1"), "ETH"),
        Holding(2**200, 18, "ETH", 7, Instant(1)),
        LatencySample(5, "rest"),
        update(),
        Comparison({"a": (Own(1),)}, {}),
        Own(1, OwnToo(("x", "y"))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_comes_back(value: Any) -> None:
    made = again(value)
    assert made == value
    assert type(made) is type(value)


def test_a_mapping_that_cannot_be_changed_comes_back_as_one_that_can() -> None:
    assert again(MappingProxyType({"a": 1})) == {"a": 1}


def test_not_a_number_comes_back() -> None:
    assert str(again(float("nan"))) == "nan"


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSONS)
def test_nested_values_come_back(value: Any) -> None:
    assert again(value) == value


@given(st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner)
    | st.dictionaries(
        st.sampled_from(["$", "$tuple", "$dict", "$set", "$enum", "$error", "$text", "$octets", "$bytes", "$decimal", "$int",
                         "$timedelta", "$datetime", "$secret", "name", "value", "args", "state", "ns"]),
        inner | st.sampled_from(["probekit.units:Instant", "probekit.errors.base:NotFound", "probekit.model.verdict:Status",
                                 "probekit.model.feed:FeedId", "probe:Own"]),
    ),
    max_leaves=12,
))  # fmt: skip
def test_whatever_a_file_says_is_a_value_or_an_error_of_ours(data: Any) -> None:
    try:
        HERE.decode(data)
    except DecodeError as error:
        assert len(error.raw) <= 1024


def test_errors_keep_their_type_words_and_fields() -> None:
    error = RateLimited("slow down", url="http://x.test/", status=429, retry_after_ns=5)
    made = again(error)
    assert (type(made), made.message, vars(made)) == (RateLimited, error.message, vars(error))
    broken = again(ProofResult(error=BadProof("a proof that does not hold")))
    assert type(broken.error) is BadProof
    assert broken.error.error_type == "bad_proof"
    raw = again(DecodeError("no", raw=b"x" * 60_000, offset=3))
    assert (len(raw.raw), raw.raw_length, raw.offset) == (1024, 60_000, 3)


def test_what_an_error_holds_beside_its_words_may_be_anything() -> None:
    error = BadProof("no")
    vars(error)["where"] = object()
    made = again(error)
    assert (type(made), made.message, vars(made)) == (BadProof, "no", {})


def test_a_price_that_was_proven_is_not_when_it_is_made_again() -> None:
    proof = Verified(TrustRoot.PRO, 1, (0, 1, 2), 3, 7, 7, NOW, b"d" * 32, ())
    proven = signed_update(PriceMessage("ab" * 32, 1, 1, -8, 1, 0, 1, 1), proof)
    assert proven.verified_by is proof
    assert again(proven) == msgspec.structs.replace(proven, attestation=None)


def test_secrets_stay_out() -> None:
    secret = Secret("hunter2hunter2", origin="environment A")
    written = json.dumps(HERE.encode({"key": secret, "url": "http://x.test/?k=hunter2hunter2", "raw": b"hunter2hunter2"}))
    assert "hunter2" not in written
    assert b"hunter2".hex() not in written
    assert again(secret).origin == "environment A"
    assert again(secret).reveal() != "hunter2hunter2"


@pytest.mark.parametrize("value", [object(), iter(()), print, type, sys])
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no kind of value"):
        HERE.encode(value)


def test_a_type_of_elsewhere_is_refused() -> None:
    with pytest.raises(TypeError, match="stands in no package of values"):
        Values().encode(Own(1))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("os:system", "stands in no package of values"),
        ("subprocess:Popen", "stands in no package of values"),
        ("probekit.clients.evm:EvmClient", "stands in no package of values"),
        ("probekit.modelx:X", "stands in no package of values"),
        ("probekit.model.__init__:Price", "stands in no package of values"),
        ("probekit.model.nothing:Price", "there is no module"),
        ("probekit.model.price:Nothing", "Nothing"),
        ("probekit.model.price:msgspec", "is defined elsewhere"),
        ("probekit.model.price:Price.__init__", "is no name of a type"),
        ("probekit.units:parse_duration", "is no type of this kind"),
        ("probekit.checks.base:Rule", "is no type of this kind"),
        ("probe:Nothing", "Nothing"),
        ("probe:Any", "is not of that file"),
        ("probe:test_secrets_stay_out", "is no type of this kind"),
        ("", "stands in no package of values"),
    ],
)
def test_names_that_are_no_value_are_refused(name: str, told: str) -> None:
    with pytest.raises(DecodeError, match=told):
        HERE.decode({"$": name})


def test_a_probes_own_type_needs_its_probe() -> None:
    with pytest.raises(DecodeError, match="a probe that is not at hand"):
        Values().decode(HERE.encode(Own(1)))
