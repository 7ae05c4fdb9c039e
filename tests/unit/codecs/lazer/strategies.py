"""Any Lazer value that can be written."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from probekit.codecs.lazer.messages import IgnoredFeeds, PriceRequest
from probekit.model.lazer import (
    Channel,
    Envelope,
    FeedProperty,
    FeedValues,
    LazerPayload,
    LazerSigner,
    LazerStorage,
    TradingSession,
    UpdateFormat,
)
from probekit.model.pubkey import Pubkey
from probekit.units import Instant
from tests.unit.codecs.strategies import exactly, signed, unsigned

_prices = st.none() | signed(64).filter(bool)
_sessions = st.sampled_from(TradingSession) | st.integers(5, 2**15 - 1)
VALUES: dict[FeedProperty, st.SearchStrategy[Any]] = {
    FeedProperty.PUBLISHER_COUNT: unsigned(16),
    FeedProperty.EXPONENT: signed(16),
    FeedProperty.FUNDING_RATE: st.none() | signed(64),
    FeedProperty.FUNDING_TIMESTAMP: st.none() | unsigned(64),
    FeedProperty.FUNDING_RATE_INTERVAL: st.none() | unsigned(64),
    FeedProperty.MARKET_SESSION: _sessions,
    FeedProperty.FEED_UPDATE_TIMESTAMP: st.none() | unsigned(64),
}


@st.composite
def feeds(draw: st.DrawFn, *, absent: bool = True) -> FeedValues:
    served = draw(st.lists(st.sampled_from(FeedProperty), unique=True, max_size=13))
    found = {which: draw(VALUES.get(which, _prices)) for which in served}
    if not absent:
        # JSON has no member for a value that is absent.
        served = [which for which in served if found[which] is not None]
    values = {which.field: found[which] for which in served}
    return FeedValues(draw(unsigned(32)), tuple(served), **values)


payloads = st.builds(
    LazerPayload,
    unsigned(64),
    unsigned(8),
    st.lists(feeds(), max_size=6).map(tuple),
    trailing=st.binary(max_size=8),
)
parsed = st.builds(LazerPayload, unsigned(64), st.none(), st.lists(feeds(absent=False), max_size=6).map(tuple))

envelopes = st.one_of(
    st.builds(
        lambda form, payload, signature, by, rest: Envelope(form, payload, signature, by, None, rest),
        st.sampled_from((UpdateFormat.EVM, UpdateFormat.LE_ECDSA)),
        st.binary(max_size=300),
        exactly(64),
        unsigned(8),
        st.binary(max_size=8),
    ),
    st.builds(
        lambda payload, signature, key, rest: Envelope(UpdateFormat.SOLANA, payload, signature, None, key, rest),
        st.binary(max_size=300),
        exactly(64),
        exactly(32),
        st.binary(max_size=8),
    ),
    st.builds(
        lambda payload, rest: Envelope(UpdateFormat.LE_UNSIGNED, payload, trailing=rest),
        st.binary(max_size=300),
        st.binary(max_size=8),
    ),
)
parts = st.lists(envelopes, max_size=4, unique_by=lambda one: one.format).map(lambda found: {one.format: one for one in found})

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
requests = st.builds(
    PriceRequest,
    st.lists(unsigned(32), min_size=1, max_size=5, unique=True).map(tuple)
    | st.lists(names, min_size=1, max_size=5, unique=True).map(tuple),
    st.lists(st.sampled_from(FeedProperty), min_size=1, unique=True).map(tuple),
    st.lists(st.sampled_from(UpdateFormat), min_size=1, unique=True).map(tuple),
    st.sampled_from(Channel),
    st.booleans(),
    st.sampled_from(("base64", "hex")),
    st.sampled_from(("json", "binary")),
    st.booleans(),
)
_ids = st.lists(unsigned(32), max_size=3).map(tuple)
ignored = st.builds(IgnoredFeeds, _ids, st.lists(names, max_size=3).map(tuple), _ids, _ids, _ids)

_times = signed(64).map(Instant.from_seconds)
storages = st.builds(
    LazerStorage,
    exactly(32).map(Pubkey),
    exactly(32).map(Pubkey),
    unsigned(64),
    st.lists(st.builds(LazerSigner, exactly(32), _times), max_size=5).map(tuple),
    st.lists(st.builds(LazerSigner, exactly(20), _times), max_size=2).map(tuple),
)
