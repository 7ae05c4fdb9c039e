"""``EntropyClient`` on a real chain: requests and revelations of both versions, stuck requests, callbacks that fail in every
way, with gas as the machine counts it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.entropy import EntropyClient
from probekit.codecs.evm import abi
from probekit.codecs.evm import entropy as codec
from probekit.codecs.evm.contract import ContractCall, Function, selector
from probekit.codecs.evm.reverts import revert_of
from probekit.codecs.keccak import keccak256
from probekit.errors import DecodeError, Reverted
from probekit.model.entropy import CauseKind, Contributions, RequestState, RequestStatus, StuckLimit
from probekit.model.entropy_events import Counted, EntropyRequested, EntropyRevealed, ProviderRegistered
from probekit.model.evm import Address, Receipt
from probekit.model.pyth_evm import Absence, EntropyError
from tests.system.evm.chain import Chain

pytestmark = [pytest.mark.system, pytest.mark.evm]

REGISTER = Function("register(uint128,bytes32,uint64,bytes,uint32,uint32)")
ASK = Function("ask(bytes)", "bytes", payable=True)
BECOME = Function("become(uint8)")
NUMBER = Function("number()", "bytes32")
TAKE, REFUSE, SILENT, ENDLESS, MEASURE = range(5)
LENGTH, FEE, PYTH_FEE, MOST, GAS = 40, 1_000, 7, 10, 100_000
USER = keccak256(b"a user's own")
LIMIT = StuckLimit(age=timedelta(seconds=30))


class Lottery:
    """An Entropy contract with a provider, and a consumer of it."""

    def __init__(self, chain: Chain, entropy: EntropyClient, consumer: Address) -> None:
        self.chain = chain
        self.entropy = entropy
        self.consumer = consumer
        self.provider = chain.node.accounts[1].address
        self.links = [keccak256(b"the provider's secret")]
        while len(self.links) < LENGTH:
            self.links.append(keccak256(self.links[-1]))

    @classmethod
    async def open(cls, chain: Chain, contract: str = "Entropy", *, gas: int = GAS, most: int = MOST) -> Lottery:
        await chain.with_multicall()
        address = await chain.deploy(contract)
        made = cls(chain, EntropyClient(chain.client, address), await chain.deploy("Lucky", "address", address))
        uri = b"https://fortuna.test/v1/chains/local"
        call = REGISTER.calldata(FEE, made.revelation(0), LENGTH, uri, most, gas)
        await made._sent(to=address, sender=made.provider, data=call)
        return made

    def revelation(self, sequence: int) -> bytes:
        """The link of the hash chain for a number; the commitment is number 0's."""
        return self.links[LENGTH - 1 - sequence]

    def both(self, sequence: int) -> Contributions:
        return Contributions(USER, self.revelation(sequence))

    async def ask(self, call: ContractCall[int], value: int = FEE + PYTH_FEE) -> Receipt:
        """The consumer makes a request."""
        data = ASK.calldata(call.data)
        return await self._sent(to=self.consumer, sender=self.chain.payer.address, data=data, value=value)

    async def asked(self, gas: int = 0) -> Receipt:
        return await self.ask(codec.request_v2(gas, self.provider, USER), await self.entropy.fee(gas_limit=gas))

    async def become(self, mood: int) -> None:
        await self._sent(to=self.consumer, sender=self.chain.payer.address, data=BECOME.calldata(mood))

    async def revealed(self, sequence: int, gas: int = 1_000_000) -> Receipt:
        """The provider reveals, with the revelation of that number."""
        call = codec.reveal_with_callback(self.provider, sequence, USER, self.revelation(sequence))
        return await self._sent(to=self.entropy.address, sender=self.provider, data=call.data, gas=hex(gas))

    async def status(self, sequence: int, limit: StuckLimit = LIMIT) -> RequestStatus:
        return await self.entropy.status(sequence, limit=limit)

    async def _sent(self, **fields: Any) -> Receipt:
        # Named, since an estimate is of the block before.
        receipt = await self.chain.node.transact(**({"gas": hex(1_000_000)} | fields))
        assert receipt.succeeded, receipt
        return receipt


@pytest.fixture
async def lottery(chain: Chain) -> Lottery:
    return await Lottery.open(chain)


def counted(found: list[Any]) -> list[Counted[Any]]:
    assert not [one for one in found if isinstance(one, DecodeError)]
    return found


