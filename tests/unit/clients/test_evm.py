"""The EVM client over nodes that answer from a table."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from probekit import errors
from probekit.clients.evm import EvmClient
from probekit.clients.pyth_evm import PythEvmClient
from probekit.codecs.evm.contract import ContractCall, PreparedCall
from probekit.codecs.keccak import keccak256
from probekit.model.evm import Address
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.rpc import PoolPolicy
from tests.unit.codecs.test_evm_rpc import BLOCK, HASH, KEY, LOG, RECEIPT, TO

FEED = "11" * 32
RAW = {"nonce": 0, "gas": 21_000, "to": TO, "value": 77, "maxFeePerGas": 30, "maxPriorityFeePerGas": 2, "type": 2}


class Chain:
    """One node: methods that answer from functions of their parameters, or raise an ``RpcError``."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.methods: dict[str, Callable[[list[Any]], Any]] = {
            "eth_chainId": lambda _: "0x5",
            "eth_blockNumber": lambda _: "0x10",
            "eth_getBlockByNumber": lambda _: BLOCK,
            "eth_getBalance": lambda _: "0xde0b6b3a7640000",
            "eth_getCode": lambda _: "0x",
        }
        self.seen: list[tuple[str, list[Any]]] = []
        self.transport = ReplyTransport(self.answer)
        self.client = EvmClient(
            "http://node.test/",
            chain_id=5,
            transport=self.transport,
            clock=self.clock,
            policy=PoolPolicy(rounds=1),
        )

    def answer(self, request: Request) -> Response:
        asked = json.loads(request.body or b"")
        body = [self.item(one) for one in asked] if isinstance(asked, list) else self.item(asked)
        return reply(200, json.dumps(body), clock=self.clock)

    def item(self, item: dict[str, Any]) -> dict[str, Any]:
        self.seen.append((item["method"], item["params"]))
        head = {"jsonrpc": "2.0", "id": item["id"]}
        try:
            return head | {"result": self.methods[item["method"]](item["params"])}
        except errors.RpcError as error:
            return head | {"error": {"code": error.code, "message": error.message, "data": error.data}}

    def asked(self, method: str) -> list[list[Any]]:
        return [params for name, params in self.seen if name == method]

    async def run(self, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        for _ in range(600):
            if task.done():
                break
            await self.clock.advance(timedelta(milliseconds=500))
        return task.result()


@pytest.fixture
def chain() -> Chain:
    return Chain()


async def test_the_chain(chain: Chain) -> None:
    assert await chain.client.block_number() == 16
    assert (await chain.client.block()).hash == HASH
    assert (await chain.client.block(16)).number == 16
    assert chain.asked("eth_getBlockByNumber") == [["latest", False], ["0x10", False]]
    with pytest.raises(errors.DecodeError, match="block 16 in answer to 7"):
        await chain.client.block(7)
    chain.methods["eth_getBlockByNumber"] = lambda _: None
    with pytest.raises(errors.NotFound):
        await chain.client.block("safe")
    with pytest.raises(ValueError, match="no block"):
        await chain.client.block(-1)


async def test_the_pending_block_is_none_that_can_be_read(chain: Chain) -> None:
    chain.methods["eth_getBlockByNumber"] = lambda _: {**BLOCK, "hash": None}
    with pytest.raises(ValueError, match="pending block has no hash"):
        await chain.client.block("pending")
    with pytest.raises(ValueError, match="pending block has no hash"):
        await chain.client.token_balances([(TO, TO)], "pending")
    assert chain.seen == []


async def test_many_blocks_are_one_request(chain: Chain) -> None:
    def block(params: list[Any]) -> Any:
        if params[0] == "0x9":
            raise errors.RpcError("pruned history unavailable", code=4444)
        return {"0x7": {**BLOCK, "number": "0x7"}, "0x8": None, "0xa": {"number": "0x1"}}[params[0]]

    chain.methods["eth_getBlockByNumber"] = block
    await chain.client.block(7)
    before = len(chain.transport.requests)
    found, *others = await chain.client.blocks([7, 8, 9, 10])
    assert len(chain.transport.requests) == before + 1
    assert found == await chain.client.block(7)
    assert [type(one) for one in others] == [errors.NotFound, errors.NotServed, errors.DecodeError]
    assert await chain.client.blocks([]) == []
    with pytest.raises(ValueError, match="no block has the number -1"):
        await chain.client.blocks([-1])


async def test_a_simulation_has_its_value_its_gas_and_somebody_who_pays(chain: Chain) -> None:
    call = ContractCall("seven", b"\xaa", lambda answer: answer)
    prepared = PreparedCall(Address(TO), call, 5)
    chain.methods["eth_call"] = lambda _: "0x07"
    assert await chain.client.simulate(prepared, gas=50_000) == b"\x07"
    assert chain.asked("eth_call") == [[{"to": TO, "data": "0xaa", "value": "0x5", "gas": "0xc350"}, "latest"]]

    def poor(params: list[Any]) -> Any:
        if len(params) < 3:
            raise errors.RpcError("insufficient funds for transfer", code=-32000)
        assert int(params[2][params[0]["from"]]["balance"], 16) > 10**18
        return "0x08"

    chain.methods["eth_call"] = poor
    assert await chain.client.simulate(prepared) == b"\x08"
    with pytest.raises(errors.RpcError, match="insufficient funds"):
        await chain.client.simulate(prepared, sender=TO)


async def test_accounts(chain: Chain) -> None:
    assert await chain.client.balance(TO.lower(), "finalized") == 10**18
    assert chain.asked("eth_getBalance") == [[TO, "finalized"]]
    chain.methods["eth_getStorageAt"] = lambda _: "0x07"
    assert await chain.client.storage(TO, 3) == bytes(31) + b"\x07"
    chain.methods["eth_getTransactionCount"] = lambda _: "0x9"
    assert await chain.client.nonce(TO) == 9
    with pytest.raises(ValueError, match="checksum"):
        await chain.client.balance(TO.replace("F", "f", 1))


async def test_a_call_and_its_ways_to_fail(chain: Chain) -> None:
    chain.methods["eth_call"] = lambda _: "0x0102"
    assert await chain.client.call(TO, b"\xaa", value=1, sender=TO) == b"\x01\x02"
    assert chain.asked("eth_call") == [[{"to": TO, "data": "0xaa", "value": "0x1", "from": TO}, "latest"]]

    def revert(_: list[Any]) -> Any:
        raise errors.RpcError("execution reverted", code=3, data="0x19abf40e")

    chain.methods["eth_call"] = revert
    with pytest.raises(errors.Reverted) as caught:
        await chain.client.call(TO, b"")
    assert caught.value.revert_data.hex() == "19abf40e"
    chain.methods["eth_call"] = lambda _: "0x"
    with pytest.raises(errors.NotFound, match="no contract"):
        await chain.client.call(TO, b"")
    chain.methods["eth_getCode"] = lambda _: "0x60"
    assert await chain.client.call(TO, b"") == b""


async def test_an_event_of_a_block_that_was_not_asked_for_is_its_own_error(chain: Chain) -> None:
    chain.methods["eth_getLogs"] = lambda _: [{**LOG, "blockNumber": hex(number)} for number in (9, 10, 12, 13)]
    found = await chain.client.logs(from_block=10, to_block=12)
    assert [type(one).__name__ for one in found] == ["DecodeError", "Log", "Log", "DecodeError"]


async def test_the_receipt_of_another_transaction_is_none(chain: Chain) -> None:
    chain.methods["eth_getTransactionReceipt"] = lambda _: RECEIPT
    own = str(RECEIPT["transactionHash"])
    assert (await chain.client.receipt(own.upper().replace("0X", "0x"))) is not None
    with pytest.raises(errors.DecodeError, match="the receipt of"):
        await chain.client.receipt("0x" + "77" * 32)


async def test_a_range_of_logs_is_halved_until_the_provider_takes_it(chain: Chain) -> None:
    def logs(params: list[Any]) -> Any:
        first, last = (int(params[0][end], 16) for end in ("fromBlock", "toBlock"))
        if last - first + 1 > 30:
            raise errors.RpcError("query returned more than 10000 results", code=-32005)
        return [{**LOG, "blockNumber": hex(number)} for number in range(first, last + 1)]

    chain.methods |= {"eth_getLogs": logs, "eth_blockNumber": lambda _: hex(199)}
    found = await chain.client.logs(from_block=100, to_block=199, address=TO, topics=[b"\xab" * 32, None, [b"\x01" * 32]])
    assert [log.block_number for log in found if not isinstance(log, errors.DecodeError)] == list(range(100, 200))
    query = chain.asked("eth_getLogs")[-1][0]
    assert query["topics"] == [HASH, None, ["0x" + "01" * 32]]

    def never(_: list[Any]) -> Any:
        raise errors.RpcError("query returned more than 10000 results", code=-32005)

    chain.methods["eth_getLogs"] = never
    with pytest.raises(errors.RangeTooLarge):
        await chain.client.logs(from_block=1, to_block=8)


async def test_a_range_of_logs_is_halved_until_the_answer_is_not_too_large_for_us(chain: Chain) -> None:
    class Bounded(ReplyTransport):
        async def send(self, request: Request) -> Response:
            response = await super().send(request)
            if len(response.body) > 20_000:
                raise errors.BodyTooLarge("too large", limit_bytes=20_000)
            return response

    chain.methods["eth_blockNumber"] = lambda _: hex(399)
    chain.methods["eth_getLogs"] = lambda params: [
        {**LOG, "blockNumber": hex(number)}
        for number in range(int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16) + 1)
    ]
    bounded = Bounded(chain.answer)
    async with EvmClient("http://node.test/", chain_id=5, transport=bounded, clock=chain.clock) as client:
        found = await client.logs(from_block=100, to_block=399)
        # Too large was the answer, and not the batch with the look at the head before it: batches are taken as before.
        before = len(bounded.requests)
        await client.blocks([16, 16, 16])
        assert len(bounded.requests) == before + 1
    assert [log.block_number for log in found if not isinstance(log, errors.DecodeError)] == list(range(100, 400))
    assert len(chain.asked("eth_getLogs")) > 3


