"""Real and test governance messages, and the VAAs round them."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.governance.chains import chain_name
from probekit.codecs.governance.description import describe
from probekit.codecs.governance.envelope import decode_vaa
from probekit.codecs.governance.message import decode, encode
from probekit.errors import BadSignature, DecodeError
from probekit.model import TrustRoot
from probekit.model import governance as model
from probekit.model.governance import GovernanceMessage, UnknownAction
from probekit.model.pyth_evm import DataSource
from probekit.trust import SignerSet, Trust, signed_by
from probekit.trust.signatures import recover
from tests.support.mutation import decodes_or_refuses, mutations
from tests.support.vectors import of_kind


def fields_of(action: model.GovernanceAction) -> dict[str, Any]:
    """By the names that the vectors have."""
    match action:
        case model.ExecutePostedVaa():
            return {
                "instructions": [
                    {
                        "program_id": call.program.hex(),
                        "accounts": [
                            {"pubkey": one.key.hex(), "is_signer": one.is_signer, "is_writable": one.is_writable}
                            for one in call.accounts
                        ],
                        "data": call.data.hex(),
                    }
                    for call in action.calls
                ]
            }
        case model.UpgradeContract():
            return {"hash": action.digest.hex()} if action.digest is not None else {"code": action.code.hex()}
        case model.AuthorizeGovernanceDataSourceTransfer():
            return {"claim_vaa": action.claim_vaa.hex()}
        case model.SetDataSources():
            return {"data_sources": [shown(source) for source in action.sources]}
        case model.SetFee() | model.SetTransactionFee():
            return {"value": action.value, "expo": action.expo, "fee": action.amount}
        case model.SetValidPeriod():
            return {"valid_period_s": action.seconds}
        case model.SetWormholeAddress():
            return {"address": f"0x{action.address.hex()}"}
        case model.UpgradeSuiLazerContract():
            return {"version": action.version, "hash": action.digest.hex()}
        case model.UpdateTrustedSigner():
            return {"public_key": action.public_key.hex(), "expires_at": action.expires_at_s}
        case model.UpgradeCardanoSpendScript():
            return {"hash": action.script_hash.hex()}
        case model.UpgradeCardanoWithdrawScript():
            return {"hash": action.script_hash.hex(), "previous_expires_at": action.previous_expires_at_s}
        case model.UpgradeStellarExecutor():
            return {"executor": action.executor, "target": action.target, "wasm_digest": action.wasm_digest.hex()}
        case model.CallStellarContract():
            return {
                "executor": action.executor,
                "target": action.target,
                "function": action.function,
                "args_xdr": action.args_xdr.hex(),
            }
    raise AssertionError(f"no vector had {action.name} so far: say what its fields are called")


def shown(source: DataSource) -> dict[str, Any]:
    return {"emitter_chain": source.chain_id, "emitter_address": source.emitter.hex()}


def check(found: GovernanceMessage | DecodeError, expected: dict[str, Any], raw: bytes) -> None:
    if not expected["decodes"]:
        if "unknown module/action" in expected["error"]:
            # Kept as bytes: a monitor must be able to show what a later release of the contracts understands.
            assert isinstance(found, GovernanceMessage)
            assert isinstance(found.action, UnknownAction)
            assert expected["error"].endswith(f" {found.action.module}/{found.action.number}")
            assert encode(found) == raw
        else:
            assert isinstance(found, DecodeError)
        return
    assert isinstance(found, GovernanceMessage)
    assert (found.action.module, found.module_name, found.action.number, found.action.name, found.target_chain) == (
        expected["module"],
        expected["module_name"],
        expected["action"],
        expected["action_name"],
        expected["target_chain"],
    )
    assert chain_name(found.target_chain) == expected.get("target_chain_name")
    assert fields_of(found.action) == expected["fields"]
    assert encode(found) == raw
    assert expected["action_name"] in describe(found)


@pytest.mark.parametrize("vector", of_kind("governance_payload"))
def test_payload(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["data"])
    found: GovernanceMessage | DecodeError
    try:
        found = decode(data)
    except DecodeError as error:
        found = error
    check(found, vector["expected"], data)
    for mutated in mutations(data):
        if decodes_or_refuses(decode, mutated):
            assert encode(decode(mutated)) == mutated


@pytest.mark.parametrize("vector", of_kind("governance_vaa"))
def test_vaa(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    found = decode_vaa(data)
    vaa = found.vaa
    assert expected["decodes"]
    assert vaa_codec.encode(vaa) == data
    assert {
        "guardian_set": vaa.set_index,
        "emitter_chain": found.source.chain_id,
        "emitter_address": found.source.emitter.hex(),
        "sequence": vaa.sequence,
        "timestamp": vaa.timestamp,
        "nonce": vaa.nonce,
        "consistency_level": vaa.consistency_level,
        "digest": vaa.digest().hex(),
        "payload": vaa.payload.hex(),
    }.items() <= expected.items()
    for signature, signer in zip(vaa.signatures, expected["signers"], strict=True):
        assert signature.index == signer["index"]
        if signer["address"] is None:
            with pytest.raises(BadSignature):
                recover(signature, vaa.digest())
        else:
            assert "0x" + recover(signature, vaa.digest()).hex() == signer["address"]
    addresses = [signer["address"] for signer in expected["signers"]]
    if None not in addresses:
        signers = SignerSet.of(TrustRoot.CORE, vaa.set_index, *addresses)
        assert signed_by(data, Trust((signers,), ()), at=vaa.time) == signers
    assert not isinstance(found.content, model.GovernanceMessage) or describe(found).endswith(describe(found.content))
    content = found.content
    assert isinstance(content, GovernanceMessage | DecodeError)
    check(content, expected["governance"], vaa.payload)


def test_the_claim_in_a_transfer_is_a_request() -> None:
    found = 0
    for parameter in of_kind("governance_vaa"):
        (vector,) = parameter.values
        if vector is None:
            pytest.skip("PROBEKIT_VECTORS names no folder")
        content = decode_vaa(bytes.fromhex(vector["data"])).content
        if isinstance(content, GovernanceMessage) and isinstance(content.action, model.AuthorizeGovernanceDataSourceTransfer):
            claim = decode_vaa(content.action.claim_vaa)
            assert isinstance(claim.content, GovernanceMessage)
            assert isinstance(claim.content.action, model.RequestGovernanceDataSourceTransfer)
            found += 1
    assert found
