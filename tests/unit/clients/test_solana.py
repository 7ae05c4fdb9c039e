"""The Solana client over nodes that answer from a table."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from probekit import errors
from probekit.clients.solana import GENESIS, SolanaClient
from probekit.codecs.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from probekit.codecs.solana.rpc import encode_account
from probekit.codecs.solana.token import encode_mint, encode_token_account
from probekit.model.pubkey import Pubkey, base58
from probekit.model.solana import Account, Commitment, TokenAccount, TokenHolding, TokenMint, TransactionLogs
from probekit.testing import ReplyTransport
from probekit.transports.rpc import PoolPolicy
from tests.unit.clients.cluster import KEYS, OWNER, RAW, SIGNATURE, Cluster, account


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_the_chain(cluster: Cluster) -> None:
    client = cluster.client
    assert await client.slot() == 100
    assert await client.block_height(Commitment.FINALIZED) == 90
    assert await client.genesis_hash() == GENESIS["devnet"]
    assert cluster.asked("getSlot") == [[{"commitment": "confirmed"}]]
    assert cluster.asked("getBlockHeight") == [[{"commitment": "finalized"}]]


async def test_health_in_both_of_its_shapes(cluster: Cluster) -> None:
    assert (await cluster.client.health()).healthy
    cluster.methods["getHealth"] = lambda _: errors.RpcError(
        "Node is behind by 42 slots", code=-32005, data={"numSlotsBehind": 42}
    )
    health = await cluster.client.health()
    assert (health.healthy, health.slots_behind) == (False, 42)


async def test_an_account_and_none(cluster: Cluster) -> None:
    cluster.add(account(KEYS[0]))
    found = await cluster.client.account(str(KEYS[0]), min_slot=50)
    assert found is not None
    assert (found.key, found.data, found.slot) == (KEYS[0], b"data", 100)
    assert cluster.asked("getAccountInfo")[0][1]["minContextSlot"] == 50
    assert await cluster.client.account(KEYS[1]) is None
    with pytest.raises(ValueError, match="base58"):
        await cluster.client.account("not base58 0OIl")


async def test_hundreds_of_accounts_are_one_request(cluster: Cluster) -> None:
    cluster.add(*(account(key, data=bytes(key)) for key in KEYS[:250]))
    found = await cluster.client.accounts(KEYS)
    assert [one.data if isinstance(one, Account) else one for one in found] == [bytes(key) for key in KEYS[:250]] + [None] * 149
    assert [len(params[0]) for params in cluster.asked("getMultipleAccounts")] == [100, 100, 100, 99]
    assert len(cluster.requests) == 2  # the chain's identity once, then one batch
    assert await cluster.client.accounts([]) == []


async def test_a_malformed_account_loses_no_neighbour(cluster: Cluster) -> None:
    cluster.add(*(account(key) for key in KEYS[:3]))
    shown = cluster.shown

    def broken(key: str) -> Any:
        found = shown(key)
        return found | {"data": ["%%%", "base64"]} if key == str(KEYS[1]) else found

    cluster.shown = broken  # type: ignore[method-assign]
    first, second, third = await cluster.client.accounts(KEYS[:3])
    assert isinstance(first, Account)
    assert isinstance(second, errors.DecodeError)
    assert isinstance(third, Account)


async def test_one_hundred_that_fail_are_errors_in_their_places(cluster: Cluster) -> None:
    cluster.add(*(account(key) for key in KEYS))
    multiple = cluster.multiple

    def second_fails(params: list[Any]) -> Any:
        return errors.RpcError("nope", code=-32000) if str(KEYS[100]) in params[0] else multiple(params)

    cluster.methods["getMultipleAccounts"] = second_fails
    found = await cluster.client.accounts(KEYS[:250])
    kinds = [type(one) for one in found]
    assert kinds[:100] == [Account] * 100
    assert kinds[100:200] == [errors.RpcError] * 100
    assert kinds[200:] == [Account] * 50


async def test_program_accounts_with_filters(cluster: Cluster) -> None:
    cluster.methods["getProgramAccounts"] = lambda _: cluster.contextual(
        [{"pubkey": str(KEYS[0]), "account": encode_account(account(KEYS[0]))}, {"pubkey": "bad", "account": {}}]
    )
    found = await cluster.client.program_accounts(OWNER, data_size=165, memcmp=[(32, b"\x01\x02")], data_slice=(0, 8))
    assert found.slot == 100
    assert isinstance(found.items[0], Account)
    assert isinstance(found.items[1], errors.DecodeError)
    (params,) = cluster.asked("getProgramAccounts")
    assert params[1]["filters"] == [{"memcmp": {"offset": 32, "bytes": base58(b"\x01\x02")}}, {"dataSize": 165}]
    assert params[1]["dataSlice"] == {"offset": 0, "length": 8}
    assert params[1]["withContext"] is True


async def test_balances(cluster: Cluster) -> None:
    cluster.add(account(KEYS[0], lamports=1_234_567_890))
    balance = await cluster.client.balance(KEYS[0])
    assert (balance.lamports, str(balance.sol), balance.slot) == (1_234_567_890, "1.234567890", 100)
    mint = KEYS[1]
    held = TokenAccount(mint=mint, owner=OWNER, amount=1_500_000)
    cluster.add(Account(KEYS[2], TOKEN_PROGRAM, 1, encode_token_account(held), False, 100))
    cluster.add(Account(mint, TOKEN_PROGRAM, 1, encode_mint(TokenMint(supply=10**12, decimals=6)), False, 100))
    amount = await cluster.client.token_balance(KEYS[2])
    assert str(amount) == "1.500000"
    with pytest.raises(errors.NotFound):
        await cluster.client.token_balance(KEYS[3])
    del cluster.accounts[str(mint)]
    with pytest.raises(errors.NotFound, match="mint"):
        await cluster.client.token_balance(KEYS[2])


async def test_a_balance_that_no_token_program_keeps_is_none(cluster: Cluster) -> None:
    forged, held, mint = KEYS[:3]
    data = encode_token_account(TokenAccount(mint=mint, owner=OWNER, amount=1_500_000))
    minted = encode_mint(TokenMint(supply=10**12, decimals=6))
    cluster.add(
        account(forged, data),
        Account(held, TOKEN_2022_PROGRAM, 1, data, False, 100),
        Account(mint, TOKEN_2022_PROGRAM, 1, minted, False, 100),
    )
    assert str(await cluster.client.token_balance(held)) == "1.500000"
    for read in (cluster.client.token_account, cluster.client.token_balance):
        with pytest.raises(errors.DecodeError, match=f"owned by {OWNER}, not by a token program") as caught:
            await read(forged)
        assert caught.value.raw == data
    for program in (OWNER, TOKEN_PROGRAM):
        cluster.add(Account(mint, program, 1, minted, False, 100))
        with pytest.raises(errors.DecodeError, match=f"the mint {mint} is owned by {program}"):
            await cluster.client.token_balance(held)


def prepare_send(cluster: Cluster, *, spent: int = 5_000, error: Any = None) -> Pubkey:
    payer = KEYS[0]
    cluster.add(account(payer, lamports=1_000_000))
    left = encode_account(account(payer, lamports=1_000_000 - spent))
    cluster.methods["simulateTransaction"] = lambda _: cluster.contextual(
        {"err": error, "logs": ["Program log: why"], "accounts": [left], "unitsConsumed": 150}
    )
    cluster.methods["sendTransaction"] = lambda _: SIGNATURE
    return payer


async def test_a_send_is_simulated_and_goes_out_once(cluster: Cluster) -> None:
    payer = prepare_send(cluster)
    assert await cluster.client.send(RAW, payer=payer, cap_lamports=10_000) == SIGNATURE
    ((raw, config),) = cluster.asked("sendTransaction")
    assert base64.b64decode(raw) == RAW
    assert config["maxRetries"] == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"spent": 10_001}, "cap is 10000"), ({"error": {"InstructionError": [0, {"Custom": 1}]}}, "simulation fails")],
)
async def test_a_send_above_its_cap_or_that_fails_is_refused(cluster: Cluster, options: Any, reason: str) -> None:
    payer = prepare_send(cluster, **options)
    with pytest.raises(errors.SendRefused, match=reason):
        await cluster.client.send(RAW, payer=payer, cap_lamports=10_000)
    assert cluster.asked("sendTransaction") == []


async def test_a_simulation_that_leaves_out_the_fee_does_not_slip_under_the_cap(cluster: Cluster) -> None:
    payer = prepare_send(cluster, spent=0)
    with pytest.raises(errors.SendRefused, match="5000 lamports"):
        await cluster.client.send(RAW, payer=payer, cap_lamports=4_999)


async def test_a_deposit_meanwhile_hides_nothing_that_goes_out(cluster: Cluster) -> None:
    payer = prepare_send(cluster, spent=0)
    balances = iter([1_000_000, 1_500_000])
    cluster.methods["getBalance"] = lambda _: cluster.contextual(next(balances))
    with pytest.raises(errors.SendRefused, match="takes 500000 lamports"):
        await cluster.client.send(RAW, payer=payer, cap_lamports=10_000)
    assert [params[1].get("minContextSlot") for params in cluster.asked("getBalance")] == [None, 100]
    assert cluster.asked("simulateTransaction")[0][1]["minContextSlot"] == 100


async def test_the_cap_is_on_who_pays(cluster: Cluster) -> None:
    prepare_send(cluster)
    for send in (cluster.client.send, cluster.client.rebroadcast):
        with pytest.raises(errors.SendRefused, match=f"{KEYS[0]} pays the fee, the cap is on {KEYS[1]}"):
            await send(RAW, payer=KEYS[1], cap_lamports=10_000)
        with pytest.raises(errors.DecodeError):
            await send(RAW[:60], payer=KEYS[0], cap_lamports=10_000)
    assert cluster.requests == []


async def test_an_answer_that_is_not_the_signature_is_none(cluster: Cluster) -> None:
    payer = prepare_send(cluster)
    cluster.methods["sendTransaction"] = lambda _: base58(bytes([6]) * 64)
    with pytest.raises(errors.DecodeError, match=f"the transaction {SIGNATURE} was sent"):
        await cluster.client.send(RAW, payer=payer, cap_lamports=10_000)
    made = await cluster.client.rebroadcast(RAW, payer=payer, cap_lamports=10_000)
    assert (made.transaction, made.taken, made["http://node.test/"].outcome) == (SIGNATURE, False, "failed")


async def test_what_has_been_processed_may_be_told_to_all_again_and_not_sent_again(cluster: Cluster) -> None:
    payer = prepare_send(cluster, error="AlreadyProcessed")
    with pytest.raises(errors.SendRefused, match="AlreadyProcessed"):
        await cluster.client.send(RAW, payer=payer, cap_lamports=10_000)

    def known(_: Any) -> Any:
        words = "Transaction simulation failed: This transaction has already been processed"
        return errors.RpcError(words, code=-32002, data={"err": "AlreadyProcessed"})

    cluster.methods["sendTransaction"] = known
    # One node's word: what the transaction takes is not known, and its status must bear it out.
    for told, why in (
        (None, "its status it is not known"),
        (status("processed"), "its status it is not confirmed"),
        (errors.RpcError("no", code=-32099), "its status is not to be had"),
    ):
        statuses(cluster, told)
        if isinstance(told, Exception):
            cluster.methods["getSignatureStatuses"] = lambda _, told=told: told  # type: ignore[misc]
        with pytest.raises(errors.SendRefused, match=why):
            await cluster.client.rebroadcast(RAW, payer=payer, cap_lamports=10_000)
    assert cluster.asked("sendTransaction") == []
    assert [one[1] for one in cluster.asked("getSignatureStatuses")[:2]] == [
        {"searchTransactionHistory": False}, {"searchTransactionHistory": True},
    ]  # fmt: skip
    statuses(cluster, status("confirmed"))
    made = await cluster.client.rebroadcast(RAW, payer=payer, cap_lamports=10_000)
    assert [(one.endpoint, one.outcome) for one in made.endpoints] == [("http://node.test/", "known")]
    assert made.taken
    with pytest.raises(KeyError):
        made["another"]


@pytest.mark.parametrize("options", [{"spent": 10_001}, {"error": "AccountInUse"}])
async def test_a_rebroadcast_has_the_same_cap(cluster: Cluster, options: Any) -> None:
    payer = prepare_send(cluster, **options)
    with pytest.raises(errors.SendRefused):
        await cluster.client.rebroadcast(RAW, payer=payer, cap_lamports=10_000)
    assert cluster.asked("sendTransaction") == []


async def test_a_young_mint_is_looked_for_again_where_the_account_was_read(cluster: Cluster) -> None:
    """Of several endpoints the one that is asked for the mint may be behind the one that told of the account."""
    mint, held, owner = KEYS[1], KEYS[2], KEYS[3]
    cluster.add(
        Account(mint, TOKEN_PROGRAM, 1, encode_mint(TokenMint(1_000, 2)), False, 100),
        Account(held, TOKEN_PROGRAM, 1, encode_token_account(TokenAccount(mint, owner, 150)), False, 100),
    )
    answer, many = cluster.methods["getAccountInfo"], cluster.methods["getMultipleAccounts"]

    def behind(params: list[Any]) -> Any:
        young = params[0] == str(mint) and "minContextSlot" not in params[1]
        return cluster.contextual(None) if young else answer(params)

    cluster.methods["getAccountInfo"] = behind
    assert str(await cluster.client.token_balance(held)) == "1.50"
    listed = [{"pubkey": str(held), "account": encode_account(cluster.accounts[str(held)])}]
    cluster.methods["getTokenAccountsByOwner"] = lambda params: cluster.contextual(
        listed if params[1].get("programId") == str(TOKEN_PROGRAM) else []
    )
    cluster.methods["getMultipleAccounts"] = lambda params: (
        many(params) if "minContextSlot" in params[1] else cluster.contextual([None] * len(params[0]))
    )
    (found,) = await cluster.client.token_holdings(owner, min_slot=99)
    assert isinstance(found, TokenHolding)
    assert str(found.amount) == "1.50"
    assert {params[2]["minContextSlot"] for params in cluster.asked("getTokenAccountsByOwner")} == {99}
    with pytest.raises(errors.NotServed):
        await cluster.client.token_balance(held, min_slot=101)


async def test_an_answer_from_before_the_floor_is_none(cluster: Cluster) -> None:
    """Some gateways pass ``minContextSlot`` over: what they answer says as of when it is."""
    prepare_send(cluster)
    client, key = cluster.client, KEYS[0]
    for read in (
        lambda slot: client.account(key, min_slot=slot),
        lambda slot: client.account(KEYS[77], min_slot=slot),
        lambda slot: client.balance(key, min_slot=slot),
        lambda slot: client.simulate(RAW, accounts=[key], min_slot=slot),
    ):
        await read(100)
        with pytest.raises(errors.NotReached, match="no endpoint has reached slot 101: http://node.test/ is at 100") as caught:
            await read(101)
        assert caught.value.reached == (("http://node.test/", 100),)
    (found,) = await client.accounts([key], min_slot=101)
    assert isinstance(found, errors.NotReached)
    # What tells no slot is preceded by the slot of its commitment.
    cluster.methods["getSignaturesForAddress"] = lambda _: []
    assert await client.signatures_for(key, min_slot=100, commitment=Commitment.FINALIZED) == ()
    assert cluster.asked("getSlot") == [[{"commitment": "finalized"}]]
    with pytest.raises(errors.NotReached, match="is at 100"):
        await client.signatures_for(key, min_slot=101)


@pytest.mark.parametrize("told", [101, "refused"])
async def test_where_the_first_endpoint_is_behind_the_other_is_asked(told: Any) -> None:
    """The first passes ``minContextSlot`` over, or refuses by it; either way it is the other's answer that counts."""
    ahead = Cluster()
    ahead.contextual = lambda value: {"context": {"slot": 101}, "value": value}  # type: ignore[method-assign]
    ahead.methods |= {"getSlot": lambda _: 101, "getSignaturesForAddress": lambda _: []}
    behind = Cluster()
    behind.methods["getSignaturesForAddress"] = lambda _: "as of an old slot"
    for cluster in (ahead, behind):
        prepare_send(cluster)
    if told == "refused":
        words = "Minimum context slot has not been reached"
        behind.methods |= dict.fromkeys(
            ("getAccountInfo", "getMultipleAccounts", "getBalance", "simulateTransaction", "getSignaturesForAddress"),
            lambda _: errors.RpcError(words, code=-32016, data={"contextSlot": 100}),
        )
    transport = ReplyTransport(lambda request: (behind if "behind" in request.url else ahead).answer(request))
    urls = ["http://behind.test/", "http://ahead.test/"]
    policy = PoolPolicy(rounds=1, refresh=timedelta(hours=1))
    async with SolanaClient(
        urls, genesis_hash=GENESIS["devnet"], transport=transport, clock=ahead.clock, policy=policy
    ) as client:
        assert await client.account(KEYS[77], min_slot=101) is None
        assert await client.accounts([KEYS[77]], min_slot=101) == [None]
        assert (await client.balance(KEYS[77], min_slot=101)).slot == 101
        assert (await client.simulate(RAW, accounts=[KEYS[0]], min_slot=101)).slot == 101
        assert await client.signatures_for(KEYS[0], min_slot=101) == ()
        assert len(behind.requests) >= 5
        with pytest.raises(errors.NotReached) as caught:
            await client.account(KEYS[77], min_slot=102)
    assert dict(caught.value.reached) == {"http://behind.test/": 100, "http://ahead.test/": 101}