async def test_a_list_of_logs_that_ends_at_a_round_thousand_is_taken_for_a_part(chain: Chain) -> None:
    def logs(params: list[Any]) -> Any:
        first, last = (int(params[0][end], 16) for end in ("fromBlock", "toBlock"))
        # The provider ends the list after 1,000, and says nothing.
        every = [number for number in range(first, last + 1) for _ in range(1_200 if number == 120 else 30)]
        return [{**LOG, "blockNumber": hex(number), "logIndex": hex(at)} for at, number in enumerate(every[:1_000])]

    chain.methods |= {"eth_getLogs": logs, "eth_blockNumber": lambda _: hex(121)}
    found = await chain.client.logs(from_block=50, to_block=119)
    assert len(found) == 70 * 30
    assert not any(isinstance(one, errors.DecodeError) for one in found)
    # Of one block there is nothing to halve.
    found = await chain.client.logs(from_block=118, to_block=121)
    assert [type(one) for one in found].count(errors.DecodeError) == 1
    assert len(found) == 3 * 30 + 1_000 + 1
    (told,) = [one for one in found if isinstance(one, errors.DecodeError)]
    assert told.message == "exactly 1000 events of block 120: there may be more"


WRITTEN_AT_100: list[Callable[[EvmClient], Any]] = [
    lambda evm: evm.logs(from_block=90, to_block=100),
    lambda evm: evm.block(100),
    lambda evm: evm.blocks([99, 100]),
    lambda evm: evm.balance(TO, 100),
    lambda evm: evm.balance(TO, min_block=100),
    lambda evm: evm.nonce(TO, min_block=100),
    lambda evm: evm.code(TO, 100),
    lambda evm: evm.storage(TO, 0, 100),
    lambda evm: evm.call(TO, b"", 100),
    lambda evm: evm.call(TO, b"", 90, min_block=100),
    lambda evm: evm.read(TO, ContractCall("f", b"", bytes), min_block=100),
    lambda evm: evm.block(min_block=100),
    lambda evm: evm.simulate(PreparedCall(Address(TO), ContractCall("f", b"", bytes), 0), min_block=100),
    lambda evm: evm.multicall([(TO, ContractCall("f", b"", bytes))], min_block=100),
    lambda evm: evm.token_balances([(TO, TO)], min_block=100),
    lambda evm: evm.balances([(TO, None)], min_block=100),
    *(
        lambda evm, name=name: getattr(PythEvmClient(evm, TO), name)(FEED, min_block=100)
        for name in ("price", "ema_price", "feed")
    ),
    *(
        lambda evm, name=name: getattr(PythEvmClient(evm, TO), name)(FEED, timedelta(1), min_block=100)
        for name in ("price_no_older_than", "ema_price_no_older_than")
    ),
    *(
        lambda evm, name=name: getattr(PythEvmClient(evm, TO), name)([FEED], min_block=100)
        for name in ("prices", "feeds", "publish_times_s")
    ),
    lambda evm: PythEvmClient(evm, TO).state(min_block=100),
    lambda evm: PythEvmClient(evm, TO).simulate_update([b""], fee_wei=0, min_block=100),
]


