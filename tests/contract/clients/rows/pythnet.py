"""PythnetClient: the whole network, behind its list of products."""

from __future__ import annotations

from typing import Any

from probekit.clients.pythnet import DEPLOYMENTS, FeedAccount, PythnetClient, PythnetState
from probekit.codecs.pythnet import decode_price, decode_product, encode_permissions
from probekit.codecs.solana.pda import find_program_address
from probekit.errors import DecodeError, NotFound
from probekit.model.pythnet import PermissionsAccount, PriceAccount
from tests.contract.clients.rows.receiver import garbage
from tests.contract.clients.rows.solana import nothing, svm_world
from tests.contract.clients.table import Case, Row, Table, errors_in
from tests.contract.clients.wire import RpcWorld
from tests.unit.clients.cluster import OWNER
from tests.unit.clients.test_pythnet import Network

PERMISSIONS = PermissionsAccount(OWNER, OWNER, OWNER, 7)
FEED = Network(1).feed(0)


def world(spare: bool) -> RpcWorld:
    network = Network(4)
    address, _ = find_program_address((b"permissions",), DEPLOYMENTS["pythnet"].program)
    network.put(address, encode_permissions(PERMISSIONS))
    return svm_world(network.cluster, spare, PythnetClient)


def with_a_bad_price(right: Any, _: Any) -> Any:
    """The last of several accounts is of no kind that the program has; of two (a list of products) as of four (prices)."""
    value = right["value"]
    return right | {"value": [*value[:-1], value[-1] | {"data": ["AAAA", "base64"]}]}


def whole(method: str, call: Any) -> Row:
    return Row(
        method,
        call,
        lambda state: (len(state.feeds), state.errors, state.unlisted) == (4, {}, ()),
        empty=Case(nothing("getAccountInfo"), NotFound),
        malformed=Case(
            {"getMultipleAccounts": with_a_bad_price},
            lambda state: (len(state.feeds), [type(one) for one in state.errors.values()]) == (2, [DecodeError] * 2),
        ),
        tells=lambda state: errors_in(state.errors),
        within_s=30,
    )


def state_before() -> PythnetState[PriceAccount]:
    """What an earlier refresh saw, made without one."""
    network = Network(4)
    products = {key: decode_product(network.cluster.accounts[str(key)].data) for key in network.products}
    feeds = {}
    for number, key in enumerate(network.products):
        price = decode_price(network.cluster.accounts[str(network.prices[number])].data)
        feeds[network.feed(number)] = FeedAccount(network.feed(number), key, products[key], price, 7)
    return PythnetState(products, feeds, {})


BEFORE = state_before()

TABLE = Table(
    PythnetClient,
    world,
    [
        whole("refresh", lambda c: c.refresh()),
        whole("refresh_columns", lambda c: c.refresh_columns()),
        whole("refresh_heads", lambda c: c.refresh_heads()),
        Row(
            "refresh_since",
            lambda c: c.refresh_since(BEFORE),
            lambda state: ({feed.slot for feed in state.feeds.values()}, state.errors) == ({100}, {}),
            empty=Case(nothing("getAccountInfo"), NotFound),
            malformed=Case(
                {"getMultipleAccounts": with_a_bad_price},
                lambda state: (
                    sorted(feed.slot for feed in state.feeds.values()) == [7, 100, 100, 100] and len(state.errors) == 1
                ),
            ),
            tells=lambda state: errors_in(state.errors),
            within_s=30,
        ),
        Row(
            "refresh_prices",
            lambda c: c.refresh_prices(BEFORE),
            lambda state: ({feed.slot for feed in state.feeds.values()}, state.errors) == ({100}, {}),
            # What is gone, or does not decode, keeps its last account and has its error beside it.
            empty=Case(
                {"getMultipleAccounts": lambda right, _: right | {"value": [None] * 4}},
                lambda state: (state.feeds, len(state.errors)) == (BEFORE.feeds, 4),
            ),
            malformed=Case(
                {"getMultipleAccounts": with_a_bad_price},
                lambda state: [feed.slot for feed in state.feeds.values()] == [100, 100, 100, 7] and len(state.errors) == 1,
            ),
            tells=lambda state: errors_in(state.errors),
            within_s=30,
        ),
        Row(
            "price",
            lambda c: c.price(FEED),
            lambda found: (found[0].agg_price, found[1]) == (1000, 100),
            empty=Case(nothing("getAccountInfo"), NotFound),
            malformed=Case(garbage, DecodeError),
        ),
        Row(
            "permissions",
            lambda c: c.permissions(),
            PERMISSIONS,
            empty=Case(nothing("getAccountInfo"), NotFound),
            malformed=Case(garbage, DecodeError),
        ),
    ],
)
