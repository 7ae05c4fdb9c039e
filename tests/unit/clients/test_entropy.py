"""Entropy's contract: providers, fees, requests, what became of one and why; contracts of V2 and before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from probekit import errors
from probekit.clients.entropy import EntropyClient
from probekit.clients.evm import EvmClient
from probekit.codecs.evm import entropy as codec
from probekit.codecs.evm import entropy_events as events
from probekit.codecs.evm.contract import Event
from probekit.codecs.evm.reverts import encode_revert, revert_of
from probekit.model.entropy import (
    CallbackStatus,
    CauseKind,
    Contributions,
    EntropyRequest,
    ProviderInfo,
    RequestState,
    StuckLimit,
)
from probekit.model.entropy_events import Counted, EntropyRequested, EntropyRevealed, ProviderFeeSet
from probekit.model.evm import Address
from probekit.model.pyth_evm import Absence, EntropyError
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.rpc import Endpoint, PoolPolicy
from tests.unit.clients.contracts import HEAD, MULTICALL3, Burn, Contract, EvmNode, Refused, Revert
from tests.unit.codecs.evm.test_entropy import SECRET, USER, info, request

ENTROPY = "0x" + "0e" * 20
PROVIDER = Address("0x" + "11" * 20)
CONSUMER = Address("0x" + "22" * 20)
BOTH = Contributions(USER, SECRET)
NUMBER = codec.random_number(USER, SECRET)
LIMIT = StuckLimit(age=timedelta(seconds=30))


class Entropy(Contract):
    """The contract, of V2 or before, with one provider; it takes the revelation of :data:`SECRET` under enough gas."""

    def __init__(self, *, version: int = 2) -> None:
        super().__init__()
        self.provider: ProviderInfo = info(sequence=100, uri=b"https://fortuna.test/v1/chains/base")
        self.held: dict[int, EntropyRequest] = {}
        self.needs_gas = 0
        self.has("getDefaultProvider()", ["address"], lambda _: [PROVIDER])
        self.has("getPythFee()", ["uint128"], lambda _: [7])
        self.has("getAccruedPythFees()", ["uint128"], lambda _: [70])
        self.has("version()", ["string"], lambda _: ["2.0.0" if version == 2 else "1.0.0"])
        for name in ("getAdmin()", "proposedAdmin()", "owner()"):
            self.has(name, ["address"], lambda _: ["0x" + "0d" * 20])
        self.has("getFee(address)", ["uint128"], lambda _, provider: [self._fee(0)])
        self.has("getProviderInfo(address)", [codec.PROVIDER_V1], lambda _, one: [self._info(one)[:12]])
        self.has("getRequest(address,uint64)", [codec.REQUEST_V1], lambda _, one, sequence: [self._request(sequence, 1)])
        self.has("revealWithCallback(address,uint64,bytes32,bytes32)", [], self._reveal)
        if version == 1:
            return
        self.has("getProviderInfoV2(address)", [codec.PROVIDER_V2], lambda _, one: [self._info(one)])
        self.has("getRequestV2(address,uint64)", [codec.REQUEST_V2], lambda _, one, sequence: [self._request(sequence, 2)])
        self.has("getFeeV2()", ["uint128"], lambda _: [self._fee(0)])
        self.has("getFeeV2(uint32)", ["uint128"], lambda _, gas: [self._fee(gas)])
        self.has("getFeeV2(address,uint32)", ["uint128"], lambda _, provider, gas: [self._fee(gas)])
        self.has("requestV2()", ["uint64"], lambda tx: self._ask(tx, 0))
        self.has("requestV2(uint32)", ["uint64"], self._ask)
        self.has("requestV2(address,uint32)", ["uint64"], lambda tx, provider, gas: self._ask(tx, gas))
        self.has("requestV2(address,bytes32,uint32)", ["uint64"], lambda tx, provider, user, gas: self._ask(tx, gas))

    def _fee(self, gas: int) -> int:
        return self.provider.fee_of(gas) + 7

    def _info(self, provider: str) -> tuple[Any, ...]:
        blank = info(**dict.fromkeys(("sequence", "fee_wei", "end_sequence"), 0))
        return codec.raw_provider(self.provider if Address(provider) == PROVIDER else blank)

    def _request(self, sequence: int, version: int) -> tuple[Any, ...]:
        held = self.held.get(sequence)
        if held is None:
            held = request(
                sequence=0, provider="0x" + "00" * 20, callback_status=CallbackStatus.NOT_NEEDED, num_hashes=0, gas_limit=0
            )
        raw = codec.raw_request(held)
        return raw if version == 2 else (*raw[:7], bool(raw[7]))

    def _ask(self, tx: dict[str, Any], gas: int) -> list[int]:
        if self.provider.remaining == 0:
            raise Revert("OutOfRandomness")
        if self.provider.hash_margin == 0:
            raise Revert("LastRevealedTooOld")
        if tx["value"] < self._fee(gas):
            raise Revert("InsufficientFee")
        return [self.provider.sequence]

    def _reveal(self, tx: dict[str, Any], provider: str, sequence: int, user: bytes, revelation: bytes) -> list[Any]:
        held = self.held.get(sequence)
        if held is None:
            raise Revert("NoSuchRequest")
        if not codec.revelation_fits(held, user, revelation):
            raise Revert("IncorrectRevelation")
        gas = int(tx.get("gas", "0xffffffff"), 16)
        if gas < self.needs_gas // 2:
            raise Burn
        if gas < self.needs_gas:
            raise Revert("InsufficientGas")
        return []


class Chain:
    """A node with an Entropy contract and a consumer of it, and the client."""

    def __init__(self, version: int = 2, *, chain_id: int = 5, address: str = ENTROPY) -> None:
        self.node = EvmNode(chain_id=chain_id)
        self.address = address
        self.contract = Entropy(version=version)
        self.consumer = Contract()
        self.counted: Callable[[int], int] = lambda number: number
        self.node.contracts |= {address: self.contract, CONSUMER.lower(): self.consumer}
        self.node.contracts[MULTICALL3].has("getBlockNumber()", ["uint256"], lambda tx: [self.counted(tx["number"])])
        self.consumer.has("_entropyCallback(uint64,address,bytes32)", [], self._called)
        self.refusal: Exception | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.entropy = EntropyClient(self.node.client, address)

    def _called(self, tx: dict[str, Any], *arguments: Any) -> list[Any]:
        self.calls.append((tx.get("from"), int(tx["gas"], 16) if "gas" in tx else None, *arguments))
        if self.refusal is not None:
            raise self.refusal
        return []

    def hold(self, **changes: Any) -> EntropyRequest:
        held = request(**({"block_number": HEAD - 40, "requester": CONSUMER} | changes))
        self.contract.held[held.sequence] = held
        return held

    def log(self, event: Event, values: tuple[object, ...], *, number: int, transaction: int = 1) -> None:
        topics, data = event.encode(*values)
        self.node.logs.append(
            {
                "address": self.address,
                "topics": ["0x" + topic.hex() for topic in topics],
                "data": "0x" + data.hex(),
                "blockNumber": hex(number),
                "blockHash": self.node.block_hash(number),
                "transactionHash": "0x" + bytes([transaction]).hex() * 32,
                "logIndex": hex(len(self.node.logs)),
            }
        )

    def methods(self) -> list[str]:
        return [method for method, _ in self.node.seen if method != "eth_chainId"]


@pytest.fixture
def chain() -> Chain:
    return Chain()


# -- configuration -------------------------------------------------------------------------------------------------------------


async def test_the_state_of_the_contract(chain: Chain) -> None:
    state = await chain.entropy.state()
    assert (state.version, state.default_provider, state.pyth_fee_wei, state.accrued_pyth_fees_wei) == (
        "2.0.0",
        PROVIDER,
        7,
        70,
    )
    assert state.admin == state.owner == state.proposed_admin == Address("0x" + "0d" * 20)
    assert (state.block.number, state.unanswered) == (HEAD, ())
    assert chain.methods() == ["eth_getBlockByNumber", "eth_call"]
    chain.contract.lacks("proposedAdmin()")
    state = await chain.entropy.state()
    assert [(one.name, one.absence) for one in state.unanswered] == [("proposed_admin", Absence.MISSING)]
    assert await chain.entropy.default_provider() == PROVIDER


async def test_where_no_entropy_stands(chain: Chain) -> None:
    elsewhere = EntropyClient(chain.node.client, "0x" + "99" * 20)
    with pytest.raises(errors.NotFound, match="no Entropy contract"):
        await elsewhere.state()
    with pytest.raises(errors.NotFound, match="no Entropy contract"):
        await elsewhere.status(7, limit=LIMIT, provider=PROVIDER)
    with pytest.raises(errors.NotFound):
        await elsewhere.provider(PROVIDER)


@pytest.mark.parametrize("version", [1, 2])
async def test_providers(version: int) -> None:
    chain = Chain(version)
    found = await chain.entropy.provider()
    assert found == (chain.contract.provider if version == 2 else info(default_gas_limit=None))
    assert (found.remaining, found.hash_margin) == (900, 491)
    assert await chain.entropy.provider(PROVIDER) == found
    assert not (await chain.entropy.provider(CONSUMER)).registered


async def test_fees(chain: Chain) -> None:
    assert await chain.entropy.fee() == 1_007
    assert await chain.entropy.fee(gas_limit=250_000) == 2_507 == chain.contract.provider.fee_of(250_000) + 7
    assert await chain.entropy.fee(gas_limit=250_000, provider=PROVIDER) == 2_507
    old = Chain(version=1)
    assert await old.entropy.fee() == await old.entropy.fee(provider=PROVIDER) == 1_007
    with pytest.raises(errors.Reverted):
        await old.entropy.fee(gas_limit=250_000)


def test_the_contract_of_a_chain() -> None:
    base = EntropyClient.known(EvmClient("http://node.test/", chain_id=8453, transport=ReplyTransport(lambda _: reply())))
    assert base.address == "0x6E7D74FA7d5c90FEF9F0512987605a6d546181Bb"
    assert base.deployed is not None
    with pytest.raises(LookupError, match="0 Entropy contracts are known on chain 1"):
        EntropyClient.known(EvmClient("http://node.test/", chain_id=1, transport=ReplyTransport(lambda _: reply())))


# -- requests ------------------------------------------------------------------------------------------------------------------


async def test_a_request(chain: Chain) -> None:
    held = chain.hold()
    assert await chain.entropy.request(7) == held
    assert await chain.entropy.request(8, provider=PROVIDER) is None
    old = Chain(version=1)
    old.hold()
    found = await old.entropy.request(7)
    assert found is not None
    assert (found.gas_limit, found.callback_status) == (None, CallbackStatus.NOT_STARTED)


@pytest.mark.parametrize(
    ("changes", "limit", "state"),
    [
        ({}, StuckLimit(age=timedelta(seconds=40), blocks=40), RequestState.PENDING),
        ({}, StuckLimit(age=timedelta(seconds=39)), RequestState.STUCK),
        ({}, StuckLimit(blocks=39), RequestState.STUCK),
        ({"callback_status": CallbackStatus.FAILED}, LIMIT, RequestState.CALLBACK_FAILED),
        ({"callback_status": CallbackStatus.IN_PROGRESS}, LIMIT, RequestState.CALLBACK_IN_PROGRESS),
        ({"callback_status": CallbackStatus.NOT_NEEDED}, LIMIT, RequestState.AWAITS_REQUESTER),
    ],
)
async def test_what_became_of_a_request(chain: Chain, changes: dict[str, Any], limit: StuckLimit, state: RequestState) -> None:
    held = chain.hold(**changes)
    found = await chain.entropy.status(7, limit=limit, provider=PROVIDER)
    assert (found.state, found.age_blocks, found.age_s, found.made_in_block) == (state, 40, 40, HEAD - 40)
    assert (found.request, found.info, found.block.number) == (held, chain.contract.provider, HEAD)
    assert chain.methods() == ["eth_getBlockByNumber", "eth_call", "eth_getBlockByNumber"]


async def test_many_requests_at_one_block_in_few_requests(chain: Chain) -> None:
    for sequence in range(1, 61):
        chain.hold(sequence=sequence, block_number=HEAD - sequence)
    chain.contract.held[5] = request(sequence=6)  # as a node that lies would have it
    sequences = [*range(1, 61), 99, 100]
    found = await chain.entropy.statuses(sequences, limit=StuckLimit(blocks=30), provider=PROVIDER)
    assert chain.methods().count("eth_call") == 1
    assert chain.node.requests == 4, "the chain's id, the block, the reads, and the blocks of the requests"
    assert isinstance(found[4], errors.DecodeError)
    good = [one for one in found if not isinstance(one, errors.ProbekitError)]
    assert [one.sequence for one in good] == [sequence for sequence in sequences if sequence != 5]
    assert {one.state for one in good[:29]} == {RequestState.PENDING}
    assert {one.state for one in good[29:59]} == {RequestState.STUCK}
    assert [one.state for one in good[59:]] == [RequestState.FULFILLED, RequestState.NEVER_MADE]
    assert [one.age_s for one in good[:3]] == [1, 2, 3]
    assert {one.block.hash for one in good} == {chain.node.block_hash(HEAD)}
    assert await chain.entropy.statuses([], limit=LIMIT) == ()


async def test_a_block_that_the_node_no_longer_has_is_that_requests_error(chain: Chain) -> None:
    chain.hold(sequence=7, block_number=3)
    chain.hold(sequence=8)

    def fault(method: str, params: list[Any]) -> None:
        if method == "eth_getBlockByNumber" and params[0] == "0x3":
            raise Refused(-32000, "pruned history unavailable")

    chain.node.fault = fault
    pruned, other = await chain.entropy.statuses([7, 8], limit=LIMIT)
    assert isinstance(pruned, errors.NotServed)
    assert not isinstance(other, errors.ProbekitError)
    assert other.state is RequestState.STUCK
    with pytest.raises(errors.NotServed):
        await chain.entropy.status(7, limit=LIMIT)


async def test_requests_that_are_not_held(chain: Chain) -> None:
    for sequence, state in ((99, RequestState.FULFILLED), (100, RequestState.NEVER_MADE)):
        found = await chain.entropy.status(sequence, limit=LIMIT)
        assert (found.state, found.request, found.age_s, found.age_blocks) == (state, None, None, None)
    nobody = await chain.entropy.status(3, limit=LIMIT, provider=CONSUMER)
    assert (nobody.state, nobody.info.registered) == (RequestState.NEVER_MADE, False)


async def test_a_request_of_a_contract_before_v2() -> None:
    old = Chain(version=1)
    old.hold()
    found = await old.entropy.status(7, limit=LIMIT)
    assert found.state is RequestState.STUCK
    assert found.request is not None
    assert (found.request.gas_limit, found.info.default_gas_limit) == (None, None)


async def test_a_chain_without_multicall3(chain: Chain) -> None:
    del chain.node.contracts[MULTICALL3]
    chain.hold()
    found = await chain.entropy.status(7, limit=LIMIT)
    assert (found.state, found.age_blocks, found.age_s) == (RequestState.STUCK, 40, 40)


async def test_a_chain_whose_contracts_count_the_parents_blocks(chain: Chain) -> None:
    chain.counted = lambda number: 5_000_000 + number // 10
    chain.hold(block_number=5_000_000 + HEAD // 10 - 4)
    found = await chain.entropy.status(7, limit=StuckLimit(blocks=3))
    assert (found.state, found.age_blocks, found.age_s, found.made_in_block) == (RequestState.STUCK, 4, None, None)
    with pytest.raises(ValueError, match="counts other blocks than its contracts"):
        await chain.entropy.status(7, limit=LIMIT)
    found = await chain.entropy.status(7, limit=LIMIT, made_in_block=HEAD - 37)
    assert (found.state, found.age_blocks, found.age_s, found.made_in_block) == (RequestState.STUCK, 4, 37, HEAD - 37)


# -- why -----------------------------------------------------------------------------------------------------------------------


async def test_the_event_of_a_failed_callback_tells_why(chain: Chain) -> None:
    chain.hold(callback_status=CallbackStatus.FAILED)
    status = await chain.entropy.status(7, limit=LIMIT)
    assert (await chain.entropy.cause(status)).kind is CauseKind.UNTOLD
    head = (PROVIDER, CONSUMER, 7)
    panic = encode_revert("Panic", code=0x11)
    chain.log(events.REVEALED_V2, ((PROVIDER), CONSUMER, 8, NUMBER, USER, SECRET, True, b"other", 5, b""), number=HEAD - 4)
    chain.log(events.CALLBACK_FAILED_V1, (*head, USER, SECRET, NUMBER, panic), number=HEAD - 3)
    chain.log(events.REVEALED_V2, (*head, NUMBER, USER, SECRET, True, panic, 40_000, b""), number=HEAD - 3)
    cause = await chain.entropy.cause(status)
    assert (cause.kind, cause.gas_used, cause.gas_limit) == (CauseKind.REVERTED, 40_000, 100_000)
    assert cause.revert is not None
    assert cause.revert.panic_code == 0x11
    assert "arithmetic overflow" in cause.text
    assert cause.log is not None
    assert cause.log.block_number == HEAD - 3


@pytest.mark.parametrize(
    ("returned", "gas_used", "kind", "text"),
    [
        (b"", 100_000, CauseKind.OUT_OF_GAS, "ran out of gas (100000 gas used of 100000)"),
        (b"", 99_999, CauseKind.SILENT, "a bare revert, or out of gas"),
        (b"\x12\x34\x56\x78", 100_400, CauseKind.REVERTED, "and all its gas was used"),
    ],
)
async def test_out_of_gas_is_told_from_a_revert(
    chain: Chain, returned: bytes, gas_used: int, kind: CauseKind, text: str
) -> None:
    chain.hold(callback_status=CallbackStatus.FAILED)
    row = (PROVIDER, CONSUMER, 7, NUMBER, USER, SECRET, True, returned, gas_used, b"")
    chain.log(events.REVEALED_V2, row, number=HEAD - 3)
    cause = await chain.entropy.cause(await chain.entropy.status(7, limit=LIMIT), from_block=HEAD - 10)
    assert cause.kind is kind
    assert text in cause.text


async def test_a_failed_callback_is_tried_again_where_no_event_is_found(chain: Chain) -> None:
    held = chain.hold(callback_status=CallbackStatus.FAILED)
    status = await chain.entropy.status(7, limit=LIMIT)
    assert (await chain.entropy.cause(status, contributions=BOTH)).kind is CauseKind.CALLBACK_RECOVERED
    data = codec.entropy_callback(7, PROVIDER, NUMBER).data
    # As the contract calls it: from its address, with exactly the gas of the request once the transaction's own is paid.
    assert chain.calls == [(Address(ENTROPY), codec.call_gas(data, 100_000), 7, PROVIDER.lower(), NUMBER)]
    for refusal, kind in (
        (Burn(), CauseKind.OUT_OF_GAS),
        (Refused(-32603, "EVM error MemoryOOG"), CauseKind.OUT_OF_GAS),
        (Revert("NotMyNumber"), CauseKind.REVERTED),
        (Revert(), CauseKind.SILENT),
    ):
        chain.refusal = refusal
        assert (await chain.entropy.try_callback(held, BOTH)).kind is kind
    del chain.node.contracts[CONSUMER.lower()]
    assert (await chain.entropy.try_callback(held, BOTH)).kind is CauseKind.CALLBACK_RECOVERED


def test_the_gas_of_a_transaction() -> None:
    assert codec.call_gas(b"", 5) == 21_005
    assert codec.call_gas(b"\0\0\x01", 100) == 21_100 + 4 + 4 + 16


async def test_why_a_stuck_request_is_not_revealed(chain: Chain) -> None:
    held = chain.hold()
    status = await chain.entropy.status(7, limit=LIMIT)
    assert status.state is RequestState.STUCK
    assert (await chain.entropy.cause(status)).kind is CauseKind.UNTOLD
    assert (await chain.entropy.cause(status, contributions=BOTH)).kind is CauseKind.NOT_SENT
    asked = len(chain.node.seen)
    wrong = await chain.entropy.cause(status, contributions=Contributions(USER, b"x" * 32))
    assert wrong.kind is CauseKind.WRONG_REVELATION
    assert len(chain.node.seen) == asked, "told without asking"
    chain.contract.needs_gas = 200_000
    cause = await chain.entropy.cause(status, contributions=BOTH, gas=150_000)
    assert (cause.kind, cause.gas_limit) == (CauseKind.INSUFFICIENT_GAS, held.gas_limit)
    assert cause.revert is not None
    assert cause.revert.entropy_error is EntropyError.INSUFFICIENT_GAS
    assert (await chain.entropy.cause(status, contributions=BOTH, gas=90_000)).text == "the reveal itself runs out of gas"
    assert (await chain.entropy.cause(status, contributions=BOTH, gas=200_000)).kind is CauseKind.NOT_SENT
    # Fulfilled meanwhile: what the contract says of it is passed on.
    chain.contract.held.clear()
    cause = await chain.entropy.try_reveal(held, BOTH)
    assert cause.kind is CauseKind.REFUSED
    assert "NoSuchRequest" in cause.text


async def test_without_the_flow_for_failed_callbacks_the_reveal_reverts_as_the_callback_does(chain: Chain) -> None:
    chain.hold(gas_limit=0)
    status = await chain.entropy.status(7, limit=LIMIT)

    def reveal(*_: Any) -> list[Any]:
        raise Revert(encode_revert("Error", message="sold out"))

    chain.contract.has("revealWithCallback(address,uint64,bytes32,bytes32)", [], reveal)
    cause = await chain.entropy.cause(status, contributions=BOTH)
    assert cause.kind is CauseKind.REVERTED
    assert cause.revert is not None
    assert cause.revert.message == "sold out"


async def test_nothing_to_explain(chain: Chain) -> None:
    with pytest.raises(ValueError, match="request 99 is fulfilled: there is nothing to explain"):
        await chain.entropy.cause(await chain.entropy.status(99, limit=LIMIT))


# -- requests, without sending -------------------------------------------------------------------------------------------------


async def test_building_and_trying_a_request(chain: Chain) -> None:
    prepared = await chain.entropy.build_request(gas_limit=250_000)
    assert (prepared.to, prepared.value_wei, prepared.call.name) == (Address(ENTROPY), 2_507, "requestV2")
    assert prepared.transaction()["data"] == "0x" + codec.request_v2(250_000).data.hex()
    assert await chain.entropy.simulate_request() == 100
    assert await chain.entropy.simulate_request(provider=PROVIDER, user_contribution=USER) == 100
    chain.node.rich = False
    assert await chain.entropy.simulate_request() == 100, "somebody is made up who can pay"
    for changes, error in (
        ({"end_sequence": 100}, EntropyError.OUT_OF_RANDOMNESS),
        ({"max_num_hashes": 9}, EntropyError.LAST_REVEALED_TOO_OLD),
    ):
        chain.contract.provider = info(**changes)
        with pytest.raises(errors.Reverted) as caught:
            await chain.entropy.simulate_request()
        found = revert_of(caught.value)
        assert found is not None
        assert found.entropy_error is error
    with pytest.raises(errors.Reverted, match="InsufficientFee"):
        chain.contract.provider = info()
        await chain.entropy.simulate_request(fee_wei=5)


# -- events --------------------------------------------------------------------------------------------------------------------


def tell(chain: Chain, sequence: int, *, number: int, versions: tuple[int, ...] = (1, 2)) -> None:
    head = (PROVIDER, CONSUMER, sequence)
    raw = codec.raw_request(request(sequence=sequence, gas_limit=None))
    if 1 in versions:
        chain.log(events.REQUESTED_WITH_CALLBACK_V1, (*head, USER, raw), number=number, transaction=sequence)
        chain.log(events.REVEALED_WITH_CALLBACK_V1, (raw, USER, SECRET, NUMBER), number=number + 1, transaction=sequence + 100)
    if 2 in versions:
        chain.log(events.REQUESTED_V2, (*head, USER, 100_000, b""), number=number, transaction=sequence)
        row = (*head, NUMBER, USER, SECRET, False, b"", 60_000, b"")
        chain.log(events.REVEALED_V2, row, number=number + 1, transaction=sequence + 100)


async def test_each_request_and_revelation_once(chain: Chain) -> None:
    tell(chain, 1, number=50)
    tell(chain, 2, number=52, versions=(1,))
    tell(chain, 3, number=54, versions=(2,))
    chain.log(events.FEE_UPDATED_V2, (PROVIDER, 1, 2, b""), number=60)
    chain.log(events.REQUESTED_V2, (CONSUMER, PROVIDER, 9, USER, 1, b""), number=61, transaction=9)
    found = await chain.entropy.requests(from_block=0, to_block=HEAD)
    assert [one.event.sequence for one in found if isinstance(one, Counted)] == [1, 2, 3, 9]
    found = await chain.entropy.requests(from_block=0, to_block=HEAD, provider=PROVIDER.lower())
    counted = [one for one in found if isinstance(one, Counted)]
    assert all(isinstance(one.event, EntropyRequested) for one in counted)
    assert [(one.event.sequence, one.event.gas_limit, len(one.logs)) for one in counted] == [
        (1, 100_000, 2),
        (2, None, 1),
        (3, 100_000, 1),
    ]
    revealed = await chain.entropy.revelations(from_block=0, to_block=HEAD, provider=PROVIDER)
    assert [one.event.random_number for one in revealed if isinstance(one, Counted)] == [NUMBER] * 3
    everything = await chain.entropy.events(from_block=0, to_block=HEAD)
    kinds = [type(one.event) for one in everything if isinstance(one, Counted)]
    assert kinds == [EntropyRequested, EntropyRevealed] * 3 + [ProviderFeeSet, EntropyRequested]
    assert await chain.entropy.requests(from_block=90, to_block=HEAD) == []


async def test_one_malformed_log_costs_no_other(chain: Chain) -> None:
    tell(chain, 1, number=50, versions=(2,))
    tell(chain, 2, number=51, versions=(2,))
    chain.node.logs[0]["data"] = "0x1234"
    chain.node.logs[2]["topics"] = "none"
    chain.node.fault = lambda method, _: chain.node.logs if method == "eth_getLogs" else None
    found = await chain.entropy.events(from_block=0, to_block=HEAD)
    assert [type(one).__name__ for one in found] == ["DecodeError", "Counted", "DecodeError", "Counted"]
    assert len(await chain.entropy.requests(from_block=0, to_block=HEAD, provider=PROVIDER)) == 2


# -- the contract suite: what every reading method does when the node fails ----------------------------------------------------

METHODS = {
    "state": lambda entropy: entropy.state(),
    "default_provider": lambda entropy: entropy.default_provider(),
    "provider": lambda entropy: entropy.provider(PROVIDER),
    "fee": lambda entropy: entropy.fee(),
    "request": lambda entropy: entropy.request(7, provider=PROVIDER),
    "status": lambda entropy: entropy.status(7, limit=LIMIT, provider=PROVIDER),
    "statuses": lambda entropy: entropy.statuses([7, 8], limit=LIMIT, provider=PROVIDER),
    "simulate_request": lambda entropy: entropy.simulate_request(fee_wei=1),
    "try_reveal": lambda entropy: entropy.try_reveal(request(), BOTH),
    "try_callback": lambda entropy: entropy.try_callback(request(), BOTH),
    "requests": lambda entropy: entropy.requests(from_block=1, to_block=2),
    "revelations": lambda entropy: entropy.revelations(from_block=1, to_block=2),
    "events": lambda entropy: entropy.events(from_block=1, to_block=2),
}


def failing(handler: Any) -> tuple[EntropyClient, FakeClock]:
    clock = FakeClock()
    evm = EvmClient(
        Endpoint("http://node.test/"),
        chain_id=5,
        transport=ReplyTransport(lambda asked: handler(asked, clock)),
        clock=clock,
        policy=PoolPolicy(rounds=1, timeout=timedelta(seconds=10)),
    )
    return EntropyClient(evm, ENTROPY), clock


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("status", "error"), [(429, errors.RateLimited), (503, errors.ServerError)], ids=["429", "503"])
async def test_statuses(name: str, status: int, error: type[Exception]) -> None:
    entropy, _ = failing(lambda _, clock: reply(status, "no", clock=clock))
    with pytest.raises(error):
        await METHODS[name](entropy)


@pytest.mark.parametrize("name", METHODS)
async def test_another_chain(name: str) -> None:
    chain = Chain()
    chain.node.chain_id = 6
    with pytest.raises(errors.WrongChain):
        await METHODS[name](chain.entropy)


@pytest.mark.parametrize("name", METHODS)
async def test_the_nodes_own_error(name: str, chain: Chain) -> None:
    def fault(method: str, _: Any) -> None:
        if method != "eth_chainId":
            raise Refused(-32601, "method not found")

    chain.node.fault = fault
    with pytest.raises(errors.NotServed):
        await METHODS[name](chain.entropy)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("cancelled", [False, True], ids=["deadline", "cancelled"])
async def test_a_node_that_hangs(name: str, cancelled: bool) -> None:
    async def hang(asked: Request, clock: FakeClock) -> Response:
        assert asked.deadline_ns is not None
        await clock.sleep_until_ns(asked.deadline_ns)
        raise errors.DeadlineExceeded("the node hangs", phase="first_byte")

    entropy, clock = failing(hang)
    before = asyncio.all_tasks()
    began_ns = clock.monotonic_ns()
    task = asyncio.ensure_future(METHODS[name](entropy))
    await clock.settle()
    if cancelled:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await clock.advance(timedelta(seconds=10))
        with pytest.raises(errors.DeadlineExceeded):
            await task
        assert clock.monotonic_ns() - began_ns == 10 * 10**9
    await entropy.evm.aclose()
    await clock.settle()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("name", ["state", "provider", "fee", "request", "status", "statuses", "simulate_request", "cause"])
async def test_a_node_that_is_slow_each_time_is_late_once(name: str) -> None:
    """Every request has an answer in time for itself; together they do not."""
    chain = Chain(version=1)
    chain.hold()
    status = await chain.entropy.status(7, limit=LIMIT)

    async def slow(asked: Request, clock: FakeClock) -> Response:
        ready_ns = clock.monotonic_ns() + 6 * 10**9
        assert asked.deadline_ns is not None
        await clock.sleep_until_ns(min(ready_ns, asked.deadline_ns))
        if ready_ns > asked.deadline_ns:
            raise errors.DeadlineExceeded("the node is late", phase="first_byte")
        return chain.node._reply(asked)

    works = {
        "state": lambda entropy: entropy.state(),
        "provider": lambda entropy: entropy.provider(),
        "fee": lambda entropy: entropy.fee(),
        "request": lambda entropy: entropy.request(7),
        "status": lambda entropy: entropy.status(7, limit=LIMIT),
        "statuses": lambda entropy: entropy.statuses([7], limit=LIMIT),
        "simulate_request": lambda entropy: entropy.simulate_request(),
        "cause": lambda entropy: entropy.cause(status, contributions=BOTH),
    }
    entropy, clock = failing(slow)
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(works[name](entropy))
    await clock.advance(timedelta(seconds=9.9))
    assert not task.done()
    await clock.advance(timedelta(seconds=0.1))
    with pytest.raises(errors.DeadlineExceeded):
        await task
    await entropy.evm.aclose()
    await clock.settle()
    assert asyncio.all_tasks() == before
