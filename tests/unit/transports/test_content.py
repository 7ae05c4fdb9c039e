"""Content decoding: whole whatever the pieces, bounded whatever the bytes."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import BodyTooLarge, ProtocolError
from probekit.transports.content import BoundedBody

URL = "http://one/"


def decoded(data: bytes, encoding: str | None, limit: int | None, step: int = 1 << 30) -> bytes:
    body = BoundedBody(encoding, limit, URL)
    out = b"".join(body.feed(data[start : start + step]) for start in range(0, len(data), step))
    body.finish()
    return out


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@given(
    st.lists(st.binary(max_size=400), min_size=1, max_size=5),
    st.integers(1, 60),
    st.sampled_from(["gzip", "deflate", "raw", ""]),
)
def test_whole_in_whatever_pieces_it_came(parts: list[bytes], step: int, form: str) -> None:
    whole = b"".join(parts)
    packed = {
        "gzip": b"".join(map(gzip.compress, parts)) + b"\0" * 3,
        "deflate": zlib.compress(whole),
        "raw": raw_deflate(whole),
        "": whole,
    }[form]
    encoding = "deflate" if form == "raw" else form
    assert decoded(packed, encoding, len(whole), step) == whole
    assert decoded(packed, encoding, None, step) == whole
    if whole:
        with pytest.raises(BodyTooLarge):
            decoded(packed, encoding, len(whole) - 1, step)


@given(st.binary(min_size=1, max_size=400), st.data(), st.integers(1, 500))
def test_mutated_bytes_decode_or_are_refused(data: bytes, draw: st.DataObject, step: int) -> None:
    for encoding, packed in (("gzip", gzip.compress(data)), ("deflate", zlib.compress(data)), ("deflate", raw_deflate(data))):
        at = draw.draw(st.integers(0, len(packed) - 1))
        flipped = packed[:at] + bytes((packed[at] ^ draw.draw(st.integers(1, 255)),)) + packed[at + 1 :]
        for mutated in (flipped, packed[:at], packed + b"\x01", packed + packed[:at]):
            try:
                out = decoded(mutated, encoding, 1_000, step)
            except (ProtocolError, BodyTooLarge):
                continue
            assert len(out) <= 1_000


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "x" * 500, "\x00"]))
def test_any_bytes_in_any_encoding(data: bytes, encoding: str) -> None:
    try:
        out = decoded(data, encoding, 1_000)
    except (ProtocolError, BodyTooLarge) as error:
        assert len(str(error)) < 300
    else:
        assert not data or out is not None


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity , identity"])
def test_nothing_to_decode(encoding: str | None) -> None:
    assert decoded(b"plain", encoding, 5) == b"plain"


def test_what_was_cut_anywhere_is_told() -> None:
    packed = gzip.compress(b"first") + gzip.compress(b"second")
    ends = {len(gzip.compress(b"first")), len(packed), 0}
    for size in range(len(packed) + 1):
        if size in ends:
            decoded(packed[:size], "gzip", 100)
            continue
        with pytest.raises(ProtocolError):
            decoded(packed[:size], "gzip", 100)
