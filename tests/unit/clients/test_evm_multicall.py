"""Many reads at one block: how many requests they take, and that one never costs another its answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit import errors
from probekit.codecs.evm.contract import ContractCall, Function
from probekit.model.evm import Address
from tests.unit.clients.contracts import HEAD, MULTICALL3, TIME_S, TOKEN, Burn, Contract, EvmNode, Refused, Revert

PLACE = Address("0x" + "07" * 20)
SQUARE = Function("square(uint256)", "uint256")


def square(number: int) -> ContractCall[int]:
    return SQUARE.one(number)


class Numbers(Contract):
    """Squares; what else it does stands under the number."""

    def __init__(self) -> None:
        super().__init__()
        self.moods: dict[int, BaseException] = {}
        self.has("square(uint256)", ["uint256"], self._square)

    def _square(self, _: Any, number: int) -> list[int]:
        if number in self.moods:
            raise self.moods[number]
        return [number * number]


def node(**options: Any) -> tuple[EvmNode, Numbers]:
    made, numbers = EvmNode(**options), Numbers()
    made.contracts[PLACE.lower()] = numbers
    return made, numbers


async def test_a_thousand_reads_are_three_calls_and_one_proof_of_the_chain() -> None:
    chain, _ = node()
    await chain.client.block_number()
    chain.seen.clear()
    chain.requests = 0
    reads = await chain.client.multicall([(PLACE, square(number)) for number in range(1_000)])
    assert reads.values() == tuple(number * number for number in range(1_000))
    assert (reads.block.number, reads.block.hash, reads.block.timestamp) == (HEAD, chain.block_hash(HEAD), TIME_S)
    assert (reads.route, reads.pinned) == ("multicall3", "hash")
    assert [method for method, _ in chain.seen] == ["eth_getBlockByNumber", "eth_call", "eth_call"]
    assert chain.requests == 3
    assert {str(params[1]) for params in chain.asked("eth_call")} == {str({"blockHash": chain.block_hash(HEAD)})}
    # At a block that is known already there is nothing to ask but the reads.
    chain.seen.clear()
    assert (await chain.client.multicall([(PLACE, square(3))], reads.block)).values() == (9,)
    assert [method for method, _ in chain.seen] == ["eth_call"]


async def test_a_read_is_one_call_and_no_other() -> None:
    chain, numbers = node()
    await chain.client.block_number()
    chain.seen.clear()
    for _ in range(3):
        assert await chain.client.read(PLACE, square(5)) == 25
    assert [method for method, _ in chain.seen] == ["eth_call"] * 3
    numbers.moods[6] = Revert("StalePrice")
    with pytest.raises(errors.Reverted, match=f"square on {PLACE}: StalePrice") as caught:
        await chain.client.read(PLACE, square(6))
    assert caught.value.code == 3
    assert caught.value.data == "0x19abf40e"
    with pytest.raises(errors.NotFound, match="no contract"):
        await chain.client.read("0x" + "09" * 20, square(6))


async def test_one_that_reverts_leaves_the_others() -> None:
    chain, numbers = node()
    numbers.moods = {1: Revert("PriceFeedNotFound"), 3: Revert()}
    nobody = "0x" + "09" * 20
    reads = await chain.client.multicall([(PLACE, square(0)), *((PLACE, square(n)) for n in (1, 2, 3)), (nobody, square(4))])
    zero, known, four, silent, empty = reads.results
    assert (zero, four) == (0, 4)
    assert isinstance(known, errors.Reverted)
    assert known.revert_data.hex() == "14aebe68"
    assert isinstance(silent, errors.Reverted)
    assert silent.revert_data == b""
    assert isinstance(empty, errors.DecodeError)
    assert "no contract" in empty.message
    with pytest.raises(errors.Reverted, match="PriceFeedNotFound"):
        reads.values()


async def test_one_that_burns_all_gas_does_not_starve_those_behind_it() -> None:
    chain, numbers = node()
    numbers.moods = {2: Burn(), 5: Burn()}
    reads = await chain.client.multicall([(PLACE, square(number)) for number in range(9)])
    assert [isinstance(found, errors.Reverted) for found in reads.results] == [number in (2, 5) for number in range(9)]
    assert [found for found in reads.results if isinstance(found, int)] == [0, 1, 9, 16, 36, 49, 64]


async def test_too_many_for_the_nodes_gas_are_halved() -> None:
    chain, numbers = node()
    chain.max_call = 70
    numbers.moods = {123: Revert("StalePrice")}
    reads = await chain.client.multicall([(PLACE, square(number)) for number in range(200)])
    assert reads.route == "multicall3"
    assert [number for number, found in enumerate(reads.results) if found != number * number] == [123]


@pytest.mark.parametrize(
    "refusal", [Refused(-32000, "response size exceeded, too large"), Refused(-32005, "limited to 100")], ids=["size", "limit"]
)
async def test_too_many_for_the_nodes_answer_are_halved(refusal: Refused) -> None:
    chain, _ = node()

    def fault(method: str, params: list[Any]) -> Any:
        if method == "eth_call" and len(params[0]["data"]) > 30_000:
            raise refusal

    chain.fault = fault
    reads = await chain.client.multicall([(PLACE, square(number)) for number in range(300)])
    assert reads.values() == tuple(number * number for number in range(300))


async def test_without_multicall3_the_reads_go_in_batches() -> None:
    chain, numbers = node(max_batch=40)
    del chain.contracts[MULTICALL3]
    numbers.moods = {7: Revert("StalePrice")}
    rows = [(PLACE, square(number)) for number in range(100)]
    reads = await chain.client.multicall(rows)
    assert reads.route == "batch"
    assert [number for number, found in enumerate(reads.results) if found != number * number] == [7]
    refused = reads.results[7]
    assert isinstance(refused, errors.Reverted)
    assert refused.message.startswith("square: StalePrice: ")
    assert len(chain.asked("eth_call")) == 101
    # Asked once, known from then on.
    chain.seen.clear()
    chain.requests = 0
    await chain.client.multicall(rows)
    assert (len(chain.asked("eth_call")), chain.requests) == (100, 4)


async def test_a_past_block_without_multicall3_says_nothing_of_today() -> None:
    chain, _ = node()
    gone = chain.contracts.pop(MULTICALL3)
    assert (await chain.client.multicall([(PLACE, square(2))], 5)).route == "batch"
    chain.contracts[MULTICALL3] = gone
    assert (await chain.client.multicall([(PLACE, square(2))])).route == "multicall3"


async def test_a_chain_known_to_have_none_or_to_have_it_elsewhere() -> None:
    chain, _ = node(multicall3=None)
    assert (await chain.client.multicall([(PLACE, square(2))])).route == "batch"
    assert len(chain.asked("eth_call")) == 1
    elsewhere = "0x" + "0e" * 20
    chain, _ = node(multicall3=elsewhere)
    chain.contracts[elsewhere] = chain.contracts.pop(MULTICALL3)
    assert (await chain.client.multicall([(PLACE, square(2))])).route == "multicall3"


async def test_a_node_that_takes_no_hash_is_asked_by_number() -> None:
    chain, _ = node()
    chain.takes_hash = False
    reads = await chain.client.multicall([(PLACE, square(3))])
    assert (reads.values(), reads.pinned) == ((9,), "number")
    assert [params[1] for params in chain.asked("eth_call")] == [{"blockHash": chain.block_hash(HEAD)}, hex(HEAD)]
    chain.seen.clear()
    assert (await chain.client.multicall([(PLACE, square(3))])).pinned == "number"
    assert [params[1] for params in chain.asked("eth_call")] == [hex(HEAD)]


async def test_a_node_that_does_not_know_the_hash_yet_may_take_it_the_next_time() -> None:
    chain, _ = node()
    told = [Refused(-32000, "header for hash not found")]

    def fault(method: str, _: list[Any]) -> Any:
        if method == "eth_call" and told:
            raise told.pop()

    chain.fault = fault
    assert (await chain.client.multicall([(PLACE, square(3))])).pinned == "number"
    assert (await chain.client.multicall([(PLACE, square(3))])).pinned == "hash"


async def test_a_node_that_refuses_a_read_however_its_block_is_named_is_asked_by_hash_the_next_time() -> None:
    """As anvil does, for whom a body above its limit is an invalid request."""
    chain, _ = node()

    def fault(method: str, params: list[Any]) -> Any:
        if method == "eth_call" and len(params[0]["data"]) > 4_000:
            raise Refused(-32600, "Invalid request")

    chain.fault = fault
    big = ContractCall("big", b"b" * 3_000, bytes)
    reads = await chain.client.multicall([(PLACE, big)])
    assert isinstance(reads.results[0], errors.RpcError)
    assert reads.pinned == "hash"
    assert (await chain.client.multicall([(PLACE, square(3))])).pinned == "hash"


async def test_what_answers_in_its_place_does_not_spoil_the_reads() -> None:
    """Another contract at Multicall3's address: each is asked by itself."""
    chain, _ = node()
    chain.contracts[MULTICALL3].has("aggregate3((address,bool,bytes)[])", ["uint256"], lambda *_: [5])
    reads = await chain.client.multicall([(PLACE, square(2)), (PLACE, square(3))])
    assert reads.values() == (4, 9)


