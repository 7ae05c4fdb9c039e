"""The page about governance: its examples that need a guardian or a chain, against stand-ins."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.clients import wormhole
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.evm.registry import ContractKind, Deployment, contracts
from probekit.codecs.governance.envelope import EMITTERS, decode_vaa
from probekit.codecs.governance.message import encode
from probekit.codecs.vaa import Vaa
from probekit.model.governance import GovernanceMessage, SetFee
from probekit.testing import FakeClock, ReplyTransport, reply
from tests.unit.clients.contracts import RECEIVER, EvmNode, Receiver
from tests.unit.clients.test_pyth_evm import PRO_SET, Chain

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "read-governance.md"
EXAMPLES = [
    code
    for how, code in re.findall(
        r"^<!-- (run|not run): [^\n]*\n```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    if how == "not run"
]
PYTH = next(source for source, name in EMITTERS.items() if name == "Pyth governance")
PAYLOAD = encode(GovernanceMessage(30, SetFee(0, 0)))
RAW = vaa_codec.encode(Vaa(1, (), 0, 0, PYTH.chain_id, PYTH.emitter, 421, 1, PAYLOAD))


async def run(code: str, **names: Any) -> None:
    work = eval(compile(code, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert asyncio.iscoroutine(work)
    await work


async def test_the_message_of_a_sequence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"vaaBytes": base64.b64encode(RAW).decode()})
    transport = ReplyTransport(lambda _: reply(200, body))
    ours = partial(wormhole.WormholeClient, transport=transport, clock=FakeClock())
    monkeypatch.setattr(pk, "WormholeClient", ours)
    await run(EXAMPLES[0], guardians="https://guardian.test", sequence=421)
    assert transport.requests[0].url.endswith(f"/v1/signed_vaa/1/{PYTH.emitter.hex()}/421")
    assert capsys.readouterr().out.startswith("Pyth governance, sequence 421, 0 signatures of set 1: base (30): SetFee: each")


async def test_what_a_contract_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (base,) = contracts(8453, ContractKind.PYTH, Deployment.STABLE)
    chain, node = Chain(), EvmNode(chain_id=8453)
    assert PRO_SET is not None
    node.contracts |= {base.address.lower(): chain.contract, RECEIVER: Receiver(1, PRO_SET.signers, PRO_SET.quorum)}
    monkeypatch.setattr(pk, "EvmClient", lambda url, *, chain_id: node.client if chain_id == node.chain_id else None)
    await run(EXAMPLES[1], url="http://node.test/", raw_vaa=RAW, found=decode_vaa(RAW))
    valid, *reasons = capsys.readouterr().out.splitlines()
    assert valid == "False no quorum"
    assert [reason.partition(":")[0] for reason in reasons] == ["InvalidGovernanceDataSource", "InvalidGovernanceTarget"]


def test_no_example_is_left_out() -> None:
    assert len(EXAMPLES) == 2
