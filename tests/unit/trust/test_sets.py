"""Sets, trusts and upgrades."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from probekit import errors, trust
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.vaa import Vaa
from probekit.model import TrustRoot
from probekit.trust import EMITTERS, Emitter, SignerSet, Trust, verify
from probekit.trust.sets import GOVERNANCE, decode_set_upgrade, encode_set_upgrade
from probekit.trust.signing import SigningSet, replace_vaa, trust_of
from tests.support.mutation import decodes_or_refuses, mutations
from tests.unit.trust.builders import AT, CORE_SET, PRO_SET, slot_of

DAY = timedelta(hours=24)
INSTALLED = AT.plus(-timedelta(hours=30))
each_root = pytest.mark.parametrize("signing", [CORE_SET, PRO_SET], ids=["core", "pro"])


def next_of(signing: SigningSet) -> SigningSet:
    return SigningSet.generate(signing.root, signing.index + 1, b"next")


def upgrade(signing: SigningSet, to: SigningSet, *, signers: tuple[int, ...] | None = None, **changes: object) -> bytes:
    chain, address = GOVERNANCE
    vaa = Vaa(0, (), 0, 0, chain, address, 1, 32, encode_set_upgrade(to.index, to.signer_set().signers))
    return vaa_codec.encode(signing.sign(replace_vaa(vaa, **changes), signers=signers))


@each_root
def test_an_upgrade_gives_the_old_set_its_24_hours(signing: SigningSet) -> None:
    to = next_of(signing)
    known = trust_of(signing).upgraded(upgrade(signing, to), installed_at=INSTALLED)
    old, new = known.get(signing.root, 1), known.get(signing.root, 2)
    assert old is not None
    assert new is not None
    assert (old.expires_at, new.valid_from, new.expires_at) == (INSTALLED.plus(DAY), INSTALLED, None)
    assert new.signers == to.signer_set().signers
    assert known.newest(signing.root) == new
    old_update, new_update = slot_of(signing).update([0]), slot_of(to).update([0])
    with pytest.raises(errors.SupersededSet):
        verify(old_update, known, at=AT)
    assert verify(old_update, known, at=INSTALLED.plus(DAY)).set_index == 1
    assert verify(new_update, known, at=AT).set_index == 2
    with pytest.raises(errors.UnknownSet):
        verify(new_update, known, at=INSTALLED.plus(-timedelta(seconds=1)))


@pytest.mark.parametrize("name_the_root", [True, False])
@each_root
def test_the_root_is_the_one_whose_set_signed(signing: SigningSet, name_the_root: bool) -> None:
    """Both ladders have set 1; the upgrade names no root."""
    known = trust_of(CORE_SET, PRO_SET).upgraded(
        upgrade(signing, next_of(signing)), installed_at=INSTALLED, root=signing.root if name_the_root else None
    )
    assert {(one.root, one.index) for one in known.sets} == {
        (TrustRoot.CORE, 1),
        (TrustRoot.PRO, 1),
        (signing.root, 2),
    }


def test_another_root_than_the_one_named_did_not_sign() -> None:
    with pytest.raises(errors.VerificationError):
        trust_of(CORE_SET, PRO_SET).upgraded(upgrade(PRO_SET, next_of(PRO_SET)), installed_at=INSTALLED, root=TrustRoot.CORE)


@each_root
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda s: upgrade(s, next_of(s), signers=tuple(range(s.quorum - 1))), errors.NoQuorum),
        (lambda s: upgrade(s, next_of(s), signers=tuple(reversed(range(s.quorum)))), errors.SignatureOrder),
        (lambda s: upgrade(replace(s, keys=next_of(s).keys), next_of(s)), errors.BadSignature),
        (lambda s: upgrade(replace(s, index=4), replace(next_of(s), index=5)), errors.UnknownSet),
        (lambda s: upgrade(s, replace(next_of(s), index=3)), errors.DecodeError),
        (lambda s: upgrade(s, replace(next_of(s), index=1)), errors.DecodeError),
        (lambda s: upgrade(s, next_of(s), emitter_chain=26), errors.WrongEmitter),
        (lambda s: upgrade(s, next_of(s), emitter_address=bytes(32)), errors.WrongEmitter),
        (lambda s: upgrade(s, next_of(s), payload=b"PTGM" + bytes(60)), errors.DecodeError),
        (lambda s: upgrade(s, next_of(s), payload=b"\x01" + encode_set_upgrade(2, (b"a" * 20,))[1:]), errors.DecodeError),
        (lambda s: upgrade(s, next_of(s), payload=encode_set_upgrade(2, (b"a" * 20,)) + b"\x00"), errors.DecodeError),
        (lambda s: upgrade(s, next_of(s), payload=encode_set_upgrade(2, (b"a" * 20, b"a" * 20))), errors.DecodeError),
        (lambda s: upgrade(s, next_of(s), payload=encode_set_upgrade(2, (b"a" * 20, bytes(20)))), errors.DecodeError),
        (lambda s: upgrade(s, next_of(s))[:-1], errors.DecodeError),
        (lambda s: b"", errors.DecodeError),
    ],
    ids=[
        "no quorum", "order", "other keys", "unknown set", "skips an index", "same index", "chain", "address", "payload",
        "module", "trailing", "a signer twice", "address zero", "cut", "empty",
    ],
)  # fmt: skip
def test_what_is_no_upgrade(signing: SigningSet, make: Callable[[SigningSet], bytes], error: type[Exception]) -> None:
    with pytest.raises(error):
        trust_of(signing).upgraded(make(signing), installed_at=INSTALLED)


def test_an_upgrade_for_a_single_chain_is_none_of_the_root() -> None:
    payload = encode_set_upgrade(2, next_of(PRO_SET).signer_set().signers)
    one_chain = payload[:33] + b"\x00\x02" + payload[35:]
    with pytest.raises(errors.DecodeError, match="chain 2 alone"):
        trust_of(PRO_SET).upgraded(upgrade(PRO_SET, next_of(PRO_SET), payload=one_chain), installed_at=INSTALLED)


def test_an_old_set_cannot_put_another_in_place_of_its_successor() -> None:
    to = next_of(PRO_SET)
    known = trust_of(PRO_SET).upgraded(upgrade(PRO_SET, to), installed_at=INSTALLED)
    thief = SigningSet.generate(TrustRoot.PRO, 2, b"thief")
    with pytest.raises(errors.SupersededSet, match="another set 2"):
        known.upgraded(upgrade(PRO_SET, thief), installed_at=INSTALLED)
    # Nor once it has expired, where the successor is not known.
    expired = trust_of().with_set(replace(PRO_SET.signer_set(), expires_at=INSTALLED))
    with pytest.raises(errors.SupersededSet, match="installs nothing"):
        expired.upgraded(upgrade(PRO_SET, thief), installed_at=INSTALLED.plus(timedelta(seconds=1)))


def test_a_set_installs_nothing_before_it_is_valid() -> None:
    early = trust_of().with_set(replace(PRO_SET.signer_set(), valid_from=INSTALLED))
    vaa = upgrade(PRO_SET, next_of(PRO_SET))
    with pytest.raises(errors.UnknownSet, match="installs nothing"):
        early.upgraded(vaa, installed_at=INSTALLED.plus(-timedelta(seconds=1)))
    assert early.upgraded(vaa, installed_at=INSTALLED).get(TrustRoot.PRO, 2) is not None


def test_a_known_successor_gets_its_times() -> None:
    to = next_of(PRO_SET)
    known = trust_of(PRO_SET, to)
    update = slot_of(PRO_SET).update([0])
    with pytest.raises(errors.SupersededSet, match="not known"):
        verify(update, known, at=INSTALLED)
    timed = known.upgraded(upgrade(PRO_SET, to), installed_at=INSTALLED)
    assert verify(update, timed, at=INSTALLED).set_index == 1
    assert len(timed.sets) == 2


def test_upgrades_chain() -> None:
    third = SigningSet.generate(TrustRoot.PRO, 3, b"third")
    second = next_of(PRO_SET)
    known = trust_of(PRO_SET).upgraded(upgrade(PRO_SET, second), installed_at=INSTALLED)
    known = known.upgraded(upgrade(second, third), installed_at=AT)
    assert [one.index for one in known.sets] == [1, 2, 3]
    assert verify(slot_of(third).update([0]), known, at=AT).set_index == 3


def test_the_governance_emitter_is_the_callers_to_replace() -> None:
    known = replace(trust_of(PRO_SET), governance=(9, b"g" * 32))
    to = next_of(PRO_SET)
    with pytest.raises(errors.WrongEmitter):
        known.upgraded(upgrade(PRO_SET, to), installed_at=INSTALLED)
    vaa = upgrade(PRO_SET, to, emitter_chain=9, emitter_address=b"g" * 32)
    assert known.upgraded(vaa, installed_at=INSTALLED).get(TrustRoot.PRO, 2) is not None


def test_every_mutation_of_an_upgrade_payload_decodes_or_is_a_decode_error() -> None:
    payload = encode_set_upgrade(2, (b"a" * 20, b"b" * 20))
    assert decode_set_upgrade(payload) == (2, (b"a" * 20, b"b" * 20))
    outcomes = [decodes_or_refuses(decode_set_upgrade, mutated) for mutated in mutations(payload)]
    assert not all(outcomes)
    with pytest.raises(errors.DecodeError):
        decode_set_upgrade(encode_set_upgrade(2, ()))
    for signers in ((b"a" * 20, b"a" * 20), (b"a" * 20, bytes(20))):
        with pytest.raises(errors.DecodeError, match="twice, or address zero"):
            decode_set_upgrade(encode_set_upgrade(2, signers))


def test_sets_and_trusts_are_checked_when_made() -> None:
    with pytest.raises(ValueError):
        SignerSet(TrustRoot.PRO, 0, ())
    with pytest.raises(ValueError):
        SignerSet(TrustRoot.PRO, 0, (b"short",))
    with pytest.raises(ValueError):
        SignerSet(TrustRoot.PRO, 0, (bytes(20),) * 256)
    with pytest.raises(ValueError, match="twice, or one of address zero"):
        SignerSet(TrustRoot.PRO, 0, (b"a" * 20, b"b" * 20, b"a" * 20))
    with pytest.raises(ValueError, match="twice, or one of address zero"):
        SignerSet(TrustRoot.PRO, 0, (b"a" * 20, bytes(20)))
    with pytest.raises(ValueError):
        SignerSet.of(TrustRoot.PRO, 0, "0xnothex")
    one = PRO_SET.signer_set()
    with pytest.raises(ValueError, match="share a root"):
        Trust((one, one), EMITTERS)
    with pytest.raises(ValueError, match="share a chain"):
        Trust((one,), (Emitter(TrustRoot.PRO, 26, bytes(32)), Emitter(TrustRoot.CORE, 26, bytes(32))))


@pytest.mark.parametrize(("size", "core", "pro"), [(1, 1, 1), (3, 3, 2), (5, 4, 3), (19, 13, 10)])
def test_the_quorum_is_the_roots_not_the_sizes(size: int, core: int, pro: int) -> None:
    signers = tuple(bytes([number + 1]) * 20 for number in range(size))
    assert SignerSet(TrustRoot.CORE, 0, signers).quorum == core
    assert SignerSet(TrustRoot.PRO, 0, signers).quorum == pro


def test_a_trust_is_a_value() -> None:
    assert trust_of(CORE_SET, PRO_SET) == trust_of(CORE_SET, PRO_SET)
    assert hash(trust.MAINNET) == hash(replace(trust.MAINNET))
    narrowed = trust.MAINNET.only(TrustRoot.PRO)
    assert narrowed == trust.PRO
    assert narrowed.roots() == {TrustRoot.PRO}
    assert {one.root for one in narrowed.recognised} == {TrustRoot.CORE}


def test_the_registry() -> None:
    assert {(one.root.value, one.index, len(one.signers)) for one in trust.MAINNET.sets} == {
        ("core", 0, 1), *(("core", index, 19) for index in range(1, 8)), ("pro", 0, 5), ("pro", 1, 5),
    }  # fmt: skip
    assert [one.root for one in trust.PRO_STAGING.sets] == [TrustRoot.PRO, TrustRoot.PRO]
    assert trust.PRO_EMITTER.address == b"PythnetPythnetPythnetPythnetPyth"
    assert all(len(emitter.address) == 32 and emitter.chain == 26 for emitter in EMITTERS)
    assert trust.MAINNET.root_of(26, trust.CORE_EMITTER.address) is TrustRoot.CORE
    assert all(url.startswith("https://") for url in (*trust.HERMES_MAINNET, *trust.HERMES_BETA))
