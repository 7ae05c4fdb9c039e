"""EntropyClient: Entropy's contract on an EVM chain, with a request that nobody has revealed."""

from __future__ import annotations

from typing import Any

from probekit.clients.entropy import EntropyClient
from probekit.errors import DecodeError, NotFound
from probekit.model.entropy import CauseKind, RequestState
from tests.contract.clients.rows.evm import evm_world
from tests.contract.clients.rows.pyth_evm import GARBAGE, NO_CONTRACT
from tests.contract.clients.table import Case, Row, Table, errors_in
from tests.contract.clients.wire import RpcWorld
from tests.unit.clients.contracts import HEAD
from tests.unit.clients.test_entropy import BOTH, ENTROPY, LIMIT, PROVIDER, Chain, tell
from tests.unit.codecs.evm.test_entropy import request


def world(spare: bool) -> RpcWorld:
    chain = Chain()
    chain.node.eth_syncing = lambda: False  # type: ignore[attr-defined]
    chain.hold()
    tell(chain, 1, number=50, versions=(2,))
    return evm_world(chain.node, chain.node._reply, spare, lambda evm: EntropyClient(evm, ENTROPY))


async def cause(client: EntropyClient) -> Any:
    """Why the request is stuck; that it is, is read before."""
    return await client.cause(await client.status(7, limit=LIMIT, provider=PROVIDER), contributions=BOTH)


def one(method: str, call: Any, happy: Any) -> Row:
    return Row(method, call, happy, empty=NO_CONTRACT, malformed=GARBAGE)


def logged(method: str, call: Any, count: int) -> Row:
    return Row(
        method,
        call,
        lambda found: len(found) == count and not errors_in(found),
        empty=Case({"eth_getLogs": []}, []),
        malformed=Case({"eth_getLogs": lambda right, _: [*right, right[0] | {"data": "0x1234"}, right[0]]}, _one_bad),
        tells=errors_in,
    )


def _one_bad(found: list[Any]) -> bool:
    return [type(error) for error in errors_in(found)] == [DecodeError] and len(found) > 1


RANGE = {"from_block": 0, "to_block": HEAD}

TABLE = Table(
    EntropyClient,
    world,
    [
        Row(
            "state",
            lambda c: c.state(),
            lambda state: (state.version, state.default_provider, state.unanswered) == ("2.0.0", PROVIDER, ()),
            empty=NO_CONTRACT,
            malformed=Case({"eth_call": "0x01"}, NotFound),
        ),
        one("default_provider", lambda c: c.default_provider(), PROVIDER),
        one("provider", lambda c: c.provider(), lambda info: info.remaining == 900),
        one("fee", lambda c: c.fee(), 1_007),
        one("request", lambda c: c.request(7), lambda found: found.sequence == 7),
        one("status", lambda c: c.status(7, limit=LIMIT, provider=PROVIDER), lambda found: found.state is RequestState.STUCK),
        Row(
            "statuses",
            lambda c: c.statuses([7, 99], limit=LIMIT, provider=PROVIDER),
            lambda found: [one.state for one in found] == [RequestState.STUCK, RequestState.FULFILLED],
            empty=NO_CONTRACT,
            malformed=GARBAGE,
            tells=errors_in,
        ),
        Row(
            "cause",
            cause,
            lambda found: found.kind is CauseKind.NOT_SENT,
            empty=NO_CONTRACT,
            malformed=GARBAGE,
            # A status is read first, by a call of its own.
            within_s=20,
        ),
        Row(
            "try_reveal",
            lambda c: c.try_reveal(request(), BOTH),
            lambda found: found.kind is CauseKind.NOT_SENT,
            empty=NO_CONTRACT,
            # A reveal gives nothing back: whatever comes for it is that.
            malformed=Case({"eth_call": "0x01"}, lambda found: found.kind is CauseKind.NOT_SENT),
        ),
        Row(
            "try_callback",
            lambda c: c.try_callback(request(requester="0x" + "22" * 20), BOTH),
            lambda found: found.kind is CauseKind.CALLBACK_RECOVERED,
            # An account without code takes the number as well as any.
            empty=Case({"eth_call": "0x", "eth_getCode": "0x"}, lambda found: found.kind is CauseKind.CALLBACK_RECOVERED),
            malformed=Case({"eth_call": "0x01"}, lambda found: found.kind is CauseKind.CALLBACK_RECOVERED),
        ),
        one("build_request", lambda c: c.build_request(), lambda prepared: prepared.value_wei == 1_007),
        one("simulate_request", lambda c: c.simulate_request(), 100),
        logged("requests", lambda c: c.requests(**RANGE), 1),
        logged("revelations", lambda c: c.revelations(**RANGE), 1),
        logged("events", lambda c: c.events(**RANGE), 2),
    ],
)