async def test_floors_reach_the_node(cluster: Cluster) -> None:
    prepare_send(cluster)
    await cluster.client.balance(KEYS[0], min_slot=42)
    await cluster.client.simulate(RAW, accounts=[KEYS[0]], min_slot=43)
    assert cluster.asked("getBalance")[0][1]["minContextSlot"] == 42
    assert cluster.asked("simulateTransaction")[0][1]["minContextSlot"] == 43


async def test_nothing_is_sent_to_a_chain_that_is_not_configured_or_is_another(cluster: Cluster) -> None:
    payer = prepare_send(cluster)
    for genesis_hash in (None, GENESIS["mainnet-beta"]):
        client = SolanaClient("http://node.test/", genesis_hash=genesis_hash, transport=cluster.transport, clock=cluster.clock)
        with pytest.raises(errors.SendRefused):
            await client.send(RAW, payer=payer, cap_lamports=10_000)
    assert cluster.asked("sendTransaction") == []


def statuses(cluster: Cluster, *rows: Any) -> None:
    """The status of the transaction at each poll; the last one stays."""
    told = list(rows)
    cluster.methods["getSignatureStatuses"] = lambda params: cluster.contextual(
        [told.pop(0) if len(told) > 1 else told[0]] * len(params[0])
    )


def status(level: str, err: Any = None) -> dict[str, Any]:
    return {"slot": 5, "confirmations": 1, "err": err, "confirmationStatus": level}


