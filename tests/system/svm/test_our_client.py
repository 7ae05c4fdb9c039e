"""probekit's own Solana clients against the real runtime over a real socket: reads, a capped send, confirmation, streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from probekit import errors
from probekit.clients.receiver import ReceiverClient
from probekit.clients.solana import SolanaClient
from probekit.clients.solana_stream import Seen, SolanaStreams
from probekit.codecs.solana.addresses import PRO, TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from probekit.codecs.solana.receiver import encode_price_update
from probekit.codecs.solana.token import encode_mint, encode_token_account
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve, ticking
from probekit.model import FeedId, PriceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import FULL, PriceUpdateAccount
from probekit.model.solana import Commitment, TokenAccount, TokenExtension, TokenMint
from probekit.transports.rpc import Endpoint, EndpointState, HealthPolicy

pytestmark = [pytest.mark.system, pytest.mark.svm]

SLOT = timedelta(milliseconds=50)
SOL = 1_000_000_000


@dataclass
class Cluster:
    """Two nodes over one ledger, and clients of both."""

    ledger: Ledger
    nodes: tuple[Node, Node]
    endpoints: tuple[Endpoint, Endpoint]
    genesis_hash: str
    client: SolanaClient
    payer: Keypair


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    ledger = Ledger(slot_time=SLOT)
    nodes = Node(ledger), Node(ledger)
    async with ticking(ledger, every=SLOT), serve(nodes[0]) as one, serve(nodes[1]) as two:
        endpoints = (
            Endpoint(one.http, name="one", ws_url=one.ws),
            Endpoint(two.http, name="two", ws_url=two.ws),
        )
        async with SolanaClient(endpoints[0]) as any_chain:
            genesis_hash = await any_chain.genesis_hash()
        payer = Keypair()
        ledger.airdrop(payer.pubkey(), 5 * SOL)
        async with SolanaClient(endpoints, genesis_hash=genesis_hash, health=HealthPolicy(max_lag=20)) as client:
            yield Cluster(ledger, nodes, endpoints, genesis_hash, client, payer)


async def until(condition: Any, what: str, seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    assert found, what
    return found


async def signed(cluster: Cluster, lamports: int, to: Pubkey) -> tuple[bytes, int]:
    latest = await cluster.client.blockhash()
    from solders.pubkey import Pubkey as SoldersPubkey

    payer = cluster.payer
    params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=SoldersPubkey(bytes(to)), lamports=lamports)
    message = Message([transfer(params)], payer.pubkey())
    return bytes(Transaction([payer], message, Hash.from_string(latest.blockhash))), latest.last_valid_block_height


async def test_the_chain_moves_and_both_nodes_are_alive(cluster: Cluster) -> None:
    client = cluster.client
    first = await client.slot()
    await until(lambda: _above(client, first), "slots move")
    assert {standing.state for standing in (await client.standings()).values()} == {EndpointState.ALIVE}
    assert (await client.health()).healthy
    assert (await client.version()).core


async def _above(client: SolanaClient, slot: int) -> bool:
    return await client.slot() > slot


async def test_a_capped_send_lands_and_moves_the_money(cluster: Cluster) -> None:
    client, payer = cluster.client, Pubkey(bytes(cluster.payer.pubkey()))
    to = Pubkey(bytes(Keypair().pubkey()))
    raw, last_valid = await signed(cluster, SOL, to)
    with pytest.raises(errors.SendRefused, match="the cap is"):
        await client.send(raw, payer=payer, cap_lamports=SOL)
    assert (await client.balance(to)).lamports == 0
    signature = await client.send(raw, payer=payer, cap_lamports=SOL + 10_000)
    done = await client.confirm(signature, last_valid_block_height=last_valid, poll=timedelta(milliseconds=50))
    assert done.outcome == "landed"
    assert (await client.balance(to)).lamports == SOL
    rows = await client.signatures_for(to)
    assert [row.signature for row in rows if not isinstance(row, errors.DecodeError)] == [signature]


async def test_a_transaction_that_would_fail_is_refused_with_the_programs_words(cluster: Cluster) -> None:
    raw, _ = await signed(cluster, 50 * SOL, Pubkey(bytes(Keypair().pubkey())))
    with pytest.raises(errors.SendRefused, match="simulation fails"):
        await cluster.client.send(raw, payer=Pubkey(bytes(cluster.payer.pubkey())), cap_lamports=100 * SOL)


async def test_a_rebroadcast_goes_to_every_node_once_and_lands_once(cluster: Cluster) -> None:
    client, payer = cluster.client, Pubkey(bytes(cluster.payer.pubkey()))
    to = Pubkey(bytes(Keypair().pubkey()))
    raw, last_valid = await signed(cluster, SOL, to)
    with pytest.raises(errors.SendRefused, match="the cap is"):
        await client.rebroadcast(raw, payer=payer, cap_lamports=SOL)
    made = await client.rebroadcast(raw, payer=payer, cap_lamports=SOL + 10_000)
    assert made.taken
    assert {one.outcome for one in made.endpoints} <= {"accepted", "known"}
    done = await client.confirm(made.transaction, last_valid_block_height=last_valid, poll=timedelta(milliseconds=50))
    assert done.outcome == "landed"
    assert (await client.balance(to)).lamports == SOL
    again = await client.rebroadcast(raw, payer=payer, cap_lamports=SOL + 10_000)
    assert [one.outcome for one in again.endpoints] == ["known", "known"]
    with pytest.raises(errors.SendRefused, match="AlreadyProcessed"):
        await client.send(raw, payer=payer, cap_lamports=SOL + 10_000)
    assert (await client.balance(to)).lamports == SOL


async def test_a_signature_that_never_landed_expires(cluster: Cluster) -> None:
    height = await cluster.client.block_height(Commitment.FINALIZED)
    unknown = str(Keypair().sign_message(b"never sent"))
    done = await cluster.client.confirm(unknown, last_valid_block_height=height, poll=timedelta(milliseconds=50))
    assert done.outcome == "expired"


async def test_a_node_that_falls_behind_is_left_for_the_other(cluster: Cluster) -> None:
    with cluster.nodes[0].faults.behind_by(30):
        await until(lambda: _state(cluster, "one", EndpointState.OUT_OF_SYNC), "the node says that it is behind")
        tip = cluster.ledger.tip.slot
        assert await cluster.client.slot() > tip - 30
    await until(lambda: _state(cluster, "one", EndpointState.ALIVE), "it has caught up")


async def _state(cluster: Cluster, name: str, state: EndpointState) -> bool:
    return (await cluster.client.standings())[name].state is state


async def test_hundreds_of_feeds_of_the_receiver(cluster: Cluster) -> None:
    feeds = [FeedId(bytes([number % 256, number // 256]) + bytes(30)) for number in range(1, 251)]
    for feed_id in feeds[:240]:
        address = PRO.push_feed(feed_id)
        update = PriceUpdateAccount(address, FULL, PriceMessage(feed_id, 700, 5, -2, 100, 99, 700, 5), 7)
        cluster.ledger.set_account(address, encode_price_update(update), owner=PRO.receiver)
    cluster.ledger.advance_slot(40)
    receiver = ReceiverClient(cluster.client)
    found = await receiver.push_feeds(feeds)
    assert [item is not None for item in found.values()] == [True] * 240 + [False] * 10
    posted = await receiver.posted_feeds()
    assert (set(posted.feeds), posted.errors) == (set(feeds[:240]), ())


async def test_what_a_wallet_holds_of_both_token_programs(cluster: Cluster) -> None:
    wallet, plain, extended = (Pubkey(bytes(Keypair().pubkey())) for _ in range(3))
    mint, mint_2022 = (Pubkey(bytes(Keypair().pubkey())) for _ in range(2))
    extension = TokenExtension(7, b"")
    put = cluster.ledger.set_account
    put(mint, encode_mint(TokenMint(1_000, 2)), owner=TOKEN_PROGRAM)
    put(mint_2022, encode_mint(TokenMint(1_000, 6, extensions=(TokenExtension(3, bytes(32)),))), owner=TOKEN_2022_PROGRAM)
    put(plain, encode_token_account(TokenAccount(mint, wallet, 150)), owner=TOKEN_PROGRAM)
    put(extended, encode_token_account(TokenAccount(mint_2022, wallet, 7, extensions=(extension,))), owner=TOKEN_2022_PROGRAM)
    cluster.ledger.advance_slot(40)
    held = await cluster.client.token_holdings(wallet)
    shown = {one.key: str(one.amount) for one in held if not isinstance(one, errors.ProbekitError)}
    assert shown == {plain: "1.50", extended: "0.000007"}
    (only,) = await cluster.client.token_holdings(wallet, mint=mint)
    assert not isinstance(only, errors.ProbekitError)
    assert only.program == TOKEN_PROGRAM


async def test_signatures_page_by_page(cluster: Cluster) -> None:
    client, payer = cluster.client, Pubkey(bytes(cluster.payer.pubkey()))
    to = Pubkey(bytes(Keypair().pubkey()))
    sent = []
    for number in range(5):
        raw, last_valid = await signed(cluster, SOL // 10 + number, to)
        sent.append(await client.send(raw, payer=payer, cap_lamports=SOL))
        await client.confirm(sent[-1], last_valid_block_height=last_valid, poll=timedelta(milliseconds=50))
    pages = [page async for page in client.signature_pages(to, page=2)]
    assert [len(page) for page in pages] == [2, 2, 1]
    read = [row.signature for page in pages for row in page if not isinstance(row, errors.DecodeError)]
    assert read == sent[::-1]


async def test_an_account_is_followed_over_a_lost_socket(cluster: Cluster) -> None:
    streams = SolanaStreams(cluster.client, silence=timedelta(seconds=2))
    key, owner = Pubkey(bytes(Keypair().pubkey())), Pubkey(bytes(Keypair().pubkey()))
    cluster.ledger.set_account(key, b"first", owner=owner)
    cluster.ledger.advance_slot(40)
    items = streams.account(key)
    seen: list[bytes] = []

    async def collect() -> None:
        async for item in items:
            if isinstance(item, Seen):
                seen.append(item.value.data)

    task = asyncio.create_task(collect())
    try:
        await until(lambda: _seen(seen, b"first"), "the account as it is")
        cluster.ledger.set_account(key, b"second", owner=owner)
        await until(lambda: _seen(seen, b"second"), "its change")
        with cluster.nodes[0].faults.silence():
            cluster.ledger.set_account(key, b"third", owner=owner)
            await until(lambda: _seen(seen, b"third"), "a change while the subscription was silent")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await items.aclose()


async def _seen(seen: list[bytes], data: bytes) -> bool:
    return data in seen