async def refusal(call: Any) -> EntropyError | None:
    with pytest.raises(Reverted) as caught:
        await call
    told = revert_of(caught.value)
    assert told is not None
    return told.entropy_error


# -- from request to revelation ------------------------------------------------------------------------------------------------


async def test_the_contract_and_its_provider(lottery: Lottery) -> None:
    state = await lottery.entropy.state()
    assert (state.version, state.default_provider, state.pyth_fee_wei) == ("2.0.0-test", lottery.provider, PYTH_FEE)
    assert [(one.name, one.absence) for one in state.unanswered] == [
        ("proposed_admin", Absence.MISSING),
        ("owner", Absence.MISSING),
    ]
    provider = await lottery.entropy.provider()
    assert (provider.fee_wei, provider.default_gas_limit, provider.sequence, provider.end_sequence) == (FEE, GAS, 1, LENGTH)
    assert (provider.remaining, provider.hash_margin) == (LENGTH - 1, MOST)
    assert provider.current_commitment == lottery.revelation(0)
    assert not (await lottery.entropy.provider(lottery.consumer)).registered
    for gas in (0, GAS, GAS + 1, 654_321):
        assert await lottery.entropy.fee(gas_limit=gas) == provider.fee_of(gas) + PYTH_FEE
        assert await lottery.entropy.fee(gas_limit=gas, provider=lottery.provider) == provider.fee_of(gas) + PYTH_FEE


async def test_a_request_is_made_pending_and_fulfilled(lottery: Lottery) -> None:
    assert (await lottery.status(1)).state is RequestState.NEVER_MADE
    assert await lottery.entropy.simulate_request() == 1
    made = await lottery.asked()
    status = await lottery.status(1)
    assert (status.state, status.age_blocks, status.age_s) == (RequestState.PENDING, 0, 0)
    request = status.request
    assert request is not None
    assert (request.requester, request.num_hashes, request.gas_limit) == (lottery.consumer, 1, GAS)
    assert codec.revelation_fits(request, USER, lottery.revelation(1))
    assert codec.revelation_continues(status.info, 1, lottery.revelation(1))
    assert await lottery.entropy.request(1) == request

    assert (await lottery.entropy.try_reveal(request, lottery.both(1))).kind is CauseKind.NOT_SENT
    landed = await lottery.revealed(1)
    number = codec.random_number(USER, lottery.revelation(1))
    assert await lottery.chain.client.read(lottery.consumer, NUMBER.one()) == number
    assert (await lottery.status(1)).state is RequestState.FULFILLED
    assert (await lottery.status(1)).info.current_commitment == lottery.revelation(1)

    # Two logs of either version each, and one of each kind counted.
    assert (len(made.logs), len(landed.logs)) == (2, 2)
    everything = counted(await lottery.entropy.events(from_block=0, to_block=landed.block_number))
    assert [(type(one.event), len(one.logs)) for one in everything] == [
        (ProviderRegistered, 2),
        (EntropyRequested, 2),
        (EntropyRevealed, 2),
    ]
    registered, requested, revealed = (one.event for one in everything)
    assert (registered.provider, registered.info.end_sequence) == (lottery.provider, LENGTH)
    assert requested == EntropyRequested(
        lottery.provider, lottery.consumer, 1, USER, True, GAS, codec.request_v1_of((*codec.raw_request(request)[:7], True))
    )
    assert (revealed.random_number, revealed.callback_failed, revealed.return_value) == (number, False, b"")
    assert 20_000 < revealed.gas_used < GAS


async def test_every_way_to_ask(lottery: Lottery) -> None:
    calls = [
        codec.request_v2(),
        codec.request_v2(GAS),
        codec.request_v2(0, lottery.provider),
        codec.request_v2(0, lottery.provider, USER),
        codec.request_with_callback(lottery.provider, USER),
        codec.request_alone(lottery.provider, codec.user_commitment(USER)),
    ]
    *_, last = [await lottery.ask(call) for call in calls]
    found = counted(await lottery.entropy.requests(from_block=0, to_block=last.block_number, provider=lottery.provider))
    assert [one.event.sequence for one in found] == [1, 2, 3, 4, 5, 6]
    assert [one.event.with_callback for one in found] == [True] * 5 + [False]
    await lottery.revealed(4)
    lottery.chain.transport.taken()
    statuses = await lottery.entropy.statuses([*range(1, 8)], limit=LIMIT, provider=lottery.provider)
    assert lottery.chain.transport.taken() == ["eth_getBlockByNumber", "eth_call", ("eth_getBlockByNumber",) * 5]
    assert [one.state for one in statuses if isinstance(one, RequestStatus)] == [
        RequestState.PENDING,
        RequestState.PENDING,
        RequestState.PENDING,
        RequestState.FULFILLED,
        RequestState.PENDING,
        RequestState.AWAITS_REQUESTER,
        RequestState.NEVER_MADE,
    ]


