"""Every decoder there is, found by walking the package: whatever it is given, it decodes or raises ``DecodeError``.

Each codec's own tests mutate what its encoder makes; here no decoder can be forgotten, and each also gets what was meant for
the others.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import probekit.codecs
from probekit.codecs import accumulator, hermes
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.evm import abi
from probekit.codecs.sse import SseSplitter
from probekit.errors import DecodeError
from probekit.model import MarketHours
from tests.support.mutation import peak_bytes
from tests.support.vectors import load
from tests.unit.trust.builders import CORE_SET, PRO_SET, slot_of

Decoder = Callable[[Any], object]


def decoders(kind: tuple[str, ...]) -> list[Any]:
    """Public functions ``decode...`` that take one value of that type, and nothing else that they need."""
    found = []
    for module in pkgutil.walk_packages(probekit.codecs.__path__, "probekit.codecs."):
        for name, function in vars(importlib.import_module(module.name)).items():
            if not (name.startswith("decode") and inspect.isfunction(function) and function.__module__ == module.name):
                continue
            first, *others = inspect.signature(function).parameters.values()
            if first.annotation in kind and all(one.default is not one.empty for one in others):
                found.append(pytest.param(function, id=f"{module.name.removeprefix('probekit.codecs.')}.{name}"))
    return found


BYTES = decoders(("bytes",))
VALUES = decoders(("object", "Any"))


def seeds() -> list[bytes]:
    """Bytes that mean something to one decoder or another; real ones too, where the vectors are at hand."""
    slots = [slot_of(one, count=3) for one in (CORE_SET, PRO_SET)]
    made = [
        part for one in slots for part in (one.update([0, 1, 2]), vaa_codec.encode(one.vaa), one.vaa.payload, one.encoded[0])
    ]
    made.append(hermes.encode_prices(None, made[:1]))
    made += [b"", b"null", b"[]", b"{}", b"[[[[", b'{"a":1e999}', b"\xd4\xc3\xb2\xa1" + bytes(400), bytes(3500)]
    for _, vector in load():
        data = vector.get("data")
        if isinstance(data, str) and len(data) < 8_000:
            try:
                made.append(bytes.fromhex(data.removeprefix("0x")))
            except ValueError:
                made.append(data.encode())
    return made


SEEDS = seeds()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Something known, with up to three places overwritten, cut out or filled in; or bytes of no meaning."""
    data = bytearray(draw(st.one_of(st.sampled_from(SEEDS), st.binary(max_size=300))))
    for _ in range(draw(st.integers(0, 3))):
        at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        data[at : at + size] = draw(st.one_of(st.binary(max_size=40), st.sampled_from([b"\xff" * 32, bytes(32), b"[" * 64])))
    return bytes(data)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["0x", "0x0"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                ["context", "slot", "value", "data", "owner", "lamports", "number", "hash", "result", "params", "epoch", "err"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


def test_the_walk_finds_the_decoders() -> None:
    assert len(BYTES) >= 30
    assert len(VALUES) >= 20


@pytest.mark.parametrize("decode", BYTES)
@settings(max_examples=60)
@given(data=damaged())
def test_bytes_decode_or_are_refused(decode: Decoder, data: bytes) -> None:
    try:
        decode(data)
    except DecodeError as error:
        assert error.message


@pytest.mark.parametrize("decode", BYTES)
def test_no_decoder_takes_memory_out_of_proportion(decode: Decoder) -> None:
    """Lengths that claim four thousand million are looked at before anything is set aside for them."""
    for data in (*SEEDS[:16], b"\xff" * 2_000, bytes(2_000), b"PNAU\x01\x00\x00\x00\xff\xff" + b"\xff" * 500):
        for at in range(0, len(data), max(1, len(data) // 16)):
            claimed = data[:at] + b"\xff" * 8 + data[at + 8 :]
            assert peak_bytes(lambda claimed=claimed: decode(claimed)) < 2_000_000  # type: ignore[misc]


@pytest.mark.parametrize("decode", VALUES)
@settings(max_examples=60)
@given(value=json_values)
def test_json_values_decode_or_are_refused(decode: Decoder, value: Any) -> None:
    try:
        decode(value)
    except DecodeError as error:
        assert error.message


TYPES = ["uint256", "(bytes,(int64,uint64,int32,uint256)[])", "bytes[],string,address", "(bool,bytes32[][])[]"]


@pytest.mark.parametrize("types", TYPES)
@settings(max_examples=150)
@given(data=st.one_of(damaged(), st.lists(st.sampled_from([0, 1, 32, 64, 2**255, 2**256 - 1]), max_size=24).map(
    lambda words: b"".join(word.to_bytes(32, "big") for word in words)
)))  # fmt: skip
def test_abi_words_decode_or_are_refused(types: str, data: bytes) -> None:
    for decode in (abi.decode, abi.decode_answer):
        try:
            decode(types, data)
        except DecodeError as error:
            assert error.message


@given(st.lists(damaged(), max_size=6))
def test_streams_split_or_are_refused(parts: list[bytes]) -> None:
    splitter = SseSplitter()
    try:
        for part in parts:
            splitter.feed(part)
    except DecodeError as error:
        assert error.message


@given(damaged())
def test_what_decodes_goes_on_to_the_next_codec(data: bytes) -> None:
    """An update's parts are decoded one by one, and its JSON's bytes too: no layer trusts the one above."""
    try:
        update = accumulator.decode(data)
        accumulator.decode_payload(vaa_codec.decode(update.vaa).payload)
    except DecodeError:
        pass
    try:
        hermes.decode_prices(data).binary.decoded()
    except DecodeError:
        pass


@given(st.text("O,C;&-/0123456789 \tAmerica/New_York\u0663", max_size=80))
def test_schedules_parse_or_are_refused(text: str) -> None:
    for schedule in (text, f"UTC;{text}", f"UTC;O,O,O,O,O,O,O;{text}"):
        try:
            hours = MarketHours.parse(schedule)
        except DecodeError as error:
            assert error.raw == schedule
        else:
            assert msgspec.json.encode(hours)
