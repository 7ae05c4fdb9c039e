"""Answers of Prometheus' HTTP API."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.prometheus import decode_query, decode_refusal
from probekit.errors import DecodeError
from probekit.model.prometheus import Sample
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes


def body(kind: str, result: Any, **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more}).encode()


UP = {"metric": {"job": "hermes", "__name__": "up"}, "value": [1435781451.781, "1"]}


def test_a_vector_in_exact_decimals() -> None:
    tiny = {"metric": {"a": "b"}, "value": [1435781451, "1.5e-05"]}
    found = decode_query(body("vector", [UP, tiny, {"metric": {}, "value": [1, "+Inf"]}]))
    assert (found.type, found.count) == ("vector", 3)
    assert found.at is not None
    assert found.at.ns == 1_435_781_451_781_000_000
    first, second, third = found.samples
    assert isinstance(first, Sample)
    assert (first.labels, first.value) == ((("__name__", "up"), ("job", "hermes")), Decimal(1))
    assert first.scope == 'up{job="hermes"}'
    assert isinstance(second, Sample)
    assert (second.scope, second.value) == ('{a="b"}', Decimal("0.000015"))
    assert isinstance(third, Sample)
    assert (third.scope, third.value) == ("", Decimal("Infinity"))


def test_scalars_strings_and_matrices() -> None:
    scalar = decode_query(body("scalar", [12.5, "NaN"]))
    [sample] = scalar.samples
    assert isinstance(sample, Sample)
    assert sample.value is not None
    assert sample.value.is_nan()
    assert decode_query(body("string", [1, "hello"])).text == "hello"
    assert decode_query(body("matrix", [{"metric": {}, "values": [[1, "2"]]}])).count == 1
    assert decode_query(body("vector", [])).count == 0


def test_a_series_that_does_not_read_loses_no_other() -> None:
    odd = [{"metric": 7}, {"metric": {}, "value": [1, "one"]}, {"metric": {}}, {"metric": {}, "value": [1, "1e999999"]},
           {"metric": {}, "value": [-1, "1"]}, {"metric": {}, "value": [1, "9" * 99]},
           {"metric": {}, "value": [1, "1_0"]}]  # fmt: skip
    found = decode_query(body("vector", [*odd, UP]))
    assert [isinstance(one, DecodeError) for one in found.samples] == [True] * len(odd) + [False]
    assert found.count == 8


def test_a_native_histogram_has_no_value() -> None:
    one = {"metric": {"le": "x"}, "histogram": [1, {"count": "7", "sum": "1"}]}
    [sample] = decode_query(body("vector", [one])).samples
    assert isinstance(sample, Sample)
    assert sample.value is None


def test_more_series_than_are_kept_are_counted() -> None:
    found = decode_query(body("vector", [UP] * 50), most=3)
    assert (len(found.samples), found.count) == (3, 50)


def test_what_the_server_adds_is_kept_and_cut() -> None:
    found = decode_query(body("vector", [], warnings=["w" * 999] * 99, infos=["i"]))
    assert (len(found.warnings), len(found.warnings[0]), found.infos) == (10, 300, ("i",))


def test_an_error_is_no_result() -> None:
    with pytest.raises(DecodeError, match="bad_data: what"):
        decode_query(b'{"status":"error","errorType":"bad_data","error":"what"}')
    assert decode_refusal(b'{"status":"error","errorType":"bad_data","error":"what"}') == ("bad_data", "what")


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"status":"success"}', b'{"status":"success","data":{"resultType":"x","result":[]}}',
            b"{" * 5000,
            b'{"status":"success","data":{"resultType":"scalar","result":[1]}}', b"\xff",
            b'{"status":"success","data":{"resultType":"scalar","result":[1e400,"1"]}}'],
)  # fmt: skip
def test_what_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_query(raw)


@pytest.mark.parametrize("kind", ["vector", "scalar", "string"])
def test_mutated_answers_decode_or_refuse(kind: str) -> None:
    result = [UP] if kind == "vector" else [1435781451.781, "1.5"]
    for changed in mutations(body(kind, result, warnings=["w"], infos=["i"])):
        decodes_or_refuses(decode_query, changed)
    for changed in mutations(b'{"status":"error","errorType":"bad_data","error":"what"}'):
        decodes_or_refuses(decode_refusal, changed)


@given(st.binary(max_size=200))
def test_anything_else_is_refused(raw: bytes) -> None:
    decodes_or_refuses(decode_query, raw)


def test_memory_is_that_of_what_is_kept() -> None:
    large = body("vector", [UP] * 20_000)
    assert peak_bytes(lambda: decode_query(large, 100)) < 8 * len(large)


def test_long_labels_are_cut() -> None:
    assert len(Sample((("a", "x" * 9_999),), Decimal(1)).scope) == 303