async def test_an_endpoint_that_fails_is_each_reads_error_and_the_blocks() -> None:
    chain, _ = node()
    block = await chain.client.block()

    def fault(method: str, _: list[Any]) -> Any:
        raise Refused(-32603, "internal error")

    chain.fault = fault
    reads = await chain.client.multicall([(PLACE, square(2)), (PLACE, square(3))], block)
    assert [type(found) for found in reads.results] == [errors.RpcInternal] * 2
    with pytest.raises(errors.RpcInternal):
        await chain.client.multicall([(PLACE, square(2))])


async def test_a_request_too_large_for_the_server_is_halved() -> None:
    chain, _ = node()
    chain.max_body = 40_000
    rows = [(PLACE, square(number)) for number in range(300)]
    assert (await chain.client.multicall(rows)).values() == tuple(number * number for number in range(300))
    block = await chain.client.block()
    chain.max_body = 100
    reads = await chain.client.multicall(rows[:2], block)
    assert [getattr(found, "status", None) for found in reads.results] == [413, 413]


@pytest.mark.parametrize("through", [True, False])
async def test_an_answer_that_is_no_hex_is_a_decode_error(through: bool) -> None:
    chain, _ = node(multicall3=MULTICALL3 if through else None)
    chain.fault = lambda method, _: "0xzz" if method == "eth_call" else None
    reads = await chain.client.multicall([(PLACE, square(2)), (PLACE, square(3))])
    assert [type(found) for found in reads.results] == [errors.DecodeError] * 2


