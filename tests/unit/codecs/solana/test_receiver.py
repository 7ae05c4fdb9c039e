"""The receiver program's accounts, byte for byte."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from probekit.codecs.solana import receiver
from probekit.codecs.solana.addresses import CORE, PRO, SYSTEM_PROGRAM
from probekit.errors import DecodeError
from probekit.model import FeedId, Price, PriceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import (
    FULL,
    DataSource,
    EncodedVaaAccount,
    PriceUpdateAccount,
    ProgramGeneration,
    PushFeedAccount,
    ReceiverConfig,
    TwapUpdateAccount,
    VaaStatus,
    VerificationLevel,
)
from probekit.model.solana import Account
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.solana.strategies import configs, encoded_vaas, price_updates, twap_updates

SOL_USD = FeedId("ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d")
AUTHORITY = Pubkey(b"a" * 32)
UPDATE = PriceUpdateAccount(AUTHORITY, FULL, PriceMessage(SOL_USD, -5, 6, -8, 900, 899, -7, 8), 42)
PARTIAL = replace(UPDATE, level=VerificationLevel(5))
TWAP = TwapUpdateAccount(AUTHORITY, SOL_USD, 100, 400, -5, 6, -8, 7)
CONFIG = ReceiverConfig(AUTHORITY, None, Pubkey(b"w" * 32), (DataSource(26, Pubkey(b"Pythnet!" * 4)),), 1, 3)
ENCODED_VAA = EncodedVaaAccount(VaaStatus.VERIFIED, AUTHORITY, 1, b"vaa")

# drift-labs/protocol-v2 tests/pythPullOracleData.ts: accounts read from mainnet in June 2024.
REAL_PARTIAL = base64.b64decode(
    "IvEjY51+9M15FWx8FtWAOWd5ewuI2Jxpr2M2+vcME9p7lTmTzCdtXgAF7w2Lb9os66QdoV1AldHaOSoNL47Qxse8D0z6yMKAtW0QYYF1AwAAAMdvlgAAAAAA+P///"
    "+ytaGYAAAAA661oZgAAAAD8jgF1AwAAAGrItQAAAAAAEz4rEAAAAAA="
)
REAL_FULL = base64.b64decode(
    "IvEjY51+9M1gMUcENA3t3zcf1CRyFI8kjp0abRpesqw6zYt/1dayQwHvDYtv2izrpB2hXUCV0do5Kg0vjtDGx7wPTPrIwoC1bdpHvSIDAAAATo3GAAAAAAD4////"
    "ALVxZgAAAAAAtXFmAAAAAMRoiicDAAAAi6PEAAAAAAB9pz8QAAAAAAA="
)


@given(price_updates)
def test_price_update_round_trip(account: PriceUpdateAccount) -> None:
    encoded = receiver.encode_price_update(account)
    assert len(encoded) == 134
    assert receiver.decode_price_update(encoded) == account


@given(twap_updates)
def test_twap_round_trip(account: TwapUpdateAccount) -> None:
    encoded = receiver.encode_twap_update(account)
    assert len(encoded) == 112
    assert receiver.decode_twap_update(encoded) == account


@given(configs)
def test_config_round_trip(config: ReceiverConfig) -> None:
    encoded = receiver.encode_config(config)
    assert len(encoded) == 370
    assert receiver.decode_config(encoded) == config


@given(encoded_vaas)
def test_encoded_vaa_round_trip(account: EncodedVaaAccount) -> None:
    encoded = receiver.encode_encoded_vaa(account)
    assert len(encoded) == 46 + len(account.vaa)
    assert receiver.decode_encoded_vaa(encoded) == account


def test_layout_is_what_the_program_writes() -> None:
    prices = (
        SOL_USD
        + (-5).to_bytes(8, "little", signed=True).hex()
        + "0600000000000000 f8ffffff 8403000000000000 8303000000000000"
        + (-7).to_bytes(8, "little", signed=True).hex()
        + "0800000000000000 2a00000000000000"
    )
    head = "22f123639d7ef4cd" + AUTHORITY.hex()
    assert receiver.encode_price_update(UPDATE) == bytes.fromhex(head + "01" + prices + "00")
    assert receiver.encode_price_update(PARTIAL) == bytes.fromhex(head + "0005" + prices)
    assert receiver.encode_config(CONFIG).rstrip(b"\0") == bytes.fromhex(
        "9b0caae01efacc82"
        + AUTHORITY.hex()
        + "00"
        + "77" * 32
        + "01000000 1a00"
        + (b"Pythnet!" * 4).hex()
        + "0100000000000000 03"
    )
    assert receiver.encode_encoded_vaa(ENCODED_VAA) == bytes.fromhex(
        "e265a30485a054f5 02" + AUTHORITY.hex() + "01 03000000" + b"vaa".hex()
    )


def test_twap_offsets() -> None:
    encoded = receiver.encode_twap_update(TWAP)
    assert encoded[:8].hex() == "68c0bc48f6a60c51" == hashlib.sha256(b"account:TwapUpdate").hexdigest()[:16]
    assert encoded[40:72] == bytes(SOL_USD)
    assert int.from_bytes(encoded[108:112], "little") == 7
    assert (TWAP.price, TWAP.conf, TWAP.window.total_seconds()) == (Price(-5, -8), Price(6, -8), 300)


def test_real_accounts() -> None:
    partial, full = receiver.decode_price_update(REAL_PARTIAL), receiver.decode_price_update(REAL_FULL)
    assert (partial.level, full.level) == (VerificationLevel(5), FULL)
    assert partial.feed_id == full.feed_id == SOL_USD
    assert (partial.price.decimal, full.price.decimal) == (Decimal("148.56315152"), Decimal("134.6773193"))
    assert (partial.conf.decimal, full.conf.decimal) == (Decimal("0.09859015"), Decimal("0.13012302"))
    assert (partial.publish_time.seconds, partial.prev_publish_time.seconds) == (1718136300, 1718136299)
    assert full.publish_time.seconds == full.prev_publish_time.seconds == 1718727936
    assert (partial.ema_price.mantissa, partial.ema_conf.mantissa) == (14847938300, 11913322)
    assert (full.ema_price.mantissa, full.ema_conf.mantissa) == (13548284100, 12886923)
    assert (partial.posted_slot, full.posted_slot) == (271269395, 272607101)
    assert full.write_authority == CORE.push_feed(SOL_USD)
    assert (receiver.encode_price_update(partial), receiver.encode_price_update(full)) == (REAL_PARTIAL, REAL_FULL)


def test_what_stands_behind_a_full_update_is_ignored() -> None:
    encoded = receiver.encode_price_update(UPDATE)
    assert receiver.decode_price_update(encoded[:133]) == UPDATE
    assert receiver.decode_price_update(encoded[:133] + b"\x07" + bytes(50)) == UPDATE


def test_a_partial_update_needs_its_last_byte() -> None:
    with pytest.raises(DecodeError, match="134 needed") as caught:
        receiver.decode_price_update(receiver.encode_price_update(PARTIAL)[:133])
    assert caught.value.offset == 42


@pytest.mark.parametrize("tag", [2, 0x80, 0xFF])
def test_an_unknown_level_is_refused(tag: int) -> None:
    encoded = receiver.encode_price_update(UPDATE)
    with pytest.raises(DecodeError, match=f"variant {tag}") as caught:
        receiver.decode_price_update(encoded[:40] + bytes((tag,)) + encoded[41:])
    assert caught.value.offset == 40


def test_another_account_type_is_refused_by_its_discriminator() -> None:
    with pytest.raises(DecodeError, match="begins with 68c0bc48f6a60c51, not 22f123639d7ef4cd") as caught:
        receiver.decode_price_update(receiver.encode_twap_update(TWAP) + bytes(30))
    assert caught.value.offset == 0


def test_every_mutation_decodes_or_is_a_decode_error() -> None:
    for decode, data in (
        (receiver.decode_price_update, receiver.encode_price_update(UPDATE)),
        (receiver.decode_price_update, receiver.encode_price_update(PARTIAL)),
        (receiver.decode_twap_update, receiver.encode_twap_update(TWAP)),
        (receiver.decode_config, receiver.encode_config(CONFIG)),
        (receiver.decode_encoded_vaa, receiver.encode_encoded_vaa(ENCODED_VAA)),
    ):
        outcomes = [decodes_or_refuses(decode, mutated) for mutated in mutations(data)]
        assert any(outcomes), decode
        assert not all(outcomes), decode


@given(st.binary(max_size=400))
def test_arbitrary_bytes_behind_a_right_discriminator(data: bytes) -> None:
    decodes_or_refuses(receiver.decode_price_update, receiver.PRICE_UPDATE_DISCRIMINATOR + data)
    decodes_or_refuses(receiver.decode_twap_update, receiver.TWAP_UPDATE_DISCRIMINATOR + data)
    decodes_or_refuses(receiver.decode_config, receiver.CONFIG_DISCRIMINATOR + data)
    decodes_or_refuses(receiver.decode_encoded_vaa, receiver.ENCODED_VAA_DISCRIMINATOR + data)


def test_claimed_counts_allocate_nothing() -> None:
    config = bytearray(receiver.encode_config(CONFIG))
    config[8 + 32 + 1 + 32 : 8 + 32 + 1 + 32 + 4] = b"\xff" * 4
    with pytest.raises(DecodeError, match="4294967295 items"):
        receiver.decode_config(bytes(config))
    assert peak_bytes(lambda: receiver.decode_config(bytes(config))) < 20_000
    vaa = bytearray(receiver.encode_encoded_vaa(ENCODED_VAA))
    vaa[42:46] = b"\xff" * 4
    assert peak_bytes(lambda: receiver.decode_encoded_vaa(bytes(vaa))) < 20_000


@pytest.mark.parametrize(
    "account",
    [
        replace(UPDATE, level=VerificationLevel(256)),
        replace(UPDATE, message=replace(UPDATE.message, feed_id="ab")),
        replace(UPDATE, message=replace(UPDATE.message, price=2**63)),
        replace(UPDATE, message=replace(UPDATE.message, conf=-1)),
        replace(UPDATE, message=replace(UPDATE.message, expo=2**31)),
        replace(UPDATE, posted_slot=2**64),
    ],
)
def test_what_does_not_fit_is_not_encoded(account: PriceUpdateAccount) -> None:
    with pytest.raises(ValueError):
        receiver.encode_price_update(account)


def test_a_config_of_too_many_sources_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="account of 370"):
        receiver.encode_config(replace(CONFIG, data_sources=CONFIG.data_sources * 9))


def test_levels_order_as_the_sdk_orders_them() -> None:
    assert FULL.at_least(FULL)
    assert FULL.at_least(VerificationLevel(255))
    assert VerificationLevel(8).at_least(VerificationLevel(8))
    assert not VerificationLevel(8).at_least(FULL)
    assert not VerificationLevel(8).at_least(VerificationLevel(9))
    assert (str(FULL), str(VerificationLevel(3))) == ("full", "partial(3)")
    assert (FULL.is_full, VerificationLevel(3).is_full) == (True, False)


@dataclass
class PushFeed:
    """A well-formed push feed account, to be bent by a test."""

    key: Pubkey = PRO.push_feed(SOL_USD)
    owner: Pubkey = PRO.receiver
    authority: Pubkey = PRO.push_feed(SOL_USD)
    feed_id: str = SOL_USD

    def account(self) -> Account:
        message = replace(UPDATE.message, feed_id=self.feed_id)
        data = receiver.encode_price_update(replace(UPDATE, write_authority=self.authority, message=message))
        return Account(self.key, self.owner, 1_823_520, data, False, 77)


def test_a_push_feed_of_either_generation_is_read() -> None:
    read = receiver.read_push_feed(PushFeed().account(), SOL_USD)
    assert (read.generation, read.shard_id, read.slot, read.update.feed_id) == (ProgramGeneration.PRO, 0, 77, SOL_USD)
    address = CORE.push_feed(SOL_USD, 3)
    core = PushFeed(address, CORE.receiver, address).account()
    assert receiver.read_push_feed(core, SOL_USD, shard_id=3).generation is ProgramGeneration.CORE


@pytest.mark.parametrize(
    ("bent", "problem"),
    [
        (PushFeed(key=AUTHORITY), "no push feed address"),
        (PushFeed(key=CORE.push_feed(SOL_USD, 1)), "no push feed address"),
        (PushFeed(owner=CORE.receiver), "owned by rec5"),
        (PushFeed(owner=SYSTEM_PROGRAM), "owned by 1111"),
        (PushFeed(authority=AUTHORITY), "may be written by"),
        (PushFeed(feed_id="00" * 32), "holds feed 00000000"),
    ],
)
def test_what_is_no_push_feed_is_refused_with_its_reason(bent: PushFeed, problem: str) -> None:
    account = bent.account()
    with pytest.raises(DecodeError, match=problem) as caught:
        receiver.read_push_feed(account, SOL_USD)
    assert caught.value.raw == account.data
    told = receiver.push_feed_read(account, SOL_USD)
    assert isinstance(told, DecodeError)
    assert told.message == caught.value.message


def test_an_address_without_a_price_is_nothing_and_not_an_error() -> None:
    assert receiver.push_feed_read(None, SOL_USD) is None
    lamports_only = Account(PRO.push_feed(SOL_USD), SYSTEM_PROGRAM, 1, b"", False, 77)
    assert receiver.push_feed_read(lamports_only, SOL_USD) is None
    broken = DecodeError("broken", raw=b"")
    assert receiver.push_feed_read(broken, SOL_USD) is broken
    assert isinstance(receiver.push_feed_read(PushFeed().account(), SOL_USD), PushFeedAccount)