async def confirm(cluster: Cluster, **options: Any) -> Any:
    import asyncio

    work = cluster.client.confirm(SIGNATURE, **{"last_valid_block_height": 100} | options)
    task = asyncio.ensure_future(work)
    for _ in range(400):
        if task.done():
            break
        await cluster.clock.advance(timedelta(milliseconds=500))
    return task.result()


async def test_a_transaction_lands(cluster: Cluster) -> None:
    statuses(cluster, None, status("processed"), status("confirmed"))
    found = await confirm(cluster)
    assert (found.outcome, found.status.commitment) == ("landed", Commitment.CONFIRMED)
    assert len(cluster.asked("getSignatureStatuses")) == 3


async def test_a_transaction_fails(cluster: Cluster) -> None:
    statuses(cluster, status("confirmed", {"InstructionError": [0, {"Custom": 6000}]}))
    assert (await confirm(cluster)).outcome == "failed"


async def test_a_transaction_expires_by_block_height_not_by_time(cluster: Cluster) -> None:
    statuses(cluster, None)
    heights = iter([90, 99, 100, 101, 102])
    cluster.methods["getBlockHeight"] = lambda _: next(heights)
    found = await confirm(cluster)
    assert (found.outcome, found.block_height) == ("expired", 101)


async def test_a_node_that_has_not_seen_it_yet_does_not_make_it_expire(cluster: Cluster) -> None:
    cluster.methods["getBlockHeight"] = lambda _: 5_000
    cluster.methods["getSlot"] = lambda _: 100
    slots = iter([90, 90, 95, 95, 100, 100])
    cluster.methods["getSignatureStatuses"] = lambda _: {"context": {"slot": next(slots)}, "value": [None]}
    assert (await confirm(cluster)).outcome == "expired"
    assert next(slots, None) is None
    statuses(cluster, status("finalized"))
    cluster.methods["getBlockHeight"] = lambda _: errors.RpcError("internal error", code=-32603)
    with pytest.raises(errors.DeadlineExceeded, match="internal error"):
        await confirm(cluster, timeout=timedelta(seconds=20))


