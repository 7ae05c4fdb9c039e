"""Any value a codec can write."""

from __future__ import annotations

from hypothesis import strategies as st

from probekit.codecs.accumulator import AccumulatorUpdate, RootPayload
from probekit.codecs.vaa import Signature, Vaa
from probekit.model import Message, PriceMessage, StakeCap, StakeCapsMessage, TwapMessage, UnknownMessage


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


def signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


keys = exactly(32).map(bytes.hex)

price_messages = st.builds(
    PriceMessage, keys, signed(64), unsigned(64), signed(32), signed(64), signed(64), signed(64), unsigned(64)
)
twap_messages = st.builds(
    TwapMessage, keys, signed(128), unsigned(128), unsigned(64), signed(32), signed(64), signed(64), unsigned(64)
)
stake_caps_messages = st.builds(
    StakeCapsMessage, signed(64), st.lists(st.builds(StakeCap, keys, unsigned(64)), max_size=8).map(tuple)
)
unknown_messages = st.builds(
    lambda kind, rest: UnknownMessage(kind, bytes((kind,)) + rest), st.integers(3, 255), st.binary(max_size=200)
)
messages: st.SearchStrategy[Message] = st.one_of(price_messages, twap_messages, stake_caps_messages, unknown_messages)

vaas = st.builds(
    Vaa,
    unsigned(32),
    st.lists(st.builds(Signature, unsigned(8), exactly(64), unsigned(8)), max_size=20).map(tuple),
    unsigned(32),
    unsigned(32),
    unsigned(16),
    exactly(32),
    unsigned(64),
    unsigned(8),
    st.binary(max_size=200),
)

payloads = st.builds(RootPayload, unsigned(64), unsigned(32), exactly(20))

proofs = st.lists(exactly(20), max_size=12).map(b"".join)
updates = st.builds(
    AccumulatorUpdate,
    st.binary(max_size=400),
    st.lists(st.tuples(st.binary(max_size=120), proofs), max_size=8).map(tuple),
    unsigned(8),
    unsigned(8),
    st.binary(max_size=255),
    st.binary(max_size=20),
)
