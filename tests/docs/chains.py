"""What stands behind the examples about chains: accounts on the local Solana node, and a guardian's API."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from probekit.clients.pythnet import DEPLOYMENTS
from probekit.codecs.pythnet import encode_mapping, encode_permissions, encode_price, encode_product
from probekit.codecs.solana.addresses import CORE, PRO, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, Programs
from probekit.codecs.solana.pda import find_program_address
from probekit.codecs.solana.receiver import encode_config, encode_price_update
from probekit.codecs.solana.token import encode_mint, encode_token_account
from probekit.codecs.solana.wormhole import encode_bridge_config, encode_guardian_set
from probekit.codecs.vaa import Vaa, encode
from probekit.dev.svm.ledger import Ledger
from probekit.model import FeedId, PriceMessage, TrustRoot
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import MappingAccount, PermissionsAccount, PriceAccount, PriceInfo, ProductAccount, Quote
from probekit.model.receiver import (
    FULL,
    BridgeConfig,
    DataSource,
    GuardianSetAccount,
    PriceUpdateAccount,
    ReceiverConfig,
)
from probekit.model.solana import TokenAccount, TokenMint
from probekit.trust import MAINNET, PRO_EMITTER
from probekit.trust.signing import SigningSet, trust_of
from probekit.units import Instant
from tests.unit.clients.test_wormhole import ENTRY

NOW: Final = Instant.parse("2026-09-12T10:00:01Z")


def key(number: int) -> Pubkey:
    return Pubkey(bytes([number]) * 32)


PRODUCT, PRICE, WALLET, NOBODY = key(1), key(2), key(4), key(5)
FEED: Final = FeedId(bytes(PRICE))

NAMES: Final[dict[str, Any]] = {
    "wallet": WALLET,
    "nobody": NOBODY,
    "feed_id": FEED,
    "unknown_feed_id": FeedId("ff" * 32),
    "now": NOW,
}


def put_accounts(ledger: Ledger) -> None:
    """Pythnet with one feed, that feed under both generations of the receiver, a wallet with tokens."""
    accounts: list[tuple[Pubkey, Pubkey, bytes]] = [*_pythnet(ledger.tip.slot), *_receiver(), *_tokens()]
    for address, owner, data in accounts:
        ledger.set_account(address, data, owner=owner, since_genesis=True)
    ledger.set_account(WALLET, lamports=1_500_000_000, since_genesis=True)


def _pythnet(slot: int) -> list[tuple[Pubkey, Pubkey, bytes]]:
    program, mapping = DEPLOYMENTS["pythnet"].program, DEPLOYMENTS["pythnet"].mapping
    infos = PriceInfo(700, 5, 1, 0, slot), PriceInfo(701, 5, 1, 0, slot - 1)
    quotes = tuple(Quote.of(bytes([30 + number]) * 32, info, info) for number, info in enumerate(infos))
    price = PriceAccount(
        expo=-2,
        num_components=2,
        num_quoters=2,
        product_key=bytes(PRODUCT),
        agg_price=700,
        agg_conf=5,
        agg_status_code=1,
        agg_pub_slot=slot,
        quotes=quotes,
    )
    permissions, _ = find_program_address((b"permissions",), program)
    return [
        (mapping, program, encode_mapping(MappingAccount((PRODUCT,)))),
        (PRODUCT, program, encode_product(ProductAccount({"symbol": "Crypto.BTC/USD"}, PRICE))),
        (PRICE, program, encode_price(price)),
        (permissions, program, encode_permissions(PermissionsAccount(key(6), key(6), key(6), 1))),
    ]


def _receiver() -> list[tuple[Pubkey, Pubkey, bytes]]:
    guardians = MAINNET.newest(TrustRoot.PRO)
    assert guardians is not None
    config = ReceiverConfig(key(6), None, PRO.wormhole, (DataSource(PRO_EMITTER.chain, Pubkey(PRO_EMITTER.address)),), 0, 3)
    held = GuardianSetAccount(guardians.index, guardians.signers, 1_700_000_000, 0)
    return [
        _posted(PRO, NOW.seconds - 1),
        _posted(CORE, NOW.seconds - 120),
        (PRO.receiver_config(), PRO.receiver, encode_config(config)),
        (PRO.bridge_config(), PRO.wormhole, encode_bridge_config(BridgeConfig(guardians.index, 0, 86_400, 0))),
        (PRO.guardian_set(guardians.index), PRO.wormhole, encode_guardian_set(held)),
    ]


def _posted(programs: Programs, publish_time_s: int) -> tuple[Pubkey, Pubkey, bytes]:
    address = programs.push_feed(FEED)
    message = PriceMessage(FEED, 700, 5, -2, publish_time_s, publish_time_s - 1, 700, 5)
    return address, programs.receiver, encode_price_update(PriceUpdateAccount(address, FULL, message, 7))


def _tokens() -> list[tuple[Pubkey, Pubkey, bytes]]:
    return [
        (key(10), TOKEN_PROGRAM, encode_mint(TokenMint(1_000_000, 2))),
        (key(11), TOKEN_PROGRAM, encode_token_account(TokenAccount(key(10), WALLET, 150))),
        (key(12), TOKEN_2022_PROGRAM, encode_mint(TokenMint(1_000_000, 6))),
        (key(13), TOKEN_2022_PROGRAM, encode_token_account(TokenAccount(key(12), WALLET, 7))),
    ]


# -- a guardian ------------------------------------------------------------------------------------------------------------

SIGNING: Final = SigningSet.generate(TrustRoot.CORE, 7, b"guardians of the pages")
EMITTER: Final = bytes(31) + b"\x04"
SEQUENCE: Final = 77
MESSAGE: Final = SIGNING.sign(Vaa(7, (), NOW.seconds, 0, 1, EMITTER, SEQUENCE, 32, b"hello"))
GUARDIAN_NAMES: Final[dict[str, Any]] = {"emitter": EMITTER, "sequence": SEQUENCE, "trust": trust_of(SIGNING)}
ANSWERS: Final[dict[str, Any]] = {
    "/v1/heartbeats": {"entries": [ENTRY, {"rawHeartbeat": 7}]},
    "/v1/guardianset/current": {
        "guardianSet": {"index": 7, "addresses": ["0x" + one.hex() for one in SIGNING.signer_set().signers]}
    },
    f"/v1/signed_vaa/1/{EMITTER.hex()}/{SEQUENCE}": {"vaaBytes": base64.b64encode(encode(MESSAGE)).decode()},
}


@asynccontextmanager
async def serve_guardian() -> AsyncIterator[str]:
    """A guardian's API on a free port; anything it has no answer to is 404."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            found = ANSWERS.get(path)
            body = json.dumps(found if found is not None else {"code": 5, "message": "not found"}).encode()
            status = "200 OK" if found is not None else "404 Not Found"
            head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
            writer.write(head.encode() + b"\r\n\r\n" + body)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