@pytest.mark.parametrize("read", WRITTEN_AT_100)
async def test_who_has_not_reached_a_block_is_not_asked_for_it_first(read: Callable[[EvmClient], Any]) -> None:
    head = {"behind": 98, "ahead": 100}  # Within the lag that is allowed: both are alive.
    asked: list[str] = []
    chain = Chain()
    log = {**LOG, "blockNumber": "0x64"}
    chain.methods |= {
        "eth_getLogs": lambda _: [log],
        "eth_syncing": lambda _: False,
        "eth_call": lambda _: "0x01",
        "eth_getTransactionCount": lambda _: "0x1",
        "eth_getStorageAt": lambda _: "0x01",
    }

    def answer(request: Request) -> Response:
        name = request.url.removeprefix("http://").partition(".")[0]
        items = json.loads(request.body or b"")
        named = [one["method"] for one in (items if isinstance(items, list) else [items])]
        asked.extend(name for method in named if method not in ("eth_chainId", "eth_blockNumber", "eth_syncing"))
        chain.methods["eth_blockNumber"] = lambda _: hex(head[name])
        chain.methods["eth_getBlockByNumber"] = lambda _: {**BLOCK, "number": hex(head[name])}
        return chain.answer(request)

    urls = [f"http://{name}.test/" for name in head]
    async with EvmClient(urls, chain_id=5, transport=ReplyTransport(answer), clock=chain.clock) as client:
        await client.standings()
        await client.block()
        assert asked == ["behind"]  # Of equals the first.
        with contextlib.suppress(errors.DecodeError, errors.NotFound):  # What the table answers is of no contract.
            await read(client)
    assert set(asked[1:]) == {"ahead"}