async def test_a_node_without_an_archive_tells_an_expiry_that_it_remembers_and_no_other(cluster: Cluster) -> None:
    def recent(params: list[Any]) -> Any:
        if params[1]["searchTransactionHistory"]:
            return errors.RpcError("Transaction history is not available from this node", code=-32011)
        return cluster.contextual([None])

    cluster.methods["getSignatureStatuses"] = recent
    cluster.methods["getBlockHeight"] = lambda _: 200
    assert (await confirm(cluster)).outcome == "expired"
    cluster.methods["getBlockHeight"] = lambda _: 201
    with pytest.raises(errors.DeadlineExceeded, match="history is not available"):
        await confirm(cluster, timeout=timedelta(seconds=20))


async def test_what_landed_long_ago_is_found_in_the_archive(cluster: Cluster) -> None:
    cluster.methods["getBlockHeight"] = lambda _: 5_000
    cluster.methods["getSignatureStatuses"] = lambda params: cluster.contextual(
        [status("finalized") if params[1]["searchTransactionHistory"] else None]
    )
    assert (await confirm(cluster)).outcome == "landed"


async def test_a_chain_that_stands_still_is_a_deadline(cluster: Cluster) -> None:
    statuses(cluster, None)
    with pytest.raises(errors.DeadlineExceeded, match="neither final nor expired"):
        await confirm(cluster, timeout=timedelta(seconds=20))


