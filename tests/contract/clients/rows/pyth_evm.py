"""PythEvmClient: Pyth's contract with its Wormhole receiver."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from probekit.clients.pyth_evm import PythEvmClient
from probekit.codecs.evm import pyth
from probekit.codecs.evm.contract import PreparedCall
from probekit.errors import DecodeError, NotFound
from probekit.model import FeedId, TrustRoot
from probekit.model.evm import Address
from probekit.model.pyth_evm import OnChainPrice, PythEvmState
from probekit.trust import MAINNET, PRO_EMITTER
from tests.contract.clients.rows.evm import Node, evm_world
from tests.contract.clients.table import Case, Row, Table, errors_in, one_bad
from tests.contract.clients.wire import RpcWorld
from tests.unit.clients.contracts import (
    HEAD,
    IMPLEMENTATION,
    IMPLEMENTATION_SLOT,
    PYTH,
    RECEIVER,
    TIME_S,
    Pyth,
    Receiver,
)
from tests.unit.clients.test_pyth_evm import price_log

BTC, ETH = FeedId(bytes([1]) * 32), FeedId(bytes([2]) * 32)
SPOT, EMA = (5_000, 7, -8, TIME_S - 10), (4_900, 6, -8, TIME_S - 10)
MINUTE = timedelta(seconds=60)


class PythNode(Node):
    def __init__(self) -> None:
        super().__init__()
        held = MAINNET.newest(TrustRoot.PRO)
        assert held is not None
        contract = Pyth([(PRO_EMITTER.chain, PRO_EMITTER.address)])
        contract.feeds = {bytes(BTC): (SPOT, EMA), bytes(ETH): (EMA, SPOT)}
        self.contracts |= {PYTH: contract, RECEIVER: Receiver(1, held.signers, held.quorum)}
        self.storage[PYTH, IMPLEMENTATION_SLOT] = "0x" + IMPLEMENTATION[2:].rjust(64, "0")
        self.logs = [price_log(number, BTC, 1) for number in (90, 91)]


def world(spare: bool) -> RpcWorld:
    node = PythNode()
    return evm_world(node, node.answer, spare, lambda evm: PythEvmClient(evm, PYTH))


NO_CONTRACT = Case({"eth_call": "0x", "eth_getCode": "0x"}, NotFound)
GARBAGE = Case({"eth_call": "0x01"}, DecodeError)


def one(method: str, call: Any, happy: Any) -> Row:
    """A single read of the contract: empty where nothing stands there, and a value has no items to lose."""
    return Row(method, call, happy, empty=NO_CONTRACT, malformed=GARBAGE)


def many(method: str, call: Any, happy: Any) -> Row:
    """Many feeds at one block: an answer is in each feed's own place."""
    # Where Multicall3 answers for a feed with bytes that are none, that feed alone has the error.
    return Row(
        method,
        call,
        happy,
        empty=Case({"eth_call": lambda _, __: "0x"}, lambda reads: len(errors_in(reads.answers)) == 2),
        malformed=Case({"eth_call": _one_short}, lambda reads: one_bad(reads.answers)),
        tells=lambda reads: errors_in(reads.answers),
    )


def _one_short(right: str, _: Any) -> str:
    """Multicall3's answer with the last feed's bytes made one byte long."""
    from eth_abi import abi

    (rows,) = abi.decode(["(bool,bytes)[]"], bytes.fromhex(right[2:]))
    changed = [*rows[:-1], (True, b"\x01")]
    return "0x" + abi.encode(["(bool,bytes)[]"], [changed]).hex()


def _names(state: PythEvmState) -> list[str]:
    return [one.name for one in state.unanswered]


async def receiver_of(client: PythEvmClient) -> Address:
    return (await client.receiver()).address


WINDOW = {"min_publish_time_s": 0, "max_publish_time_s": TIME_S}
GOOD = [b"good"]

TABLE = Table(
    PythEvmClient,
    world,
    [
        one("price", lambda c: c.price(BTC), OnChainPrice(*SPOT)),
        one("price_no_older_than", lambda c: c.price_no_older_than(BTC, MINUTE), OnChainPrice(*SPOT)),
        one("ema_price", lambda c: c.ema_price(BTC), OnChainPrice(*EMA)),
        one("ema_price_no_older_than", lambda c: c.ema_price_no_older_than(BTC, MINUTE), OnChainPrice(*EMA)),
        one("feed", lambda c: c.feed(BTC), lambda feed: feed.spot == OnChainPrice(*SPOT)),
        many("prices", lambda c: c.prices([BTC, ETH]), lambda reads: reads[ETH] == OnChainPrice(*EMA)),
        many("feeds", lambda c: c.feeds([BTC, ETH]), lambda reads: reads[BTC].ema == OnChainPrice(*EMA)),
        many("publish_times_s", lambda c: c.publish_times_s([BTC, ETH]), lambda reads: reads[BTC] == TIME_S - 10),
        many("each", lambda c: c.each([BTC, ETH], pyth.get_ema_price_unsafe), lambda reads: reads[BTC] == OnChainPrice(*EMA)),
        Row(
            "state",
            lambda c: c.state(),
            lambda state: state.receiver.root is TrustRoot.PRO and state.implementation == Address(IMPLEMENTATION),
            empty=NO_CONTRACT,
            malformed=Case({"eth_getStorageAt": "0x" + "ff" * 32}, lambda state: _names(state) == ["implementation"]),
        ),
        one("receiver", receiver_of, Address(RECEIVER)),
        one("valid_time_period", lambda c: c.valid_time_period(), MINUTE),
        one("update_fee", lambda c: c.update_fee(GOOD), 1),
        one("twap_update_fee", lambda c: c.twap_update_fee(GOOD), 1),
        one("build_update", lambda c: c.build_update(GOOD), lambda prepared: prepared.value_wei == 1),
        one("simulate_update", lambda c: c.simulate_update(GOOD), lambda prepared: prepared.value_wei == 1),
        one("parse_update", lambda c: c.parse_update(GOOD, [BTC], **WINDOW), lambda found: found[0].feed_id == BTC),
        one(
            "parse_update_with_slots",
            lambda c: c.parse_update_with_slots(GOOD, [BTC], **WINDOW),
            lambda found: found.slots == (9,),
        ),
        one("parse_twap_update", lambda c: c.parse_twap_update(b"good", b"good", [BTC]), lambda found: found[0].feed_id == BTC),
        Row(
            "simulate",
            lambda c: c.simulate(PreparedCall(c.address, pyth.get_update_fee(GOOD), 0)),
            1,
            empty=NO_CONTRACT,
            malformed=GARBAGE,
        ),
        Row(
            "price_updates",
            lambda c: c.price_updates(from_block=90, to_block=91),
            lambda logs: [one.log.block_number for one in logs] == [90, 91],
            empty=Case({"eth_getLogs": []}, []),
            malformed=Case({"eth_getLogs": lambda right, _: [*right, {**right[0], "data": "0x01"}]}, one_bad),
            tells=errors_in,
        ),
        Row(
            "events",
            lambda c: c.events(from_block=90, to_block=HEAD),
            lambda logs: [one.log.block_number for one in logs] == [90, 91],
            empty=Case({"eth_getLogs": []}, []),
            malformed=Case({"eth_getLogs": lambda right, _: [7, *right]}, one_bad),
            tells=errors_in,
        ),
    ],
)