async def test_nothing_to_read() -> None:
    chain, _ = node()
    rows: list[tuple[str, ContractCall[int]]] = []
    reads = await chain.client.multicall(rows)
    assert (reads.values(), reads.route, chain.asked("eth_call")) == ((), "batch", [])


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["fine", "says why", "silent", "burns", "damaged"]), max_size=25), st.booleans())
async def test_every_read_has_its_own_outcome_on_either_route(kinds: list[str], through: bool) -> None:
    chain, numbers = node(multicall3=MULTICALL3 if through else None)
    moods = {"says why": Revert("StalePrice"), "silent": Revert(), "burns": Burn()}
    numbers.moods = {at: moods[kind] for at, kind in enumerate(kinds) if kind in moods}
    numbers.has("damaged()", ["uint8"], lambda _: [5])
    damaged: ContractCall[Any] = Function("damaged()", "bytes32[]").one()
    rows = [(PLACE, damaged if kind == "damaged" else square(at)) for at, kind in enumerate(kinds)]
    reads = await chain.client.multicall(rows)
    for at, (kind, found) in enumerate(zip(kinds, reads.results, strict=True)):
        if kind == "fine":
            assert found == at * at
        elif kind == "damaged":
            assert isinstance(found, errors.DecodeError)
        else:
            assert isinstance(found, errors.Reverted)
            assert bool(found.revert_data) == (kind == "says why")


# -- tokens --------------------------------------------------------------------------------------------------------------------


def token(*, symbol: str = "USDC") -> Contract:
    made = Contract()
    made.has("balanceOf(address)", ["uint256"], lambda _, owner: [int(owner, 16) % 1000])
    made.has("symbol()", ["string"], lambda _: [symbol])
    made.has("name()", ["string"], lambda _: ["USD Coin"])
    made.has("decimals()", ["uint8"], lambda _: [6])
    made.has("totalSupply()", ["uint256"], lambda _: [10**15])
    return made


async def test_token_balances() -> None:
    chain, _ = node()
    chain.contracts[TOKEN] = token()
    owners = ["0x" + bytes(18).hex() + f"{number:04x}" for number in (7, 300)]
    assert await chain.client.token_balance(TOKEN, owners[0]) == 7
    reads = await chain.client.token_balances([(TOKEN, owners[1]), (PLACE, owners[0]), (TOKEN, owners[0])])
    assert (reads.results[0], reads.results[2]) == (300, 7)
    assert isinstance(reads.results[1], errors.Reverted)
    with pytest.raises(errors.NotFound):
        await chain.client.token_balance("0x" + "09" * 20, owners[0])


async def test_a_token_describes_itself() -> None:
    chain, _ = node()
    chain.contracts[TOKEN] = token()
    found = await chain.client.token(TOKEN)
    assert (found.symbol, found.name, found.decimals, found.total_supply) == ("USDC", "USD Coin", 6, 10**15)
    assert str(found.amount(1_500_000)) == "1.500000"
    for signature in ("name()", "decimals()"):
        chain.contracts[TOKEN].lacks(signature)
    found = await chain.client.token(TOKEN)
    assert (found.symbol, found.name, found.decimals) == ("USDC", None, None)
    with pytest.raises(errors.NotFound, match="no token"):
        await chain.client.token(PLACE)


async def test_a_token_behind_a_failing_endpoint_is_not_missing() -> None:
    chain, _ = node()
    block = await chain.client.block()

    def fault(*_: Any) -> Any:
        raise Refused(-32603, "internal error")

    chain.fault = fault
    with pytest.raises(errors.RpcInternal):
        await chain.client.token(TOKEN, block)