@pytest.mark.parametrize("read", WRITTEN_AT_100)
async def test_an_answer_from_before_the_floor_is_not_taken(read: Callable[[EvmClient], Any]) -> None:
    """A balancer: the node that was looked at has the block, the one behind it that answers has not."""
    chain, head = Chain(), {"balanced": 100, "other": 100}
    answered: list[str] = []

    def answer(request: Request) -> Response:
        name = request.url.removeprefix("http://").partition(".")[0]

        def of_before(params: list[Any]) -> Any:
            if "0x5a" in params:
                return "0x01"  # Of a block that both have.
            if head[name] < 100:
                # A node refuses what it does not have; of what it has, it answers as of its own newest block.
                pinned = any(one == "0x64" or (isinstance(one, dict) and "blockHash" in one) for one in params)
                raise errors.RpcError("header not found" if pinned else "as of an old block", code=-32000 if pinned else -32099)
            answered.append(name)
            return "0x01"

        def block(params: list[Any]) -> Any:
            return None if params[0] == "0x64" and head[name] < 100 else {**BLOCK, "number": hex(head[name])}

        chain.methods |= dict.fromkeys(("eth_call", "eth_getTransactionCount", "eth_getStorageAt", "eth_getCode"), of_before)
        chain.methods |= {
            "eth_getBalance": of_before,
            "eth_getLogs": lambda params: of_before(params) and [{**LOG, "blockNumber": "0x64"}],
            "eth_getBlockByNumber": block,
            "eth_blockNumber": lambda _: hex(head[name]),
            "eth_syncing": lambda _: False,
        }
        return chain.answer(request)

    urls = [f"http://{name}.test/" for name in head]
    async with EvmClient(urls, chain_id=5, transport=ReplyTransport(answer), clock=chain.clock) as client:
        await client.standings()
        head["balanced"] = 98
        with contextlib.suppress(errors.DecodeError, errors.NotFound):  # What the table answers is of no contract.
            await chain.run(read(client))
    assert set(answered) <= {"other"}


