"""EvmReceiverClient: guardian sets as contracts on EVM chains keep them."""

from __future__ import annotations

from probekit.clients.wormhole import EvmReceiverClient
from probekit.errors import NotFound
from probekit.model import TrustRoot
from tests.contract.clients.rows.evm import evm_world
from tests.contract.clients.rows.pyth_evm import GARBAGE, NO_CONTRACT, PythNode
from tests.contract.clients.table import Case, Row, Table
from tests.contract.clients.wire import RpcWorld
from tests.unit.clients.contracts import RECEIVER


def world(spare: bool) -> RpcWorld:
    node = PythNode()
    return evm_world(node, node.answer, spare, lambda evm: EvmReceiverClient(evm, RECEIVER))


TABLE = Table(
    EvmReceiverClient,
    world,
    [
        Row("set_index", lambda c: c.set_index(), 1, empty=NO_CONTRACT, malformed=GARBAGE),
        Row(
            "guardian_set",
            lambda c: c.guardian_set(),
            lambda found: (found.index, len(found.guardians)) == (1, 5),
            empty=Case({"eth_call": "0x", "eth_getCode": "0x"}, NotFound),
            malformed=GARBAGE,
        ),
        Row(
            "judge",
            lambda c: c.judge(b"good"),
            lambda judged: (judged.valid, judged.vaa.emitter_chain_id) == (True, 26),
            empty=NO_CONTRACT,
            malformed=GARBAGE,
        ),
        Row(
            "state",
            lambda c: c.state(),
            lambda state: (state.root, state.quorum, state.unanswered) == (TrustRoot.PRO, 3, ()),
            empty=NO_CONTRACT,
            malformed=Case({"eth_call": "0x01"}, NotFound),
        ),
    ],
)
