"""ReceiverClient: Pyth's accounts on a Solana cluster, under both generations of its programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from probekit.clients.receiver import ReceiverClient
from probekit.codecs.solana.addresses import CORE, GENERATIONS, PRO, Programs
from probekit.codecs.solana.receiver import encode_config, encode_price_update
from probekit.codecs.solana.rpc import encode_account
from probekit.codecs.solana.sysvar import CLOCK, ClusterClock, encode_clock
from probekit.codecs.solana.wormhole import encode_bridge_config, encode_guardian_set
from probekit.errors import DecodeError, NotFound
from probekit.model import FeedId, PriceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import (
    FULL,
    BridgeConfig,
    DataSource,
    GuardianSetAccount,
    PriceUpdateAccount,
    ProgramGeneration,
    ReceiverConfig,
)
from probekit.model.solana import Account
from tests.contract.clients.rows.solana import nothing, svm_world, with_a_bad_item, without_items
from tests.contract.clients.table import Case, Row, Table, errors_in, one_bad
from tests.contract.clients.wire import RpcWorld
from tests.unit.clients.cluster import Cluster

BTC, ETH = FeedId(bytes([1]) * 32), FeedId(bytes([2]) * 32)
AUTHORITY = Pubkey(bytes([6]) * 32)
CONFIG = ReceiverConfig(AUTHORITY, None, PRO.wormhole, (DataSource(26, AUTHORITY),), 0, 3)
BRIDGE = BridgeConfig(1, 0, 86_400, 0)
SET = GuardianSetAccount(1, (b"\x41" * 20, b"\x42" * 20), 5, 0)
MINUTE = timedelta(seconds=60)


class ReceiverCluster(Cluster):
    """Two feeds of the newer programs, one of the older."""

    def __init__(self) -> None:
        super().__init__()
        self.prices = [self.post(PRO, BTC, 700), self.post(PRO, ETH, 800)]
        self.post(CORE, BTC, 699)
        self.put(PRO.receiver_config(), PRO.receiver, encode_config(CONFIG))
        self.put(PRO.bridge_config(), PRO.wormhole, encode_bridge_config(BRIDGE))
        self.put(PRO.guardian_set(1), PRO.wormhole, encode_guardian_set(SET))
        self.put(PRO.receiver, AUTHORITY, b"", executable=True)
        self.put(CLOCK, AUTHORITY, encode_clock(ClusterClock(100, 2, self.clock.now().seconds)))
        self.methods["getProgramAccounts"] = lambda _: self.contextual(
            [{"pubkey": str(key), "account": encode_account(self.accounts[str(key)])} for key in self.prices]
        )

    def put(self, key: Pubkey, owner: Pubkey, data: bytes, *, executable: bool = False) -> None:
        self.add(Account(key, owner, 1_000_000, data, executable, 100))

    def post(self, programs: Programs, feed_id: FeedId, price: int) -> Pubkey:
        key, at_s = programs.push_feed(feed_id), self.clock.now().seconds - 1
        message = PriceMessage(feed_id, price, 5, -2, at_s, at_s - 1, price, 5)
        self.put(key, programs.receiver, encode_price_update(PriceUpdateAccount(key, FULL, message, 99)))
        return key


def world(spare: bool) -> RpcWorld:
    cluster = ReceiverCluster()
    return svm_world(cluster, spare, lambda solana: ReceiverClient(solana, clock=cluster.clock))


def one_account(method: str, call: Any, happy: Any) -> Row:
    """A read of one account: missing where nothing is there; of another's bytes, nothing is to be saved."""
    return Row(method, call, happy, empty=Case(nothing("getAccountInfo"), NotFound), malformed=Case(garbage, DecodeError))


garbage = {"getAccountInfo": lambda right, _: right | {"value": right["value"] | {"data": ["AAAA", "base64"]}}}
nobody = {"getMultipleAccounts": lambda right, params: right | {"value": [None] * len(params[0])}}

TABLE = Table(
    ReceiverClient,
    world,
    [
        Row(
            "push_feeds",
            lambda c: c.push_feeds([BTC, ETH]),
            lambda found: [str(one.update.price) for one in found.values()] == ["7.00", "8.00"],
            empty=Case(nobody, {BTC: None, ETH: None}),
            malformed=Case(with_a_bad_item("getMultipleAccounts"), one_bad),
            tells=errors_in,
        ),
        Row(
            "push_feed",
            lambda c: c.push_feed(BTC),
            lambda found: str(found.update.price) == "7.00",
            empty=Case(nobody, NotFound),
        ),
        Row(
            "posted_feeds",
            lambda c: c.posted_feeds(),
            lambda found: (list(found.feeds), found.errors, found.slot) == ([BTC, ETH], (), 100),
            empty=Case(without_items("getProgramAccounts"), lambda found: found.feeds == {}),
            malformed=Case(
                with_a_bad_item("getProgramAccounts"), lambda found: (list(found.feeds), len(found.errors)) == ([BTC], 1)
            ),
        ),
        Row(
            "migrations",
            lambda c: c.migrations([BTC, ETH], max_age=MINUTE),
            lambda found: [one.read for one in found.values()] == [ProgramGeneration.PRO] * 2,
            empty=Case(nobody, lambda found: [one.read for one in found.values()] == [None, None]),
            # The last account is the newer one of the second feed: that address holds nothing that can be read.
            malformed=Case(
                with_a_bad_item("getMultipleAccounts"),
                lambda found: (
                    [one.read for one in found.values()] == [ProgramGeneration.PRO, None]
                    and isinstance(found[ETH].pro, DecodeError)
                ),
            ),
            tells=errors_in,
        ),
        Row(
            "push_reads",
            lambda c: c.push_reads([(BTC, 0), (ETH, 0)]),
            lambda found: (
                found[0].slot == 100
                and [str(pro.update.price) for _, pro in found[1].values()] == ["7.00", "8.00"]
                and [core is None for core, _ in found[1].values()] == [False, True]
            ),
            # Without the cluster's clock nothing can be judged.
            empty=Case(nobody, DecodeError),
            malformed=Case(
                with_a_bad_item("getMultipleAccounts"),
                lambda found: str(found[1][BTC, 0][1].update.price) == "7.00" and isinstance(found[1][ETH, 0][1], DecodeError),
            ),
        ),
        one_account("price_update", lambda c: c.price_update(PRO.push_feed(BTC)), lambda found: found.feed_id == BTC),
        one_account("config", lambda c: c.config(), CONFIG),
        one_account("bridge_config", lambda c: c.bridge_config(), BRIDGE),
        one_account("guardian_set", lambda c: c.guardian_set(), SET),
        Row(
            "in_force",
            lambda c: c.in_force([ProgramGeneration.PRO]),
            lambda found: [(one.guardian_set, one.config, one.slot) for one in found.values()] == [(SET, CONFIG, 100)],
            empty=Case(nobody, NotFound),
            malformed=Case(with_a_bad_item("getMultipleAccounts"), DecodeError),
            tells=errors_in,
        ),
        Row(
            "programs_present",
            lambda c: c.programs_present(),
            {ProgramGeneration.CORE: False, ProgramGeneration.PRO: True},
            empty=Case(nobody, dict.fromkeys(GENERATIONS, False)),
        ),
    ],
)
