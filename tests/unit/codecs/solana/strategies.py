"""Any value the Solana codecs can write."""

from __future__ import annotations

from hypothesis import strategies as st

from probekit.model import FeedId, PriceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import (
    FULL,
    BridgeConfig,
    DataSource,
    EncodedVaaAccount,
    GuardianSetAccount,
    PriceUpdateAccount,
    ReceiverConfig,
    TwapUpdateAccount,
    VaaStatus,
    VerificationLevel,
)
from probekit.model.solana import Account, TokenAccount, TokenExtension, TokenMint, TokenState
from tests.unit.codecs.strategies import exactly, signed, unsigned

pubkeys = exactly(32).map(Pubkey)
feed_ids = exactly(32).map(FeedId)
levels = st.one_of(st.just(FULL), st.builds(VerificationLevel, unsigned(8)))

messages = st.builds(
    PriceMessage,
    exactly(32).map(bytes.hex),
    signed(64),
    unsigned(64),
    signed(32),
    signed(64),
    signed(64),
    signed(64),
    unsigned(64),
)
price_updates = st.builds(PriceUpdateAccount, pubkeys, levels, messages, unsigned(64))
twap_updates = st.builds(
    TwapUpdateAccount, pubkeys, feed_ids, signed(64), signed(64), signed(64), unsigned(64), signed(32), unsigned(32)
)
# Seven sources and two authorities are what 370 bytes hold.
configs = st.builds(
    ReceiverConfig,
    pubkeys,
    st.none() | pubkeys,
    pubkeys,
    st.lists(st.builds(DataSource, unsigned(16), pubkeys), max_size=7).map(tuple),
    unsigned(64),
    unsigned(8),
)
encoded_vaas = st.builds(EncodedVaaAccount, st.sampled_from(VaaStatus), pubkeys, unsigned(8), st.binary(max_size=300))
guardian_sets = st.builds(
    GuardianSetAccount,
    st.integers(0, 1000),
    st.lists(exactly(20), max_size=25).map(tuple),
    unsigned(32),
    unsigned(32),
    st.booleans(),
)
bridge_configs = st.builds(BridgeConfig, unsigned(32), unsigned(64), unsigned(32), unsigned(64))

extensions = st.lists(st.builds(TokenExtension, st.integers(1, 2**16 - 1), st.binary(max_size=200)), max_size=4).map(tuple)
token_accounts = st.builds(
    TokenAccount,
    pubkeys,
    pubkeys,
    unsigned(64),
    st.sampled_from(TokenState),
    st.none() | pubkeys,
    unsigned(64),
    st.none() | unsigned(64),
    st.none() | pubkeys,
    extensions,
)
mints = st.builds(TokenMint, unsigned(64), unsigned(8), st.booleans(), st.none() | pubkeys, st.none() | pubkeys, extensions)

accounts = st.builds(
    Account,
    pubkeys,
    pubkeys,
    st.integers(0, 2**63 - 1),
    st.binary(max_size=200),
    st.booleans(),
    st.integers(0, 2**63 - 1),
    unsigned(64),
)
