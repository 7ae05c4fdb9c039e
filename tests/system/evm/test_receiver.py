"""A Wormhole receiver on a real chain: sets that follow each other, its judgement, and the quorum it is seen to ask for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from probekit import trust
from probekit.clients.wormhole import EvmReceiverClient
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.evm import wormhole as codec
from probekit.codecs.evm.reverts import revert_of
from probekit.codecs.vaa import Signature, Vaa
from probekit.errors import NotFound, Reverted
from probekit.model import TrustRoot
from probekit.model.evm import Address
from probekit.model.pyth_evm import PythError, QuorumRule
from probekit.trust.sets import GOVERNANCE, encode_set_upgrade
from probekit.trust.signing import SigningSet, replace_vaa, trust_of
from tests.system.evm.chain import Chain

pytestmark = [pytest.mark.system, pytest.mark.evm]


def members(signing: SigningSet) -> list[Address]:
    return [Address(signer) for signer in signing.signer_set().signers]


async def receiver(
    chain: Chain, index: int, guardians: Sequence[Address], *, half: bool, known: trust.Trust = trust.MAINNET
) -> EvmReceiverClient:
    address = await chain.deploy("Receiver", "uint32,address[],bool,uint16", index, list(guardians), half, 10003)
    return EvmReceiverClient(chain.client, address, trust=known)


def message(payload: bytes = b"hello", sequence: int = 7) -> Vaa:
    chain_id, emitter = GOVERNANCE
    return Vaa(0, (), 1_700_000_000, 3, chain_id, emitter, sequence, 1, payload)


async def test_quorum_and_root_of_both_kinds(chain: Chain) -> None:
    core, pro = SigningSet.generate(TrustRoot.CORE, 4, b"core"), SigningSet.generate(TrustRoot.PRO, 1, b"pro")
    known = trust_of(core, pro)
    for signing, rule, quorum in ((core, QuorumRule.TWO_THIRDS, 13), (pro, QuorumRule.HALF, 3)):
        client = await receiver(chain, signing.index, members(signing), half=rule is QuorumRule.HALF, known=known)
        state = await client.state()
        assert (state.quorum, state.quorum_rule, state.root) == (quorum, rule, signing.root)
        assert state.guardian_set is not None
        assert (state.set_index, state.guardian_set.guardians) == (signing.index, tuple(members(signing)))
        assert (state.chain_id, state.governance_chain_id, state.governance_contract) == (10003, 1, GOVERNANCE[1])
        assert (state.set_expiry_s, state.unanswered) == (0, ())


@pytest.mark.parametrize("root", [TrustRoot.CORE, TrustRoot.PRO])
async def test_the_real_sets_are_recognised(chain: Chain, root: TrustRoot) -> None:
    real = trust.MAINNET.newest(root)
    assert real is not None
    guardians = [Address(signer) for signer in real.signers]
    client = await receiver(chain, real.index, guardians, half=root is TrustRoot.PRO)
    state = await client.state()
    assert (state.root, state.quorum) == (root, root.quorum(len(guardians)))


async def test_a_rule_that_does_not_show_is_left_open(chain: Chain) -> None:
    for size, half, quorum, rule in (
        (1, True, 1, None),
        (2, False, 2, None),
        (3, True, 2, QuorumRule.HALF),
        (3, False, 3, QuorumRule.TWO_THIRDS),
        (19, True, 10, QuorumRule.HALF),
    ):
        signing = SigningSet.generate(TrustRoot.PRO, 0, b"small", size=size)
        state = await (await receiver(chain, 0, members(signing), half=half)).state()
        assert (state.quorum, state.quorum_rule, state.root) == (quorum, rule, None), size


async def test_the_state_takes_few_requests_with_and_without_multicall(chain: Chain) -> None:
    signing = SigningSet.generate(TrustRoot.CORE, 4, b"core")
    client = await receiver(chain, 4, members(signing), half=False)
    await chain.client.block_number()
    chain.transport.taken()
    alone = await client.state()
    assert [len(one) if isinstance(one, tuple) else 1 for one in chain.transport.taken()] == [1, 1, 5, 20]
    await chain.with_multicall()
    async with type(chain.client)(chain.endpoint, chain_id=31337, transport=chain.transport) as fresh:
        await fresh.block_number()
        chain.transport.taken()
        together = await EvmReceiverClient(fresh, client.address).state()
    assert chain.transport.taken() == ["eth_getBlockByNumber", "eth_call", "eth_call"]
    assert together == alone


async def test_what_is_no_receiver_says_so(chain: Chain) -> None:
    refuser = await chain.deploy("Refuser")
    with pytest.raises(NotFound, match="no Wormhole receiver at"):
        await EvmReceiverClient(chain.client, refuser).state()


async def test_the_judgement_of_a_message(chain: Chain) -> None:
    signing = SigningSet.generate(TrustRoot.CORE, 4, b"core")
    client = await receiver(chain, 4, members(signing), half=False)
    good = signing.sign(message())
    raw = vaa_codec.encode(good)
    judged = await client.judge(raw)
    assert (judged.valid, judged.reason) == (True, "")
    read = judged.vaa
    assert (read.payload, read.sequence, read.timestamp_s, read.nonce) == (b"hello", 7, 1_700_000_000, 3)
    assert (read.digest, read.guardian_set_index, read.emitter) == (good.digest(), 4, GOVERNANCE[1])

    few = vaa_codec.encode(signing.sign(message(), signers=range(12)))
    assert (await client.judge(few)).reason == codec.NO_QUORUM
    stranger = SigningSet.generate(TrustRoot.CORE, 4, b"strangers")
    assert (await client.judge(vaa_codec.encode(stranger.sign(message())))).reason == codec.BAD_SIGNATURE
    unknown = SigningSet.generate(TrustRoot.CORE, 9, b"core")
    assert (await client.judge(vaa_codec.encode(unknown.sign(message())))).reason == "invalid guardian set"

    first, second, *rest = good.signatures
    swapped = vaa_codec.encode(replace_vaa(good, signatures=(second, first, *rest)))
    outside = vaa_codec.encode(replace_vaa(good, signatures=(*good.signatures, Signature(200, first.rs, first.recovery_id))))
    for bad, error, code in (
        (b"\x02" + raw[1:], PythError.VM_VERSION_INCOMPATIBLE, None),
        (swapped, PythError.SIGNATURE_INDEXES_NOT_ASCENDING, None),
        (outside, None, 0x32),
    ):
        with pytest.raises(Reverted) as caught:
            await client.judge(bad)
        told = revert_of(caught.value)
        assert told is not None
        assert (told.error, told.panic_code) == (error, code)


async def test_sets_follow_each_other_and_the_old_one_lasts_a_day(chain: Chain) -> None:
    old, new = SigningSet.generate(TrustRoot.CORE, 4, b"core"), SigningSet.generate(TrustRoot.CORE, 5, b"core")
    client = await receiver(chain, 4, members(old), half=False, known=trust_of(old, new))
    before = await chain.client.block()
    payload = encode_set_upgrade(5, new.signer_set().signers)
    upgrade = vaa_codec.encode(old.sign(message(payload)))
    call = codec.submit_new_guardian_set(upgrade)
    receipt = await chain.node.transact(sender=chain.payer.address, to=client.address, data=call.data)
    assert receipt.succeeded
    installed = await chain.client.block(receipt.block_number)

    assert (await client.set_index(), await client.set_index(before.number)) == (5, 4)
    assert (await client.guardian_set()).guardians == tuple(members(new))
    replaced = await client.guardian_set(4)
    assert replaced.expiration_time_s == installed.timestamp + 86_400
    assert replaced.is_active(installed.time, current_index=5)
    with pytest.raises(NotFound, match="no guardian set 6"):
        await client.guardian_set(6)
    assert (await client.state()).root is TrustRoot.CORE
    with pytest.raises(Reverted, match="not signed by current guardian set"):
        await chain.client.read(client.address, call)

    by_old, by_new = (vaa_codec.encode(one.sign(message())) for one in (old, new))
    assert [(await client.judge(raw)).valid for raw in (by_old, by_new)] == [True, True]
    await chain.node.increase_time(timedelta(days=1, minutes=1))
    await chain.node.mine()
    assert (await client.judge(by_old)).reason == "guardian set has expired"
    assert (await client.judge(by_new)).valid
    assert not replaced.is_active((await chain.client.block()).time, current_index=5)