async def test_signatures(cluster: Cluster) -> None:
    cluster.methods["getSignaturesForAddress"] = lambda _: [
        {"signature": SIGNATURE, "slot": 5, "err": None, "memo": None, "blockTime": 1, "confirmationStatus": "finalized"},
        {"slot": 4},
    ]
    first, second = await cluster.client.signatures_for(KEYS[0], limit=10, before="b", until="u")
    assert not isinstance(first, errors.DecodeError)
    assert first.signature == SIGNATURE
    assert isinstance(second, errors.DecodeError)
    (params,) = cluster.asked("getSignaturesForAddress")
    assert params[1] == {"limit": 10, "commitment": "confirmed", "before": "b", "until": "u"}


async def test_signatures_page_by_page(cluster: Cluster) -> None:
    rows = [{"signature": base58(bytes([number + 1]) * 64), "slot": 90 - number, "err": None} for number in range(7)]

    def page(params: list[Any]) -> Any:
        names = [row["signature"] for row in rows]
        first = names.index(params[1]["before"]) + 1 if "before" in params[1] else 0
        last = names.index(params[1]["until"]) if "until" in params[1] else len(rows)
        return rows[first : min(last, first + params[1]["limit"])]

    cluster.methods["getSignaturesForAddress"] = page
    pages = [rows async for rows in cluster.client.signature_pages(KEYS[0], page=3)]
    assert [len(rows) for rows in pages] == [3, 3, 1]
    until = str(rows[5]["signature"])
    assert [len(rows) async for rows in cluster.client.signature_pages(KEYS[0], page=3, until=until)] == [3, 2]
    assert [len(rows) async for rows in cluster.client.signature_pages(KEYS[0], page=7)] == [7]