async def test_why_a_request_is_refused(lottery: Lottery) -> None:
    entropy = lottery.entropy
    assert await refusal(entropy.simulate_request(fee_wei=FEE)) is EntropyError.INSUFFICIENT_FEE
    stranger = Address("0x" + "99" * 20)
    assert await refusal(entropy.simulate_request(provider=stranger, fee_wei=FEE)) is EntropyError.NO_SUCH_PROVIDER
    for _ in range(MOST):
        await lottery.asked()
    assert (await entropy.provider()).hash_margin == 0
    assert await refusal(entropy.simulate_request()) is EntropyError.LAST_REVEALED_TOO_OLD
    # One revelation further on there is room again.
    await lottery.revealed(MOST)
    assert (await entropy.provider()).hash_margin == MOST
    assert await entropy.simulate_request() == MOST + 1


async def test_a_hash_chain_ends(chain: Chain) -> None:
    lottery = await Lottery.open(chain, most=0)
    for left in range(LENGTH - 1, 0, -1):
        provider = await lottery.entropy.provider()
        assert (provider.remaining, provider.hash_margin) == (left, None)
        await lottery.asked()
    assert (await lottery.entropy.provider()).remaining == 0
    assert await refusal(lottery.entropy.simulate_request()) is EntropyError.OUT_OF_RANDOMNESS


# -- callbacks that fail -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mood", "kind"),
    [(REFUSE, CauseKind.REVERTED), (SILENT, CauseKind.SILENT), (ENDLESS, CauseKind.OUT_OF_GAS)],
    ids=["refuses", "silent", "endless"],
)
async def test_a_callback_fails_and_is_repeated(lottery: Lottery, mood: int, kind: CauseKind) -> None:
    await lottery.asked()
    await lottery.become(mood)
    landed = await lottery.revealed(1)
    assert len(landed.logs) == 2
    status = await lottery.status(1)
    assert status.state is RequestState.CALLBACK_FAILED
    cause = await lottery.entropy.cause(status)
    assert (cause.kind, cause.gas_limit) == (kind, GAS), cause.text
    assert cause.log is not None
    assert cause.log.transaction_hash == landed.transaction_hash
    assert cause.gas_used is not None
    assert (cause.gas_used >= GAS) is (mood == ENDLESS)
    if mood == REFUSE:
        assert cause.revert is not None
        assert cause.revert.data == selector("SoldOut(uint64)") + abi.encode("uint64", (1,))
    (failed,) = counted(await lottery.entropy.revelations(from_block=landed.block_number, to_block=landed.block_number))
    assert (failed.event.callback_failed, len(failed.logs)) == (True, 2)

    # Tried by itself it fails in the same way, and no longer once the consumer is in another mood.
    request = status.request
    assert request is not None
    assert (await lottery.entropy.try_callback(request, lottery.both(1))).kind is kind
    await lottery.become(TAKE)
    assert (await lottery.entropy.try_callback(request, lottery.both(1))).kind is CauseKind.CALLBACK_RECOVERED
    await lottery.revealed(1)
    assert (await lottery.status(1)).state is RequestState.FULFILLED


@pytest.mark.parametrize("gas", [GAS, 250_000, 1_230_000])
async def test_a_callback_is_tried_with_the_gas_that_it_has(lottery: Lottery, gas: int) -> None:
    await lottery.asked(gas)
    await lottery.become(MEASURE)
    await lottery.revealed(1, gas=5_000_000)
    status = await lottery.status(1)
    on_chain = await lottery.entropy.cause(status)
    assert status.request is not None
    tried = await lottery.entropy.try_callback(status.request, lottery.both(1))
    left = []
    for cause in (on_chain, tried):
        assert cause.revert is not None
        (given,) = abi.decode("uint256", cause.revert.data[4:])
        left.append(given)
    assert left[0] == left[1]
    assert gas - 500 < left[0] < gas


# -- stuck requests ------------------------------------------------------------------------------------------------------------


