"""Messages of every type, known and not: there and back, damaged, and longer than this release knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import messages as codec
from probekit.errors import DecodeError
from probekit.model import Message, PriceMessage, StakeCap, StakeCapsMessage, TwapMessage, UnknownMessage
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.strategies import messages

KEY = "ab" * 32
PRICE = PriceMessage(KEY, -5, 6, -8, 1_790_000_000, 1_789_999_999, 7, 8)
TWAP = TwapMessage(KEY, -(2**100), 2**100, 3, -8, 1_790_000_000, 1_789_999_999, 9)
CAPS = StakeCapsMessage(1_790_000_000, (StakeCap(KEY, 5), StakeCap("cd" * 32, 2**64 - 1)))


@given(messages)
def test_round_trip(message: Message) -> None:
    assert codec.decode(codec.encode(message)) == message


@given(messages, st.binary(min_size=1, max_size=40))
def test_appended_fields_are_ignored_but_unknown_types_are_kept_whole(message: Message, later: bytes) -> None:
    decoded = codec.decode(codec.encode(message) + later)
    if isinstance(message, UnknownMessage):
        assert decoded == UnknownMessage(message.type, message.data + later)
    else:
        assert decoded == message


@pytest.mark.parametrize(("message", "size"), [(PRICE, 85), (TWAP, 101), (CAPS, 11 + 80)])
def test_sizes_of_the_format_and_no_truncation_decodes(message: Message, size: int) -> None:
    encoded = codec.encode(message)
    assert len(encoded) == size
    for cut in range(size):
        with pytest.raises(DecodeError) as caught:
            codec.decode(encoded[:cut])
        assert caught.value.raw == encoded[:cut]
        assert caught.value.offset is not None


@pytest.mark.parametrize("message", [PRICE, TWAP, CAPS, UnknownMessage(9, b"\x09later")])
def test_every_mutation_decodes_or_is_a_decode_error(message: Message) -> None:
    outcomes = [decodes_or_refuses(codec.decode, mutated) for mutated in mutations(codec.encode(message))]
    assert any(outcomes)


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    decodes_or_refuses(codec.decode, data)


def test_claimed_caps_allocate_nothing() -> None:
    assert peak_bytes(lambda: codec.decode(b"\x02" + bytes(8) + b"\xff\xff" + bytes(40))) < 20_000


@pytest.mark.parametrize(
    "message",
    [
        PriceMessage("ab" * 31, 0, 0, 0, 0, 0, 0, 0),
        PriceMessage("not hex", 0, 0, 0, 0, 0, 0, 0),
        PriceMessage(KEY, 2**63, 0, 0, 0, 0, 0, 0),
        PriceMessage(KEY, 0, -1, 0, 0, 0, 0, 0),
        TwapMessage(KEY, 2**127, 0, 0, 0, 0, 0, 0),
        StakeCapsMessage(0, (StakeCap("ab" * 33, 0),)),
        StakeCapsMessage(0, (StakeCap(KEY, 0),) * 65_536),
    ],
)
def test_what_does_not_fit_is_not_encoded(message: Message) -> None:
    with pytest.raises(ValueError):
        codec.encode(message)