@pytest.mark.parametrize("again", [[{"signature": SIGNATURE, "slot": 5, "err": None}] * 2, [{"slot": 4}, {"slot": 3}]])
async def test_pages_that_lead_nowhere_end_in_an_error(cluster: Cluster, again: Any) -> None:
    cluster.methods["getSignaturesForAddress"] = lambda _: again
    seen: list[Any] = []

    async def walk() -> None:
        async for rows in cluster.client.signature_pages(KEYS[0], page=2):
            seen.append(rows)

    with pytest.raises(errors.DecodeError):
        await walk()
    assert len(seen) == 1


async def test_holdings_each_for_itself(cluster: Cluster) -> None:
    wallet, mint, gone, alien, odd = KEYS[:5]
    cluster.add(
        Account(mint, TOKEN_PROGRAM, 1, encode_mint(TokenMint(9, 2)), False, 100),
        Account(odd, TOKEN_2022_PROGRAM, 1, encode_mint(TokenMint(9, 2)), False, 100),
        Account(alien, TOKEN_PROGRAM, 1, b"no mint", False, 100),
    )
    held = [
        Account(KEYS[10 + number], TOKEN_PROGRAM, 1, encode_token_account(TokenAccount(key, wallet, 5)), False, 100)
        for number, key in enumerate((mint, gone, alien, odd))
    ]
    held.append(Account(KEYS[20], OWNER, 1, held[0].data, False, 100))
    held.append(Account(KEYS[21], TOKEN_PROGRAM, 1, b"short", False, 100))

    def listed(params: list[Any]) -> Any:
        ours = params[1].get("programId") != str(TOKEN_2022_PROGRAM)
        rows = [{"pubkey": str(one.key), "account": encode_account(one)} for one in held] if ours else []
        return cluster.contextual(rows)

    cluster.methods["getTokenAccountsByOwner"] = listed
    found = await cluster.client.token_holdings(wallet)
    assert [type(one) for one in found] == [
        TokenHolding,
        errors.NotFound,
        errors.DecodeError,
        errors.DecodeError,
        errors.DecodeError,
        errors.DecodeError,
    ]
    assert isinstance(found[0], TokenHolding)
    assert (str(found[0].amount), found[0].program, found[0].slot) == ("0.05", TOKEN_PROGRAM, 100)
    # The chain's identity, both lists, the mints, and once more the one that is not there.
    assert len(cluster.requests) == 4
    assert [params[1] for params in cluster.asked("getTokenAccountsByOwner")] == [
        {"programId": str(TOKEN_PROGRAM)},
        {"programId": str(TOKEN_2022_PROGRAM)},
    ]
    await cluster.client.token_holdings(wallet, mint=mint)
    assert cluster.asked("getTokenAccountsByOwner")[-1][1] == {"mint": str(mint)}

    def half(params: list[Any]) -> Any:
        if params[1].get("programId") == str(TOKEN_2022_PROGRAM):
            return errors.RpcError("unrecognized Token program id", code=-32602)
        return listed(params)

    cluster.methods["getTokenAccountsByOwner"] = half
    with pytest.raises(errors.RpcError):
        await cluster.client.token_holdings(wallet)