async def test_where_no_endpoint_has_the_block_that_was_written_each_says_where_it_is(chain: Chain) -> None:
    newest = chain.client
    chain.methods |= {"eth_getTransactionCount": lambda _: "0x1", "eth_getLogs": lambda _: []}
    number = (await newest.block()).number
    for read in (
        lambda: newest.block(min_block=number + 1),
        lambda: newest.block("finalized", min_block=number + 1),
        lambda: newest.balance(TO, min_block=number + 1),
        lambda: newest.balance(TO, "finalized", min_block=number + 1),
        lambda: newest.nonce(TO, min_block=number + 1),
        lambda: newest.logs(from_block=1, to_block=number + 1),
        lambda: newest.multicall([(TO, ContractCall("f", b"", bytes))], min_block=number + 1),
        lambda: newest.balances([(TO, None)], min_block=number + 1),
        lambda: PythEvmClient(newest, TO).prices([FEED], min_block=number + 1),
    ):
        with pytest.raises(
            errors.NotReached, match=f"has reached block {number + 1}: http://node.test/ is at {number}"
        ) as found:
            await read()
        assert (found.value.floor, found.value.reached) == (number + 1, (("http://node.test/", number),))
    assert (await newest.block(min_block=number)).number == number
    with pytest.raises(errors.NotFound, match="is before"):
        await newest.block(number, min_block=number + 1)


async def test_how_far_an_endpoint_is_is_asked_in_the_same_request_and_before(chain: Chain) -> None:
    await chain.client.block_number()
    before = len(chain.transport.requests)
    chain.methods["eth_getTransactionCount"] = lambda _: "0x1"
    await chain.client.nonce(TO, min_block=16)
    await chain.client.balance(TO, "safe", min_block=16)
    await chain.client.balance(TO, 16)
    assert len(chain.transport.requests) == before + 3
    assert [name for name, _ in chain.seen[2:]] == [
        "eth_blockNumber", "eth_getTransactionCount", "eth_getBlockByNumber", "eth_getBalance", "eth_getBalance",
    ]  # fmt: skip
    chain.methods["eth_blockNumber"] = lambda _: "garbage"
    with pytest.raises(errors.DecodeError, match="tells no block"):
        await chain.client.nonce(TO, min_block=16)
    del chain.methods["eth_blockNumber"]


def signed(**changes: Any) -> bytes:
    return bytes(Account.sign_transaction(RAW | {"chainId": 5} | changes, KEY).raw_transaction)


async def test_a_send_within_its_cap_goes_out_once(chain: Chain) -> None:
    raw = signed()
    own = "0x" + keccak256(raw).hex()
    chain.methods["eth_sendRawTransaction"] = lambda _: own
    assert await chain.client.send(raw, cap_wei=21_000 * 30 + 77) == own
    assert chain.asked("eth_sendRawTransaction") == [["0x" + raw.hex()]]


@pytest.mark.parametrize("answer", [HASH, "ok", None, {"hash": HASH}])
async def test_an_answer_that_is_not_the_hash_of_what_was_sent_is_none(chain: Chain, answer: Any) -> None:
    chain.methods["eth_sendRawTransaction"] = lambda _: answer
    with pytest.raises(errors.DecodeError):
        await chain.client.send(signed(), cap_wei=10**9)
    made = await chain.client.rebroadcast(signed(), cap_wei=10**9)
    assert (made.taken, made.endpoints[0].outcome) == (False, "failed")
    assert isinstance(made.endpoints[0].error, errors.DecodeError)


@pytest.mark.parametrize(
    ("raw", "cap", "reason"),
    [
        (signed(), 21_000 * 30 + 76, "cap is 630076"),
        (signed(chainId=1), 10**9, "chain 1"),
    ],
)
async def test_a_send_above_its_cap_or_of_another_chain_is_refused(chain: Chain, raw: bytes, cap: int, reason: str) -> None:
    for send in (chain.client.send, chain.client.rebroadcast):
        with pytest.raises(errors.SendRefused, match=reason):
            await send(raw, cap_wei=cap)
        with pytest.raises(errors.DecodeError):
            await send(b"\x7f", cap_wei=10**18)
    assert chain.seen == []