async def test_a_stuck_request_and_why(lottery: Lottery) -> None:
    await lottery.asked()
    await lottery.chain.node.mine(40, spacing=timedelta(seconds=2))
    status = await lottery.status(1)
    assert (status.state, status.age_blocks) == (RequestState.STUCK, 40)
    assert status.age_s is not None
    assert 79 <= status.age_s <= 90
    assert (await lottery.status(1, StuckLimit(blocks=40))).state is RequestState.PENDING
    assert (await lottery.status(1, StuckLimit(blocks=39))).state is RequestState.STUCK

    cause = lottery.entropy.cause
    assert (await cause(status, contributions=lottery.both(1))).kind is CauseKind.NOT_SENT
    assert (await cause(status, contributions=lottery.both(2))).kind is CauseKind.WRONG_REVELATION
    # A callback that needs its gas, in a transaction that has less to give.
    await lottery.become(ENDLESS)
    status = await lottery.status(1)
    assert (await cause(status, contributions=lottery.both(1), gas=140_000)).kind is CauseKind.INSUFFICIENT_GAS
    assert (await cause(status, contributions=lottery.both(1), gas=25_000)).text == "the reveal itself runs out of gas"
    # With enough of it the failure is an event, and no revert.
    assert (await cause(status, contributions=lottery.both(1), gas=500_000)).kind is CauseKind.NOT_SENT
    await lottery.become(TAKE)
    await lottery.revealed(1)
    assert status.request is not None
    assert (await lottery.entropy.try_reveal(status.request, lottery.both(1))).kind is CauseKind.REFUSED


async def test_a_block_hash_is_known_for_256_blocks(lottery: Lottery) -> None:
    node = lottery.chain.node
    await lottery.ask(codec.request_alone(lottery.provider, codec.user_commitment(USER), use_blockhash=True))
    reveal = codec.reveal(lottery.provider, 1, USER, lottery.revelation(1))
    await node.mine(255)
    # A transaction is in the next block at the earliest, the 256th.
    status = await lottery.status(1)
    assert status.state is RequestState.AWAITS_REQUESTER
    assert status.request is not None
    number = await lottery.chain.client.read(lottery.entropy.address, reveal, sender=lottery.consumer)
    block = await lottery.chain.client.block(status.request.block_number)
    assert number == codec.random_number(USER, lottery.revelation(1), bytes.fromhex(block.hash[2:]))

    await node.mine(1)
    assert (await lottery.status(1)).state is RequestState.EXPIRED
    data = ASK.calldata(reveal.data)
    late = await node.transact(to=lottery.consumer, sender=lottery.chain.payer.address, data=data, gas=hex(500_000))
    assert not late.succeeded
    call = lottery.chain.client.read(lottery.entropy.address, reveal, sender=lottery.consumer)
    assert await refusal(call) is EntropyError.BLOCKHASH_UNAVAILABLE


# -- before V2 -----------------------------------------------------------------------------------------------------------------


async def test_a_contract_before_v2(chain: Chain) -> None:
    lottery = await Lottery.open(chain, "EntropyBefore", gas=0)
    provider = await lottery.entropy.provider()
    assert (provider.fee_wei, provider.default_gas_limit) == (FEE, None)
    assert await lottery.entropy.fee() == FEE + PYTH_FEE
    made = await lottery.ask(codec.request_with_callback(lottery.provider, USER))
    assert len(made.logs) == 1
    status = await lottery.status(1)
    assert status.state is RequestState.PENDING
    assert status.request is not None
    assert status.request.gas_limit is None
    # Nothing keeps a failed callback there: the whole reveal reverts with it.
    await lottery.become(REFUSE)
    cause = await lottery.entropy.cause(await lottery.status(1), contributions=lottery.both(1))
    assert cause.kind is CauseKind.REVERTED
    assert cause.revert is not None
    assert cause.revert.selector == selector("SoldOut(uint64)")
    await lottery.become(TAKE)
    landed = await lottery.revealed(1)
    (revealed,) = counted(await lottery.entropy.revelations(from_block=0, to_block=landed.block_number))
    assert (len(revealed.logs), revealed.event.gas_used) == (1, None)
    assert revealed.event.random_number == codec.random_number(USER, lottery.revelation(1))
    assert (await lottery.status(1)).state is RequestState.FULFILLED
    assert [one.name for one in (await lottery.entropy.state()).unanswered] == ["version", "proposed_admin", "owner"]