async def test_statuses_of_a_part_that_does_not_read_lose_no_other(cluster: Cluster) -> None:
    cluster.methods["getSignatureStatuses"] = lambda params: (
        7 if len(params[0]) < 256 else cluster.contextual([status("finalized")] * len(params[0]))
    )
    found = await cluster.client.statuses([SIGNATURE] * 300)
    assert [isinstance(one, errors.DecodeError) for one in found] == [False] * 256 + [True] * 44


@pytest.mark.parametrize("junk", [None, 7, "x", [], {}, {"context": {"slot": -1}, "value": None}, {"value": []}])
async def test_answers_that_are_none(cluster: Cluster, junk: Any) -> None:
    for method in ("getAccountInfo", "getBalance", "getProgramAccounts", "getLatestBlockhash"):
        cluster.methods[method] = lambda _: junk
    for call in (
        cluster.client.account(KEYS[0]),
        cluster.client.balance(KEYS[0]),
        cluster.client.program_accounts(OWNER),
        cluster.client.blockhash(),
    ):
        with pytest.raises(errors.DecodeError):
            await call
    cluster.methods["getMultipleAccounts"] = lambda _: junk
    assert all(isinstance(one, errors.DecodeError) for one in await cluster.client.accounts(KEYS[:2]))


async def test_without_a_genesis_hash_the_first_answer_binds(cluster: Cluster) -> None:
    client = SolanaClient("http://node.test/", transport=cluster.transport, clock=cluster.clock)
    assert await client.slot() == 100
    assert client.pool.identity is None
    cluster.methods["getGenesisHash"] = lambda _: GENESIS["testnet"]
    standings = await client.standings()
    assert "serves chain 4uhc" in next(iter(standings.values())).reason


async def test_the_logs_of_many_transactions_each_for_itself() -> None:
    cluster = Cluster()
    good = {"slot": 9, "blockTime": None, "meta": {"err": None, "logMessages": ["Program log: hello"]}}
    answers = {"a": good, "b": None, "c": {"slot": 9, "meta": {"err": None, "logMessages": None}}}
    cluster.methods["getTransaction"] = lambda params: answers[params[0]]
    one, unknown, broken = await cluster.client.transaction_logs(["a", "b", "c"])
    assert isinstance(one, TransactionLogs)
    assert one.logs == ("Program log: hello",)
    assert unknown is None
    assert isinstance(broken, errors.DecodeError)
    assert cluster.asked("getTransaction")[0][1] == {
        "encoding": "base64", "commitment": "confirmed", "maxSupportedTransactionVersion": 0,
    }  # fmt: skip
