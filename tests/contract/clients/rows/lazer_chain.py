"""LazerVerifierClient: whom the verifier of Pyth Pro trusts on an EVM chain."""

from __future__ import annotations

from typing import Any

from probekit.clients.lazer_chain import LazerVerifierClient
from probekit.errors import NotFound
from probekit.model.evm import Address
from probekit.units import Instant
from tests.contract.clients.rows.evm import Node, evm_world
from tests.contract.clients.rows.pyth_evm import GARBAGE, NO_CONTRACT
from tests.contract.clients.table import Case, Row, Table
from tests.contract.clients.wire import RpcWorld
from tests.unit.clients.test_lazer_chain import EXPIRES_S, SIGNING, UPDATE, VERIFIER, Verifier


def world(spare: bool) -> RpcWorld:
    node = Node()
    node.contracts[VERIFIER] = Verifier()
    return evm_world(node, node.answer, spare, lambda evm: LazerVerifierClient(evm, VERIFIER))


def one(method: str, call: Any, happy: Any) -> Row:
    return Row(method, call, happy, empty=NO_CONTRACT, malformed=GARBAGE)


TABLE = Table(
    LazerVerifierClient,
    world,
    [
        one("trusted_signers", lambda c: c.trusted_signers(), lambda found: [one.key for one in found] == [SIGNING.address]),
        one("signer_expiry", lambda c: c.signer_expiry(SIGNING.address), Instant.from_seconds(EXPIRES_S)),
        one("is_valid_signer", lambda c: c.is_valid_signer(SIGNING.address), True),
        one("fee", lambda c: c.fee(), 1),
        one("judge", lambda c: c.judge(UPDATE), lambda found: found.signer == Address(SIGNING.address)),
        Row(
            "state",
            lambda c: c.state(),
            lambda state: (state.version, state.fee_wei, state.unanswered) == ("0.2.0", 1, ()),
            empty=NO_CONTRACT,
            malformed=Case({"eth_call": "0x01"}, NotFound),
        ),
    ],
)