async def test_waiting_counts_confirmations(chain: Chain) -> None:
    heads = iter([16, 17, 18, 19])
    chain.methods["eth_getTransactionReceipt"] = lambda _: RECEIPT
    chain.methods["eth_blockNumber"] = lambda _: hex(next(heads))
    landing = await chain.run(chain.client.wait(HASH, confirmations=3))
    assert (landing.confirmations, landing.reorganised, landing.receipt.succeeded) == (3, 0, True)


async def test_a_block_that_leaves_the_chain_is_noticed(chain: Chain) -> None:
    other = "0x" + "ef" * 32
    told = [RECEIPT, None, {**RECEIPT, "blockHash": other}]
    chain.methods["eth_getTransactionReceipt"] = lambda _: told.pop(0) if len(told) > 1 else told[0]
    heads = iter([16, 17, 18, 19, 20])
    chain.methods["eth_blockNumber"] = lambda _: hex(next(heads))
    chain.methods["eth_getBlockByNumber"] = lambda _: {**BLOCK, "hash": other}
    landing = await chain.run(chain.client.wait(HASH, confirmations=2))
    assert (landing.reorganised, landing.receipt.block_hash) == (1, other)


async def test_a_receipt_of_a_block_that_is_not_the_chains_is_not_enough(chain: Chain) -> None:
    chain.methods["eth_getTransactionReceipt"] = lambda _: RECEIPT
    chain.methods["eth_getBlockByNumber"] = lambda _: {**BLOCK, "hash": "0x" + "ef" * 32}
    with pytest.raises(errors.DeadlineExceeded):
        await chain.run(chain.client.wait(HASH, timeout=timedelta(seconds=30)))


async def test_a_wait_outlasts_endpoints_that_fail_or_are_behind(chain: Chain) -> None:
    told: list[Any] = [
        errors.RpcInternal("no", code=-32603),
        errors.NotServed("no", code=-32001),
        errors.RpcRateLimited("slowly", code=429),
        RECEIPT,
    ]

    def receipt(_: list[Any]) -> Any:
        found = told.pop(0) if len(told) > 1 else told[0]
        if isinstance(found, errors.RpcError):
            raise found
        return found

    blocks = [None, BLOCK]  # The endpoint that answers for the block is one behind, once.
    chain.methods["eth_getTransactionReceipt"] = receipt
    chain.methods["eth_getBlockByNumber"] = lambda _: blocks.pop(0) if len(blocks) > 1 else blocks[0]
    landing = await chain.run(chain.client.wait(HASH))
    assert (landing.confirmations, landing.reorganised) == (1, 0)


async def test_a_wait_ends_at_once_with_what_asking_again_does_not_mend(chain: Chain) -> None:
    chain.methods["eth_getTransactionReceipt"] = lambda _: {"status": "maybe"}
    with pytest.raises(errors.DecodeError):
        await asyncio.wait_for(chain.client.wait(HASH), 5)
    chain.methods["eth_chainId"] = lambda _: "0x6"
    async with EvmClient("http://node.test/", chain_id=5, transport=chain.transport, clock=chain.clock) as other:
        with pytest.raises(errors.WrongChain):
            await chain.run(other.wait(HASH))


async def test_a_wait_ends_in_time_when_nothing_answers(chain: Chain) -> None:
    class Hanging(ReplyTransport):
        async def send(self, request: Request) -> Response:
            await asyncio.Event().wait()
            raise AssertionError

    transport = Hanging(chain.answer)
    began_ns = chain.clock.monotonic_ns()
    async with EvmClient("http://node.test/", chain_id=5, transport=transport, clock=chain.clock) as client:
        with pytest.raises(errors.DeadlineExceeded, match="in time: no answer in time"):
            await chain.run(client.wait(HASH, timeout=timedelta(seconds=3)))
    # `run` turns the clock by half seconds.
    assert chain.clock.monotonic_ns() - began_ns <= 4 * 10**9


async def test_a_pool_of_another_chain_is_refused(chain: Chain) -> None:
    with pytest.raises(ValueError, match="is of chain 5"):
        EvmClient(chain_id=6, pool=chain.client.pool)


async def test_web3_on_the_same_pool(chain: Chain) -> None:
    assert await chain.client.w3.eth.get_balance(to_checksum_address(TO)) == 10**18
    assert chain.client.w3 is chain.client.w3
    assert len(chain.asked("eth_chainId")) == 1
